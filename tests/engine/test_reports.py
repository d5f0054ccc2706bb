"""Reports as files: what is in the tables, the picture and the Markdown, what is left out, and how they are written."""

import csv
import io
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import BadInput, FinetuiError, NotFound
from engine.figures import fmt_change, fmt_energy, fmt_setting
from engine.reports import KINDS, render_report, write_report
from engine.reports.families import families
from engine.reports.lanes import lanes_of
from engine.withheld import WITHHELD, is_secret_name, open_settings, without_secrets
from store import Store, open_store
from store.records import Status
from tests.engine.reported import NASTY, TOKEN, add_run, finding
from tests.store.builders import new_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("store") / "finetui.db")
    recipe = {"lora_r": 16, "packing": True, "sample_max_new_tokens": 64}
    add_run(store, "r1", "emoji-r16", recipe=recipe, tags=("emoji",))
    add_run(store, "r2", "=cmd()|'a'!A1", worse=0.1, recipe=recipe | {"lora_r": 8, "hub": {"api_key": "k"}})
    add_run(store, "r3", NASTY, worse=0.2, status=Status.FAILED, recipe=recipe | {"note": f"see {TOKEN}"})
    add_run(store, "r4", f"run {TOKEN}", worse=-0.1, tags=(TOKEN,), model=f"me/{TOKEN}", dataset=TOKEN, recipe=recipe)
    store.runs.set_note("r1", f"the token is {TOKEN}")
    store.findings.replace("r2", [finding("r2", "It *learns* by heart")])
    store.findings.replace("r3", [finding("r3", "Of no account", dismissed=2.0)])
    yield store
    store.close()


def text_of(store: Store, ids: list[str], kind: str, **options: object) -> str:
    return b"".join(render_report(store, ids, kind=kind, **options)).decode()  # type: ignore[arg-type]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# Tables for spreadsheets


def test_a_line_a_run_with_the_names_of_the_filter_language(store: Store) -> None:
    first, second, third = rows_of(text_of(store, ["r1", "r2", "r3"], "csv"))
    assert (first["name"], first["id"], first["status"], first["tags"]) == ("emoji-r16", "r1", "succeeded", "emoji")
    assert first["started"] == "2025-10-09T08:53:20Z" and float(first["duration_s"]) == 400.0
    assert (first["cfg.lora_r"], second["cfg.lora_r"], first["cfg.packing"]) == ("16", "8", "yes")
    assert first["cfg.sample_max_new_tokens"] == "64"
    assert float(first["eval/loss.min"]) < float(first["eval/loss.last"]) < float(first["eval/loss.max"])
    assert third["status"] == "failed" and "\u2028" not in third["name"]


@pytest.mark.parametrize("sign", "=+-@")
def test_names_and_tags_are_no_formulas(store: Store, sign: str) -> None:
    run_id = f"sign{ord(sign)}"
    add_run(store, run_id, f" {sign}1+cmd()", steps=2, tags=(f"{sign}2+cmd()",))
    store.runs.set_note(run_id, f"\n{sign}3+cmd()")
    (row,) = rows_of(text_of(store, [run_id], "csv"))
    assert (row["name"], row["tags"], row["notes"]) == tuple(f"'{sign}{number}+cmd()" for number in (1, 2, 3))
    assert rows_of(text_of(store, [run_id], "curves"))[0]["run"] == f"'{sign}1+cmd()"


def test_a_name_is_no_formula(store: Store) -> None:
    (row,) = rows_of(text_of(store, ["r2"], "csv"))
    assert row["name"] == "'=cmd()|'a'!A1"
    points = rows_of(text_of(store, ["r2"], "curves", metrics=["train/learning_rate"]))
    assert points[0]["run"] == "'=cmd()|'a'!A1" and float(points[-1]["value"]) == 0


