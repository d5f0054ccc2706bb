"""Row 5: the disk becomes full in the middle of a checkpoint of real training. The one before stays, and is resumed."""

import subprocess
from pathlib import Path

import pytest

from engine.runs.recognise import code_in
from engine.runs.rundir import COMMITTED, checkpoint_step
from engine.worker import checkpoints, train
from tests.faults.disks import small_disk
from tests.worker.conftest import chat_model, tiny_model
from tests.worker.runs import end, events, losses, make_run

__all__ = ["chat_model", "tiny_model"]

pytestmark = pytest.mark.train

STEPS = 8


def test_row_5_a_checkpoint_that_finds_no_room_leaves_the_one_before_whole(
    chat_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 2 << 20) as disk:
        run = make_run(
            disk.path / "run", chat_model, eval_steps=1, validation=0, max_steps=STEPS, save_total_limit=STEPS
        )
        assert train.main(str(run.path)) == 1
        final = end(run)
        assert (final["status"], final["code"]) == ("failed", "disk_full"), final
        assert final["reason"].startswith("The disk is full") and code_in(final["reason"])
        assert final["fix"].startswith("Free some space, then resume")
        kept = run.committed_checkpoints()
        reached = checkpoint_step(kept[-1])
        assert 0 < reached < STEPS
        assert checkpoints.latest_whole(run) == (kept[-1], [])
        half = [folder for folder in run.checkpoints.iterdir() if not (folder / COMMITTED).exists()]
        assert half == [], "what is half saved takes room, and is of no use"
        assert [event["step"] for event in events(run, "checkpoint")] == [checkpoint_step(one) for one in kept]

        subprocess.run(["mount", "-o", "remount,size=64m", str(disk.path)], check=True)
        monkeypatch.setenv("FINETUI_ATTEMPT", "2")
        assert train.main(str(run.path)) == 0
        assert end(run)["status"] == "succeeded"
        assert [*losses(run, 2)] == [*range(reached + 1, STEPS + 1)]
