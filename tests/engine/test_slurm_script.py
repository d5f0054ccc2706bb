"""What Slurm is given and how its answers are read; no Slurm is needed for it."""

import os
import subprocess
from pathlib import Path

import pytest

from engine.errors import BadInput
from engine.recipe import make_recipe
from engine.runs.backends import slurm, slurm_jobs
from engine.runs.backends.slurm_end import verdict_of
from engine.runs.backends.slurm_jobs import Job, JobWatch, look
from engine.runs.backends.slurm_script import script_text, slug, time_limit_s
from engine.runs.failure_codes import FailureCode
from engine.runs.identity import boot_id, host
from engine.runs.processes import is_taken_away, process_count, worker_command
from engine.runs.reconcile import judge
from engine.runs.rundir import RunDir, write_json
from store.records import Status

INPUTS = {"id": "r1", "name": "Größe 7\n#SBATCH --uid=0", "processes": 4, "backend": "slurm"}
WORKER = ("python", "-m", "engine.worker.train")


def script(gpus: bool = True, **recipe: object) -> list[str]:
    fields = make_recipe({"dataset": "d", "backend": "slurm"} | recipe).model_dump()
    text = script_text(
        Path("/shared/my home/runs/r1"),
        fields,
        INPUTS,
        attempt=3,
        gpus=gpus,
        supervisor=["/env/bin/python", "-m", "engine.runs.supervisor", "/shared/my home/runs/r1"],
        worker=WORKER,
        python_path="/opt/fine tui",
    )
    checked = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    return text.splitlines()


def install(folder: Path, name: str, body: str) -> None:
    """A program of Slurm's that does what `body` says."""
    (folder / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_the_script_says_what_the_recipe_asks_for() -> None:
    lines = script(
        devices=4,
        nodes=2,
        slurm_partition="gpu",
        slurm_account="team",
        slurm_time="1-12:00:00",
        slurm_options=("--constraint=a100&nvlink", "contiguous"),
    )
    given = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert given == [
        "--job-name=finetui-Groe-7--SBATCH---uid-0",
        "--comment=finetui:r1",
        '--chdir="/shared/my home/runs/r1"',
        "--output=log.txt",
        "--open-mode=append",
        "--nodes=2",
        "--ntasks-per-node=1",
        "--cpus-per-task=16",
        "--gpus-per-node=4",
        "--partition=gpu",
        "--account=team",
        "--time=1-12:00:00",
        "--signal=B:TERM@120",
        "--requeue",
        "--constraint=a100&nvlink",
        "--contiguous",
    ]
    assert lines[0] == "#!/bin/bash"
    assert "export PYTHONPATH='/opt/fine tui'" in lines
    assert '  --attempt $((3 + ${SLURM_RESTART_COUNT:-0})) --job "$SLURM_JOB_ID" \\' in lines
    before = lines[: lines.index("#SBATCH --signal=B:TERM@120")]
    assert before[-1].startswith("# 120 seconds before its time limit"), "each part is explained"


def test_nothing_that_is_given_begins_a_line_of_its_own() -> None:
    lines = script(slurm_options=("--qos=a\nscancel --me",), slurm_partition="p\n#SBATCH --uid=0")
    assert not [line for line in lines if line.startswith(("scancel", "#SBATCH --uid"))]


def test_gpus_are_asked_for_where_there_are_any_and_the_recipe_does_not() -> None:
    assert not [line for line in script(gpus=False) if "gpus" in line]
    assert "#SBATCH --cpus-per-task=4" in script(gpus=False), "a core for each process"
    own = script(slurm_options=("--gres=gpu:h100:4", "-c 64"))
    assert not [line for line in own if "gpus-per-node" in line or "cpus-per-task" in line]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 1_800),
        ("30:15", 1_815),
        ("2:00:00", 7_200),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("1-0:0:5", 86_405),
        ("soon", None),
        ("", None),
        (None, None),
        ("1:2:3:4", None),
    ],
)
def test_time_limits(text: str | None, seconds: int | None) -> None:
    assert time_limit_s(text) == seconds


def test_a_short_limit_warns_late_enough() -> None:
    assert "#SBATCH --signal=B:TERM@15" in script(slurm_time="1")
    assert "#SBATCH --signal=B:TERM@120" in script(slurm_time="30")


def test_names_are_words_that_slurm_shows() -> None:
    assert slug("a b/c") == "finetui-a-b-c"
    assert len(slug("x" * 99)) == 60


def test_several_nodes_meet_at_the_first() -> None:
    job = {"SLURM_JOB_ID": "77", "SLURM_JOB_NUM_NODES": "3", "SLURMD_NODENAME": "n07"}
    assert process_count(INPUTS, job) == 12
    command = worker_command(WORKER, INPUTS, "/runs/r1", job)
    assert command[:4] == ["srun", "--nodes=3", "--ntasks-per-node=1", "--kill-on-bad-exit=1"]
    endpoint = next(part for part in command if part.startswith("--rdzv-endpoint="))
    assert endpoint.startswith("--rdzv-endpoint=n07:")
    assert worker_command(WORKER, INPUTS, "/runs/r1", job) == command, "each node is told the same"
    assert command[-4:] == ["--nproc-per-node=4", "-m", "engine.worker.train", "/runs/r1"]
    assert worker_command(WORKER, {"processes": 1}, "/runs/r1", job) == [*WORKER, "/runs/r1"]
    assert worker_command(("/bin/other", "-x"), {"processes": 2}, "/r", {})[-4:] == [
        "--no-python",
        "/bin/other",
        "-x",
        "/r",
    ]


