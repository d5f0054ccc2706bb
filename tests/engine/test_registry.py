"""Adapters registered under a name: copied, checked, promoted, rolled back, compared, and told of on a card."""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadInput, FinetuiError, NotFound
from engine.home import Home
from engine.registry.card import card_data, model_card
from engine.registry.comparing import compare_versions
from engine.registry.finding import adapter_of, as_run, find, folder_of, pane_of
from engine.registry.folder import NameDir
from engine.registry.front_matter import front_matter
from engine.registry.info import info_of, public_name
from engine.registry.keeping import describe, problems_of, promote, rebuild, refresh, remove, roll_back, version_before
from engine.registry.licences import licence_of_dataset, licence_of_model
from engine.registry.naming import Wanted, parse
from engine.registry.registering import register
from engine.runs.rundir import RunDir, read_json, write_json
from store import Store, open_store
from store.evaluation_records import Evaluation, Measured
from store.records import Dataset, Run
from tests.tui.sample_runs import SampleRuns

TOKEN = "hf_" + "Ab3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF3h"


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    opened = open_store(home.ensure().db)
    yield opened
    opened.close()


@pytest.fixture
def runs(home: Home, store: Store) -> Iterator[SampleRuns]:
    made = SampleRuns(home, store)
    yield made
    made.close()


def finished(runs: SampleRuns, run_id: str = "r1aaa", weights: bytes = b"one" * 1000, **recipe: Any) -> Run:
    """A run that left an adapter with these weights."""
    run = runs.add(run_id, f"run {run_id}", steps=20, total_steps=20, **recipe)
    folder = RunDir(Path(run.dir))
    told = {"name": "starter", "path": "/models/starter", "revision": None, "kind": "starter"}
    write_json(folder.inputs, {"id": run_id, "name": run.name, "model": told, "template_hash": "abc", "plan": {"a": 1}})
    folder.adapter.mkdir()
    (folder.adapter / "adapter_model.safetensors").write_bytes(weights)
    (folder.adapter / "adapter_config.json").write_text("{}")
    (folder.adapter / "README.md").write_text("the run's own card")
    (folder.adapter / "training_args.bin").write_bytes(b"a pickle")
    return run


@pytest.fixture
def run(runs: SampleRuns) -> Run:
    return finished(runs)


def evaluated(store: Store, run: Run, evaluation: str = "e1", rouge: float = 0.5, created: float = 5.0) -> None:
    """An evaluation beside the base, on 40 rows."""
    models = ("base:starter", run.id)
    store.evaluations.add(
        Evaluation(
            evaluation, created, f"eval {evaluation}", "split", "d9", "test", models, {"seed": 1}, 40, created + 9
        )
    )
    low, high = rouge - 0.05, rouge + 0.05
    store.evaluations.set_figures(
        evaluation,
        [
            Measured(evaluation, 0, "rouge_l", 0.2, 0.15, 0.25, 40),
            Measured(evaluation, 1, "rouge_l", rouge, low, high, 40, rouge - 0.2, 0.1, 0.4, 0.001),
            Measured(evaluation, 1, "length_ratio", 1.1, None, None, 40),
        ],
    )


# registering


def test_a_version_is_a_whole_copy_that_stays_what_it_is(home: Home, store: Store, run: Run) -> None:
    heard: list[float] = []
    version = register(home, store, run, "support", description=" Helps. ", tags=["a", "b", "a"], progress=heard.append)
    assert (version.version, version.run, version.base, version.tags) == (1, run.id, "starter", ("a", "b"))
    assert version.description == "Helps." and heard[-1] == pytest.approx(1.0)
    folder = folder_of(home, version)
    assert {path.name for path in folder.adapter.iterdir()} == {"adapter_model.safetensors", "adapter_config.json"}
    shutil.rmtree(run.dir)
    assert problems_of(home, version) == []
    assert read_json(folder.info) == version.info and folder.card.read_text() == model_card(version.info)
    assert store.registry.get("support", 1) == version
    assert not [path for path in folder.path.parent.iterdir() if path.name.startswith(".v")], "nothing is left behind"
    weights = folder.adapter / "adapter_model.safetensors"
    assert weights.stat().st_mode & 0o222 == 0
    weights.chmod(0o600)
    weights.write_bytes(b"other")
    (folder.adapter / "more.json").touch()
    (folder.path / "recipe.toml").unlink()
    assert problems_of(home, version) == [
        "adapter/adapter_model.safetensors is not what was registered",
        "recipe.toml is missing",
        "adapter/more.json was added",
    ]
    with pytest.raises(FinetuiError, match="is not what was registered"):
        promote(home, store, "support", 1)
    folder.digests.unlink()
    assert problems_of(home, version) == ["digests.json is missing or damaged"]


