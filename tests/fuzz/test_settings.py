"""Files that people write by hand or copy from others: settings, presets, recipes, sweeps, suites, endpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FinetuiError
from engine.evaluation.targets import read_targets
from engine.home import Home
from engine.inference.presets import BUILT_IN, own_presets, presets, sampling_of
from engine.notices.settings import read_notice_settings
from engine.presets import list_presets
from engine.prices import read_prices
from engine.recipe import load_recipe_values, make_recipe, parse_value
from engine.runs.leases import read_order
from engine.runs.queue import cpu_runs
from engine.suites.endpoints import known_endpoints
from engine.suites.reading import _toml_prompts
from engine.sweeps.spec import load_spec
from engine.toml import parse_toml
from tests.fuzz.corpus import cases
from tests.fuzz.effort import examples
from tests.fuzz.hostile import DEEP, as_json, document, mutated
from tests.fuzz.hostile import text as hostile_text
from tui.settings import load_settings
from tui.themes import load_themes

SETTINGS = b"""theme = "finetui-dark"
[keys]
"app.quit" = "q"
[queue]
cpu_runs = 2
[prices]
currency = "EUR"
kwh = 0.3
[prices.hour]
"H200" = 3.99
[alerts]
on = ["ended", "failed"]
bell = true
terminal = "auto"
command = ["notify-send", "finetui"]
webhook = "https://example.org/x"
webhook_format = "json"
[targets]
"eval/loss" = "<1.0"
rouge_l = "20..30"
"""
RECIPE = (
    b'model = "starter"\ndataset = "t"\nlora_r = 16\nlearning_rate = 2e-4\ndevices = [0, 1]\nreport_to = ["wandb"]\n'
)
PRESET = b'description = "d"\n[recipe]\n' + RECIPE
SWEEP = b"""metric = "eval/loss"
trials = 4
[recipe]
dataset = "t"
[search]
lora_r = [8, 16]
learning_rate = { low = 1e-5, high = 1e-3, log = true }
"""
SUITE = b'[[prompts]]\nturns = ["a", "b"]\ncategory = "c"\nreferences = ["x"]\nwhen = 2020-01-01\n'
SAMPLING = {"mine": {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "max_new_tokens": 8, "seed": 1, "stop": ["x"]}}
ENDPOINTS = {"models": {"far": {"url": "http://127.0.0.1:8000/v1", "key_env": "KEY"}}}
ORDER = {"r1": {"priority": 1, "place": 2.0, "now": True}}

values = st.recursive(
    hostile_text.filter(lambda text: text.isprintable()) | st.integers() | st.floats() | st.booleans() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)
DEEP_TOML = (b"a = " + b"[" * 5_000, b"a = " + b"{a = " * 2_000, b"[" + b"a." * 3_000 + b"a]\n", b"a = " + b"9" * 5_000)


def toml_like(original: bytes) -> st.SearchStrategy[bytes]:
    """`original` damaged, with other values in their places, or nested without an end."""
    known = parse_toml(original.decode())

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        table: dict[str, Any] = dict(known)
        for name in draw(st.lists(st.sampled_from(sorted(known)), max_size=2)):
            inner = table[name]
            if isinstance(inner, dict) and inner and draw(st.booleans()):
                table[name] = inner | {draw(st.sampled_from(sorted(inner))): draw(values)}
            else:
                table[name] = draw(values)
        try:
            return tomli_w.dumps(table).encode()
        except UnicodeEncodeError:
            return original

    return changed() | mutated([original]) | st.sampled_from(DEEP_TOML) | st.just(original)


def in_words(work: Callable[[], object]) -> None:
    """Do something that may only fail in words for people."""
    try:
        work()
    except FinetuiError as error:
        assert str(error).encode()


def check_settings(home: Home, data: bytes) -> None:
    path = home.root / "settings.toml"
    path.write_bytes(data)
    found = load_settings(path)
    assert found.theme.isprintable() or not found.problem
    for read in (read_prices, cpu_runs, lambda home: read_targets(home, home.root)):
        in_words(lambda read=read: read(home))  # type: ignore[misc]
    in_words(lambda: read_notice_settings(path).webhook_host)


def check_recipe(home: Home, data: bytes) -> None:
    path = home.root / "recipe.toml"
    path.write_bytes(data)
    in_words(lambda: make_recipe(load_recipe_values(path)).to_toml())


def check_preset(home: Home, data: bytes) -> None:
    folder = home.root / "presets"
    folder.mkdir(exist_ok=True)
    (folder / "mine.toml").write_bytes(data)
    [mine] = [preset for preset in list_presets(home) if preset.name == "mine"]
    assert isinstance(mine.values, dict)


def check_sweep(home: Home, data: bytes) -> None:
    path = home.root / "sweep.toml"
    path.write_bytes(data)
    in_words(lambda: load_spec(path, home))


def check_suite(home: Home, data: bytes) -> None:
    path = home.root / "suite.toml"
    path.write_bytes(data)
    in_words(lambda: _toml_prompts(path))


def check_sampling(home: Home, data: bytes) -> None:
    (home.root / "sampling.json").write_bytes(data)
    in_words(lambda: own_presets(home))
    try:
        found = presets(home)
    except FinetuiError:
        return
    assert set(BUILT_IN) <= set(found)
    for one in found.values():
        as_sent = sampling_of(one).fields()
        assert as_json(as_sent).find(b"NaN") < 0 and as_json(as_sent).find(b"Infinity") < 0
        assert not isinstance(as_sent.get("max_tokens"), bool)


def check_endpoints(home: Home, data: bytes) -> None:
    (home.root / "endpoints.json").write_bytes(data)
    for name, far in known_endpoints(home).items():
        assert (far.name, name) == (name.removeprefix("api:"), far.model)
        assert far.host
        in_words(far.pane)


def check_order(home: Home, data: bytes) -> None:
    (home.root / "order.json").write_bytes(data)
    order = read_order(home.root)
    ranks = [(-one.get("priority", 0), one.get("place", 0.0)) for one in order.values()]
    assert sorted(ranks) is not None


CHECKS: dict[str, tuple[Callable[[Home, bytes], None], st.SearchStrategy[bytes]]] = {
    "settings": (check_settings, toml_like(SETTINGS)),
    "recipe": (check_recipe, toml_like(RECIPE)),
    "preset": (check_preset, toml_like(PRESET)),
    "sweep": (check_sweep, toml_like(SWEEP)),
    "suite": (check_suite, toml_like(SUITE)),
    "sampling": (
        check_sampling,
        document(SAMPLING).map(as_json) | mutated([as_json(SAMPLING)]) | st.sampled_from(DEEP),
    ),
    "endpoints": (
        check_endpoints,
        document(ENDPOINTS).map(as_json) | mutated([as_json(ENDPOINTS)]) | st.sampled_from(DEEP),
    ),
    "order": (check_order, document(ORDER).map(as_json) | mutated([as_json(ORDER)]) | st.sampled_from(DEEP)),
}


@pytest.mark.parametrize("kind", CHECKS)
def test_any_file_is_read_or_refused_in_words(home: Home, kind: str) -> None:
    check, files = CHECKS[kind]
    home.ensure()

    @examples(12)
    @given(files)
    def tried(data: bytes) -> None:
        check(home, data)

    tried()


@pytest.mark.parametrize("path", cases("settings"), ids=lambda path: path.name)
def test_files_that_were_found(home: Home, path: Path) -> None:
    check, _ = CHECKS[path.name.partition(".")[0]]
    check(home.ensure(), path.read_bytes())


@examples(20)
@given(st.text(max_size=40) | st.sampled_from([one.decode() for one in DEEP_TOML]) | hostile_text)
def test_any_value_on_the_command_line_is_toml_or_text(raw: str) -> None:
    parse_value(raw)


def test_the_originals_are_used_as_they_are(home: Home) -> None:
    home.ensure()
    (home.root / "settings.toml").write_bytes(SETTINGS)
    assert load_settings(home.root / "settings.toml").theme == "finetui-dark"
    assert cpu_runs(home) == 2 and read_prices(home).kwh == 0.3
    assert len(read_targets(home, home.root / "none")) == 2
    assert read_notice_settings(home.root / "settings.toml").command == ("notify-send", "finetui")
    (home.root / "recipe.toml").write_bytes(RECIPE)
    assert make_recipe(load_recipe_values(home.root / "recipe.toml")).devices == (0, 1)
    check_preset(home, PRESET)
    (home.root / "sweep.toml").write_bytes(SWEEP)
    assert load_spec(home.root / "sweep.toml", home).total == 4
    assert load_themes()