def test_a_stop_is_slurms_unless_a_person_asked(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    assert is_taken_away(run, INPUTS), "a bare signal"
    assert not is_taken_away(run, {"backend": "local"})
    run.stop.write_text("stop")
    assert not is_taken_away(run, INPUTS)
    run.stop.write_text("slurm")
    assert is_taken_away(run, INPUTS)


# what Slurm answers


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first in the PATH."""
    monkeypatch.setattr(slurm_jobs, "FIRST_LOOK_S", 60.0)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_jobs_are_found_in_the_queue_then_in_the_books_then_at_the_controller(programs: Path) -> None:
    install(programs, "squeue", "echo '7|PENDING|n/a|N/A|Resources'; echo '8|RUNNING|n2|2026-11-21T13:00:00|None'")
    install(programs, "sacct", "echo '5|CANCELLED by 1000|n1|2026-11-21T13:00:00|None'; echo '5|FAILED|n1|x|y' >&2")
    install(programs, "scontrol", 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1')
    found = look(["5", "6", "7", "8"])
    assert (found["7"].state, found["7"].reason, found["7"].node, found["7"].waits) == (
        "PENDING",
        "Resources",
        "",
        True,
    )
    assert (found["8"].node, found["8"].live, found["8"].ended) == ("n2", True, 0.0)
    assert (found["5"].state, found["5"].live) == ("CANCELLED", False)
    assert found["5"].ended > 0
    assert found["6"].state == "", "nobody knows it any more"


def test_without_books_the_controller_is_asked(programs: Path) -> None:
    install(programs, "squeue", "true")
    install(programs, "sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    install(
        programs,
        "scontrol",
        "echo 'JobId=5 JobState=TIMEOUT Reason=TimeLimit EndTime=2026-11-21T13:00:00 BatchHost=n3'",
    )
    assert (look(["5"])["5"].state, look(["5"])["5"].node) == ("TIMEOUT", "n3")


def test_a_slurm_that_hangs_holds_nobody_up(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_jobs, "COMMAND_S", 0.3)
    monkeypatch.setattr(slurm_jobs, "FIRST_LOOK_S", 0.1)
    install(programs, "squeue", "exec sleep 5")
    watch = JobWatch()
    assert watch.find("7") is None, "nothing is said of it"
    assert look(["7"]) == {}


def test_an_end_that_comes_while_slurm_is_asked_is_not_missed(tmp_path: Path, programs: Path) -> None:
    run = RunDir(tmp_path / "r1")
    run.path.mkdir()
    write_json(run.process, {"host": host(), "boot_id": boot_id(), "attempt": 1, "job_id": "901"})
    write_json(run.path / "soon.json", {"attempt": 1, "requested": "kill", "signal": 9, "ended": 2.0})
    install(programs, "squeue", f"mv '{run.path}/soon.json' '{run.exit}'; echo '901|FAILED|n1|x|None'")
    found = judge(run)
    assert found is not None
    assert (found.status, found.reason, found.ended) == (Status.STOPPED, "killed; no step was saved", 2.0)


def test_a_job_that_begins_anew_while_slurm_is_asked_has_not_ended(tmp_path: Path, programs: Path) -> None:
    run = RunDir(tmp_path / "r1")
    run.path.mkdir()
    first = {"host": host(), "boot_id": boot_id(), "attempt": 1, "job_id": "902"}
    write_json(run.process, first)
    write_json(run.path / "soon.json", first | {"attempt": 2})
    install(programs, "squeue", f"mv '{run.path}/soon.json' '{run.process}'; echo '902|FAILED|n1|x|None'")
    assert judge(run) is None


@pytest.mark.parametrize(
    ("state", "status", "words", "code"),
    [
        ("CANCELLED", Status.STOPPED, "cancelled in Slurm (job 5); 2 steps kept", None),
        ("TIMEOUT", Status.FAILED, "time limit", FailureCode.TIME_LIMIT),
        ("PREEMPTED", Status.FAILED, "another job", FailureCode.PREEMPTED),
        ("NODE_FAIL", Status.FAILED, "its node failed", FailureCode.NODE_FAILED),
        ("OUT_OF_MEMORY", Status.FAILED, "out of memory", FailureCode.HOST_OUT_OF_MEMORY),
        ("", Status.LOST, "no longer knows its job 5", FailureCode.VANISHED),
        ("FAILED", Status.FAILED, "without an exit record: exec: python: not found", FailureCode.CANNOT_START),
    ],
)
def test_each_end_of_a_job_has_its_words(
    tmp_path: Path, state: str, status: Status, words: str, code: FailureCode | None
) -> None:
    log = tmp_path / "log.txt"
    log.write_text("exec: python: not found\n")
    found = verdict_of(Job("5", state), log, "2 steps kept", told=False)
    assert (found[0], found[2]) == (status, code)
    assert words in found[1]


def test_a_recipe_that_slurm_cannot_run_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    recipe = make_recipe(
        {"dataset": "d", "devices": (0, 1), "slurm_time": "soon", "slurm_options": ("--output=x", "--qos=high")}
    )
    found = slurm.problems(recipe.model_dump())
    assert found.keys() == {"backend", "devices", "slurm_time", "slurm_options"}
    assert "--output=x" in found["slurm_options"]
    assert "--qos" not in found["slurm_options"]
    with pytest.raises(BadInput, match="no Slurm on this machine"):
        slurm.submit(RunDir(tmp_path), 1, WORKER)
