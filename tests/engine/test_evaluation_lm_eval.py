"""lm-eval: the command, its results, and what is said where it is not installed."""

import json
import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from engine.errors import BadInput, FinetuiError
from engine.evaluation import lm_eval
from engine.evaluation.lm_eval import LmEvalModel, check, command, lower_is_better, read_results


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm_eval, "find_spec", lambda name: ModuleSpec(name, None))


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lm_eval, "find_spec", lambda _: None)
    with pytest.raises(FinetuiError) as refused:
        check(["hellaswag"])
    assert 'pip install "lm-eval[hf]"' in refused.value.fix
    check([])


def test_the_command_names_base_adapter_and_how_it_is_loaded(installed: None, tmp_path: Path) -> None:
    model = LmEvalModel("org/base", tmp_path / "adapter", "abc", four_bit=True, trust_remote_code=True)
    argv = command(model, ["hellaswag", "arc_easy"], tmp_path / "out", limit=20, batch=4, device="cpu", seed=3)
    assert argv[:3] == [sys.executable, "-m", "lm_eval"]
    given = dict(zip(argv[3::2], argv[4::2], strict=True))
    assert given["--model_args"] == (
        f"pretrained=org/base,peft={tmp_path / 'adapter'},revision=abc,"
        "load_in_4bit=True,bnb_4bit_quant_type=nf4,trust_remote_code=True"
    )
    assert given["--tasks"] == "hellaswag,arc_easy"
    assert (given["--limit"], given["--batch_size"], given["--device"], given["--seed"]) == ("20", "4", "cpu", "3")
    plain = command(LmEvalModel("org/base"), ["arc_easy"], tmp_path)
    assert "--limit" not in plain and plain[plain.index("--batch_size") + 1] == "auto"


@pytest.mark.parametrize("task", ["", "--help", "a,b", "a b", "../x"])
def test_what_is_no_task_is_refused(installed: None, task: str) -> None:
    with pytest.raises(BadInput, match="no task's name"):
        command(LmEvalModel("m"), [task], Path("out"))


def test_a_path_that_would_be_read_as_two_values_is_refused(installed: None) -> None:
    with pytest.raises(BadInput, match="cannot be given"):
        command(LmEvalModel("m", Path("/data/a,peft=b")), ["arc_easy"], Path("out"))


RESULTS: dict[str, Any] = {
    "results": {
        "arc_easy": {
            "alias": "arc_easy",
            "acc,none": 0.5,
            "acc_stderr,none": 0.1,
            "acc_norm,none": 0.6,
            "acc_norm_stderr,none": "N/A",
        },
        "gsm8k": {"exact_match,strict-match": 0.2, "exact_match_stderr,strict-match": 0.05, "sample_len": 20},
    },
    "n-samples": {"arc_easy": {"original": 2376, "effective": 20}},
}


def test_results_are_read_with_intervals_by_their_standard_errors(tmp_path: Path) -> None:
    folder = tmp_path / "org__base"
    folder.mkdir()
    (folder / "results_old.json").write_text('{"results": {}}')
    newest = folder / "results_2026.json"
    newest.write_text(json.dumps(RESULTS))
    os.utime(folder / "results_old.json", (1, 1))
    found = {one.metric: one for one in read_results(tmp_path, evaluation="e", model=1)}
    assert list(found) == [
        "lm_eval/arc_easy/acc",
        "lm_eval/arc_easy/acc_norm",
        "lm_eval/gsm8k/exact_match(strict-match)",
    ]
    accuracy = found["lm_eval/arc_easy/acc"]
    assert (accuracy.evaluation, accuracy.model, accuracy.value, accuracy.rows) == ("e", 1, 0.5, 20)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.304, 0.696), abs=1e-3)
    assert found["lm_eval/arc_easy/acc_norm"].low is None
    assert not lower_is_better("lm_eval/arc_easy/acc") and lower_is_better("lm_eval/wikitext/word_perplexity")


def test_results_that_are_missing_or_broken_are_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(FinetuiError, match="left no results"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text('{"results": []}')
    with pytest.raises(FinetuiError, match="cannot be read"):
        read_results(tmp_path)


def test_the_installed_lm_eval_knows_every_option_of_the_command(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    argv = command(LmEvalModel("starter"), ["arc_easy"], tmp_path, limit=1, batch=1, device="cpu")
    usage = subprocess.run([*argv[:3], "run", "--help"], capture_output=True, text=True, timeout=120, check=False)
    for option in argv[3::2]:
        assert option in usage.stdout