def test_a_line_a_point_with_all_of_them(store: Store) -> None:
    add_run(store, "long", steps=9000)
    rows = rows_of(text_of(store, ["long"], "curves", metrics=["train/loss", "eval/loss"]))
    training = [row for row in rows if row["metric"] == "train/loss"]
    assert [int(row["step"]) for row in training] == list(range(1, 9001)) and len(rows) == 9000 + 450
    assert training[3000]["value"] == "9.5" and training[4500]["value"] == "nan"
    assert (training[49]["epoch"], training[49]["tokens"], training[49]["elapsed_s"]) == ("1.0", "204800.0", "100.0")
    assert training[49]["time"] == "2025-10-09T08:55:00Z"


# Markdown


def test_markdown_marks_the_best_and_is_inert(store: Store) -> None:
    text = text_of(store, ["r1", "r2", "r3"], "md", baseline="r2")
    assert "| validation loss | **1.100** (-0.1) | 1.200 | 1.300 (+0.1) |" in text
    assert "| `lora_r` | 16 | 8 | 16 |" in text and "=cmd()".replace("(", r"\(").replace(")", r"\)") in text
    assert r"r64 \</script\>\<img src=x" in text and r"It \*learns\* by heart" in text
    assert "Of no account" not in text and "🛑" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace(r"\|", "").count("|") for line in table} == {5}


def test_many_runs_are_lines_instead_of_columns(store: Store) -> None:
    for number in range(8):
        store.runs.add(new_run(f"m{number}", f"trial-{number}", recipe={"lora_r": number}))
    text = text_of(store, ["r1", *(f"m{number}" for number in range(8))], "md")
    assert "| trial-7 | 7 |" in text and "| what differs | `lora_r` |" in text


# The picture


def test_a_picture_of_small_multiples(store: Store, tmp_path: Path) -> None:
    file = write_report(store, ["r1", "r2", "r3"], tmp_path / "curves.png", kind="png")
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG") and content[12:16] == b"IHDR"
    width, height = struct.unpack(">II", content[16:24])
    assert 1400 < width < 2600 and 700 < height < 2600
    (alone,) = render_report(store, ["r1"], kind="png", metrics=["eval/loss"])
    assert struct.unpack(">II", alone[16:24])[0] < width


def test_the_picture_is_drawn_of_the_curves(store: Store) -> None:
    from PIL import Image

    (content,) = render_report(store, ["r1", "r2"], kind="png", metrics=["eval/loss"])
    colors = {color for _, color in Image.open(io.BytesIO(content)).convert("RGB").getcolors(1 << 20) or []}
    assert {(0x0B, 0x62, 0xC4), (0xD0, 0x49, 0x0C)} <= colors