def test_numbers_go_up_and_never_come_back(home: Home, store: Store, runs: SampleRuns, run: Run) -> None:
    assert register(home, store, run, "support").version == 1
    with pytest.raises(BadInput, match="is support@1 already"):
        register(home, store, run, "support")
    assert register(home, store, run, "emoji").version == 1
    second = finished(runs, "r2bbb", b"two")
    assert register(home, store, second, "support").version == 2
    remove(home, store, "support", 2)
    assert register(home, store, second, "support").version == 3
    assert [one.version for one in store.registry.versions("support")] == [3, 1]


def test_what_fails_leaves_nothing(
    home: Home, store: Store, run: Run, runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(home.root)._replace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(FinetuiError, match="no room"):
            register(home, store, run, "support")
    with monkeypatch.context() as patch:
        patch.setattr(store.registry, "add", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            register(home, store, run, "support")
    (RunDir(Path(run.dir)).adapter / "link.json").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="is a link"):
        register(home, store, run, "support")
    assert NameDir.of(home, "support").versions() == [] and store.registry.names() == []
    with pytest.raises(NotFound, match="no evaluation 'e9'"):
        register(home, store, run, "support", evaluations=["e9"])
    live = replace(finished(runs, "r3ccc"), status=type(run.status).TRAINING)
    with pytest.raises(BadInput, match="is at work"):
        register(home, store, live, "support")
    (RunDir(Path(live.dir)).adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(BadInput, match="has no adapter"):
        register(home, store, replace(live, status=run.status), "support")


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a@2", "base", "x" * 65, "a b", ".a", "a\x00"])
def test_names_that_cannot_be(home: Home, store: Store, run: Run, name: str) -> None:
    with pytest.raises(BadInput, match="cannot be registered as"):
        register(home, store, run, name)
    assert not (home.root / "x").exists()


def test_tags_and_descriptions_that_cannot_be(home: Home, store: Store, run: Run) -> None:
    for tags in (["a,b"], [""], ["x" * 41], ["\x1b[31m"], [str(number) for number in range(21)]):
        with pytest.raises(BadInput, match="tag"):
            register(home, store, run, "support", tags=tags)
    with pytest.raises(BadInput, match="2,001 characters"):
        register(home, store, run, "support", description="x" * 2001)


# promoting


def three(home: Home, store: Store, runs: SampleRuns) -> None:
    for number in (1, 2, 3):
        register(home, store, finished(runs, f"r{number}xxx", bytes([number])), "support")


def test_promotions_go_back_step_by_step(home: Home, store: Store, runs: SampleRuns) -> None:
    three(home, store, runs)
    with pytest.raises(BadInput, match="nothing that support could go back to"):
        roll_back(home, store, "support")
    for version in (1, 2, 3):
        promote(home, store, "support", version, f"try {version}")
    with pytest.raises(BadInput, match="means version 3 already"):
        promote(home, store, "support", 3)
    assert [roll_back(home, store, "support").version for _ in range(2)] == [2, 1]
    assert version_before(store, "support") is None
    promote(home, store, "support", 3)
    assert version_before(store, "support") == 1
    promote(home, store, "support", 1)
    assert version_before(store, "support") == 3, "a promotion is no way back"
    promote(home, store, "support", 2)
    remove(home, store, "support", 1)
    assert version_before(store, "support") == 3
    with pytest.raises(BadInput, match="is what support means now"):
        remove(home, store, "support", 2)
    with pytest.raises(NotFound, match="There is no version 9 of support"):
        promote(home, store, "support", 9)
    remove(home, store, "support")
    assert store.registry.names() == [] and list(home.registry.iterdir()) == []


def test_the_folders_bring_the_store_back(home: Home, store: Store, runs: SampleRuns) -> None:
    three(home, store, runs)
    promote(home, store, "support", 2, "good")
    promote(home, store, "support", 3)
    describe(home, store, store.registry.versions("support")[0], tags=["z"])
    before = store.registry.versions("support"), store.registry.promotions("support"), store.registry.name("support")
    store.registry.delete("support")
    (home.registry / "support" / "v9").mkdir()
    assert rebuild(home, store) == 3
    assert (store.registry.versions("support"), store.registry.promotions("support")) == before[:2]
    after, was = store.registry.name("support"), before[2]
    assert after is not None and was is not None and (after.promoted, after.newest) == (was.promoted, was.newest)


# finding


def test_a_name_means_the_promoted_version_else_the_newest(home: Home, store: Store, runs: SampleRuns) -> None:
    three(home, store, runs)

    def number(text: str) -> int | None:
        found = find(home, store, text)
        return found.version if found else None

    assert [number(text) for text in ("support", "support@1", "support@v2", " support ")] == [3, 1, 2, 3]
    promote(home, store, "support", 2)
    assert number("support") == 2
    assert [number(text) for text in ("other", "r1xxx", "support@x", "", "a/b")] == [None] * 5
    with pytest.raises(NotFound, match="no version 8 of support") as error:
        find(home, store, "support@8")
    assert "1, 2, 3" in error.value.why
    shutil.rmtree(home.registry / "support" / "v1")
    with pytest.raises(NotFound, match="files of support@1 are gone"):
        find(home, store, "support@1")
    assert parse("a@2") == Wanted("a", 2) and parse("a@0") is None and parse("a@") is None


def test_a_version_takes_a_seat_as_its_run_does(home: Home, store: Store, run: Run) -> None:
    version = register(home, store, run, "support")
    shutil.rmtree(run.dir)
    pane = pane_of(home, version)
    assert pane.label == pane.run_id == "support@1" and pane.adapter == adapter_of(home, version)
    assert (pane.model, pane.quantised) == ("/models/starter", True)
    inputs: Any = read_json(RunDir(Path(as_run(home, version).dir)).inputs)
    assert inputs["template_hash"] == "abc" and "plan" not in inputs


def test_a_version_of_full_training_is_its_own_base(home: Home, store: Store, runs: SampleRuns) -> None:
    run = finished(runs, "r1full", method="full")
    (RunDir(Path(run.dir)).adapter / "config.json").write_text("{}")
    version = register(home, store, run, "whole")
    pane = pane_of(home, version)
    assert pane.model == str(adapter_of(home, version)) and pane.adapter is None
    data = card_data(version.info)
    assert data["library_name"] == "transformers" and "in all its weights" in model_card(version.info)


# what is known


def test_what_is_not_known_is_left_out(home: Home, store: Store, run: Run) -> None:
    info = info_of(home, store, run)
    assert not ({"evaluations", "votes", "effect"} - {"evaluations"}) & set(info) and info["evaluations"] == []
    assert "energy_j" not in info["took"] and "cost" not in info["took"] and "licence" not in info["base"]
    assert info["training"]["eval/loss"]["best_step"] == 20 and info["parameters"]["trained"] == 1_200_000
    text = model_card(info)
    assert "It has not been evaluated." in text and "| energy | not measured |" in text
    assert "base_model" not in card_data(info), "the starter is on no hub"
    assert "None" not in text and "nan" not in text.lower().split()
    json.dumps(info, allow_nan=False)


def test_size_time_energy_and_cost_are_on_the_card(home: Home, store: Store, run: Run) -> None:
    (home.root / "settings.toml").write_text('[prices]\ncurrency = "€"\nkwh = 0.30\n')
    info = info_of(home, store, replace(run, energy_j=7.2e6, cost=12.4, busy_s=4320.0))
    assert info["took"]["electricity"] == pytest.approx(0.6) and info["took"]["currency"] == "€"
    text = model_card(info)
    for line in ("| energy | 2.00 kWh |", "| electricity | 0.60 € |", "| cost | 12.40 € |", "| 1 h 12 m |", "| 3"):
        assert line in text


def test_evaluations_are_on_the_card_with_intervals(home: Home, store: Store, run: Run) -> None:
    evaluated(store, run, "e1", 0.4, created=1.0)
    evaluated(store, run, "e2", 0.5, created=2.0)
    version = register(home, store, run, "support")
    [one] = version.info["evaluations"]
    assert one["id"] == "e2" and one["beside"] == "starter" and one["figures"][0]["metric"] == "rouge_l"
    text = folder_of(home, version).card.read_text()
    assert "| metric | value | 95 % interval | to starter | 95 % interval | p |" in text
    assert "| ROUGE-L ↑ | 0.5000 | 0.4500 … 0.5500 | +0.3000 | +0.1000 … +0.4000 | 0.001 |" in text
    assert "| length ratio | 1.100 |  |  |  |  |" in text
    assert "### split: d9, test" in text and "40 rows." in text
    data = card_data(version.info)["model-index"][0]["results"][0]
    assert data["dataset"] == {"name": "d9", "type": "d9", "split": "test"}
    assert data["metrics"][0] == {"type": "rouge", "name": "ROUGE-L", "value": 0.5}
    assert register(home, store, run, "older", evaluations=["e1"]).info["evaluations"][0]["id"] == "e1"


def test_the_hub_reads_the_card(home: Home, store: Store, run: Run) -> None:
    cards = pytest.importorskip("huggingface_hub")
    evaluated(store, run)
    version = register(home, store, run, "support", description="Says: [hello]\n\n# not a head", tags=["yes", "1"])
    card = cards.ModelCard(model_card(version.info))
    assert card.data.library_name == "peft" and card.data.tags[-2:] == ["yes", "1"]
    first = card.data.eval_results[0]
    assert (first.metric_type, first.metric_value) == ("rouge", 0.5)
    assert "\\# not a head" in card.text


def test_later_words_and_evaluations_leave_the_adapter_alone(home: Home, store: Store, run: Run) -> None:
    version = register(home, store, run, "support", tags=["a"])
    digests = folder_of(home, version).digests.read_bytes()
    changed = describe(home, store, version, description="New.")
    assert (changed.description, changed.tags) == ("New.", ("a",)) and "New." in folder_of(
        home, version
    ).card.read_text()
    evaluated(store, run)
    fresh = refresh(home, store, changed)
    assert fresh.description == "New." and len(fresh.info["evaluations"]) == 1
    store.evaluations.delete("e1")
    assert len(refresh(home, store, fresh).info["evaluations"]) == 1, "what was measured stays on the card"
    assert store.registry.get("support", 1) == fresh and read_json(folder_of(home, version).info) == fresh.info
    assert folder_of(home, version).digests.read_bytes() == digests and problems_of(home, version) == []


def test_a_base_of_the_hub_and_the_datas_licence_are_named(
    home: Home, store: Store, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    hub = tmp_path / "huggingface" / "hub"
    for kind, head in (("models--Qwen--Q", "license: apache-2.0"), ("datasets--who--talk", "license:\n- cc-by-4.0")):
        snapshot = hub / kind / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot / "README.md").write_text(f"---\nlanguage: en\n{head}\ntags: [a]\n---\n# Card\nlicense: no\n")
    inputs = RunDir(Path(run.dir)).inputs
    write_json(inputs, {"model": {"name": "Qwen/Q", "path": "Qwen/Q", "revision": "abc", "kind": "hub"}})
    folder = home.datasets / "d9"
    folder.mkdir(parents=True)
    write_json(folder / "card.json", {"source": {"file": "hub:who/talk:train", "sha256": "00"}})
    splits = {"train": 9, "test": 1}
    dataset = Dataset("d9", "talk", 2, "messages", 10, splits, None, None, "hub", 1.0, str(folder))
    store.datasets.add(dataset)
    info = info_of(home, store, replace(run, model="Qwen/Q", dataset_id="d9"))
    assert info["base"] == {"name": "Qwen/Q", "kind": "hub", "revision": "abc", "licence": "apache-2.0"}
    assert (info["dataset"]["hub"], info["dataset"]["licence"]) == ("who/talk", "cc-by-4.0")
    data = card_data(info)
    assert (data["base_model"], data["base_model_relation"], data["datasets"]) == ("Qwen/Q", "adapter", ["who/talk"])
    text = model_card(info | {"name": "talk", "version": 1})
    assert "| rows | 10 (train 9, test 1) |" in text and "revision='abc'" in text
    assert licence_of_model("nobody/none", None) == "" and licence_of_dataset({"file": "a.jsonl"}) == ""


def test_no_secret_and_no_path_of_this_machine_is_on_a_card(home: Home, store: Store, runs: SampleRuns) -> None:
    run = finished(runs, model="/home/somebody/models/mine")
    run = replace(run, name=f"run {TOKEN}", recipe=run.recipe | {"hf_token": TOKEN, "nested": {"api_key": "k"}})
    version = register(home, store, run, "support", description=f"Uses {TOKEN}.", tags=[TOKEN])
    for file in ("README.md", "model_info.json"):
        text = (folder_of(home, version).path / file).read_text()
        assert TOKEN not in text and "somebody" not in text and "api_key" not in text
    assert TOKEN not in store.registry.versions("support")[0].description
    assert public_name("/a/b/c") == "c" and public_name("Qwen/Qwen3") == "Qwen/Qwen3"


def test_text_from_elsewhere_is_no_markup_on_a_card() -> None:
    hostile = "a|b <img src=x> [x](javascript:y) **z** `q`\x1b]52;c;x\x07\n# head"
    text = model_card(
        {"run": {"name": hostile}, "recipe": {"model": hostile}, "tags": [hostile], "description": hostile}
    )
    assert "\x1b" not in text and "<img" not in text.replace("\\<img", "").split("---")[2]
    row = next(line for line in text.splitlines() if line.startswith("| model |"))
    assert row.replace("\\|", "").count("|") == 3
    assert yaml.safe_load(text.split("---")[1])["tags"][-1].startswith("a|b")


names = st.text("abnoy_-", min_size=1, max_size=6).filter(lambda name: name[0].isalpha())
scalars = st.one_of(
    st.text("ab1:-#'\"[]{}&*!|>%@`,é✓🙂", max_size=20),
    st.integers(-(10**12), 10**12),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(st.one_of(scalars, st.dictionaries(names, inner, min_size=1, max_size=3)), max_size=3),
        st.dictionaries(names, inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, values, min_size=1, max_size=4))
def test_front_matter_is_read_as_it_was_meant(table: dict[str, Any]) -> None:
    text = front_matter(table)
    found = yaml.safe_load(text.removeprefix("---\n").removesuffix("---\n"))
    assert json.dumps(found, sort_keys=True) == json.dumps(table, sort_keys=True)


# comparing


def test_versions_are_compared_by_what_they_were_measured_on(home: Home, store: Store, runs: SampleRuns) -> None:
    first, second = finished(runs, "r1aaa", b"1"), finished(runs, "r2bbb", b"2", lora_r=8, learning_rate=1e-4)
    one, two = register(home, store, first, "support"), register(home, store, second, "support")
    found = compare_versions(one, two)
    assert {"lora_r", "learning_rate", "run"} <= {setting.name for setting in found.settings}
    assert next(s for s in found.settings if s.name == "lora_r").after == 8
    assert "validation loss" in found.sentence
    assert [pair.label for pair in found.took][:2] == ["size", "time on devices"]
    evaluated(store, first, "e1", 0.4)
    evaluated(store, second, "e2", 0.6)
    found = compare_versions(refresh(home, store, one), refresh(home, store, two))
    rouge = next(pair for pair in found.figures if pair.name == "rouge_l")
    assert (rouge.before, rouge.after, rouge.better, rouge.apart) == (0.4, 0.6, True, True) and rouge.on == "d9 test"
    assert next(pair for pair in found.figures if pair.name == "length_ratio").better is None
    assert found.sentence == "v2 is better in ROUGE-L, beyond the 95 % intervals."
    again = compare_versions(found.before, replace(found.after, info=found.before.info))
    assert "No figure" in again.sentence or "not measured" in again.sentence
    assert all(math.isfinite(pair.before or 0) for pair in found.figures)