def test_matplotlib_is_imported_for_pictures_alone() -> None:
    asked = (
        "import sys, tui.app, tui.cli.root, tui.cli.runs.comparing, engine.reports.content, engine.reports.web_page\n"
        "print([name for name in ('matplotlib', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_names_of_any_kind_are_drawn(store: Store) -> None:
    add_run(store, "odd", r"_$\frac{1}{0$ 日本語 " + "x" * 300, steps=30, metrics=["$\\bad$"])
    (content,) = render_report(store, ["odd", "r3"], kind="png")
    assert content.startswith(b"\x89PNG")


# What is left out


@pytest.mark.parametrize(
    "name",
    [
        *("hf_token", "token", "wandb.apiKey", "API_KEY", "dbPassword", "aws_secret_access_key", "access_key"),
        *("authToken", "accessKeyId", "access_keys", "smtp.auth", "HF_TOKEN_2", "hub token"),
        *("clientsecret", "hftoken", "HFTOKEN", "userpassword", "openaiapikey", "token_value", "db.pwd", "cookies"),
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("sample_max_new_tokens", "eos_token", "pad_token", "tokenizer", "num_tokens", "monkey", "keyed", "lora_r"),
        *("token_dropout", "token_type_ids", "author", "image.eos_token", "boi_token", "eostoken"),
        *("pad_token_id", "decoder_start_token_id", "author_auth_kind"),
    ],
)
def test_names_that_are_none(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_are_left_out_at_any_depth() -> None:
    shown = open_settings({"lr": 1, "hub": {"token": "x", "user": "me"}, "args": [f"--export=T={TOKEN}", {"pwd": "y"}]})
    assert shown["lr"] == 1 and shown["hub"] == {"user": "me"} and shown["args"][1] == {}
    assert TOKEN not in shown["args"][0]
    assert without_secrets("nothing to hide at step 12") == "nothing to hide at step 12"
    example = "hf_abcdefghijABCDEFGHIJ0123456789example"
    left_out = without_secrets(f"api_key={TOKEN} and {example}, then https://me:s3cret-pw@host/x")
    assert left_out == f"api_key={WITHHELD} and {WITHHELD}, then https://me:{WITHHELD}@host/x"


@pytest.mark.parametrize("ids", [["r4"], ["r1", "r4"], ["r1", "r2", "r3", "r4"]])
@pytest.mark.parametrize("kind", ["html", "csv", "curves", "md"])
def test_no_report_holds_a_secret(store: Store, kind: str, ids: list[str]) -> None:
    text = text_of(store, ids, kind)
    assert TOKEN[:9] not in text and "api_key" not in text
    assert "left out: it looks like a secret" in text.replace("\\", "")


# How they are made


def test_plots_have_training_and_validation_of_one_thing_together() -> None:
    found = families(
        [
            "gpu1/power_w",
            "train/loss",
            "gpu0/power_w",
            "train/epoch",
            "my/own_thing",
            "eval/loss",
            "train/learning_rate",
        ]
    )
    assert [(one.title, one.unit, list(one.members.values())) for one in found] == [
        ("loss", "", ["validation", "training"]),
        ("learning rate", "", ["training"]),
        ("my · own thing", "", [""]),
        ("GPU power", "W", ["gpu0", "gpu1"]),
    ]


def test_letters_go_on_behind_z_and_equal_names_have_their_ids(store: Store) -> None:
    for number in range(28):
        store.runs.add(new_run(f"twin{number:02d}", "twin"))
    lanes = lanes_of(store, [f"twin{number:02d}" for number in range(28)])
    assert [lane.letter for lane in lanes[24:]] == ["Y", "Z", "AA", "AB"]
    assert lanes[3].name == "twin (twin03)"


def test_figures_in_words() -> None:
    assert [fmt_change(value) for value in (-0.1109, 1240.3, -3.2e-5, 0.0, float("nan"))] == [
        *("-0.111", "+1,240", "-3.2e-5", "±0", "")
    ]
    assert (fmt_energy(3.6e5), fmt_energy(5.1e6), fmt_energy(None)) == ("100 Wh", "1.42 kWh", "–")
    assert fmt_setting([True, 2e-4, "x", None]) == "yes, 2e-4, x, –"


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_reported_is_said(store: Store, tmp_path: Path, kind: str) -> None:
    options = {"kind": kind}
    with pytest.raises(NotFound, match="no run nothing"):
        write_report(store, ["r1", "nothing"], tmp_path / "x", **options)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="None of the runs has a metric 'eval/bleu'"):
        write_report(store, ["r1"], tmp_path / "x", metrics=["eval/bleu"], **options)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="is a folder"):
        write_report(store, ["r1"], tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="no folder"):
        write_report(store, ["r1"], tmp_path / "missing" / "x", **options)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="needs a run"):
        write_report(store, [], tmp_path / "x", **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [], "nothing is left of what failed"


def test_a_disk_that_refuses_leaves_what_was_there(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    file.write_text("before")
    (tmp_path / f".report.md.{os.getpid()}.part").mkdir()  # where the new one would be written first
    with pytest.raises(FinetuiError, match="cannot be written"):
        write_report(store, ["r1"], file, kind="md")
    assert file.read_text() == "before"


def test_a_baseline_that_is_none_of_the_runs_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="baseline"):
        render_report(store, ["r1", "r2"], kind="md", baseline="r3")
