"""`finetui runs import`."""

from pathlib import Path

from tests.cli.conftest import Cli

FILES = Path(__file__).parents[1] / "history" / "files"


def test_a_folder_of_runs_and_once_more(cli: Cli) -> None:
    first = cli("runs", "import", str(FILES / "wandb"), "--tag", "old", "--json")
    assert first.status == 0
    document = first.json
    assert (document["imported"], document["unchanged"], document["failed"]) == (2, 0, 0)
    [hand] = [run for run in document["runs"] if run["name"] == "by hand"]
    assert hand["source"] == "wandb" and hand["points"] > 30 and hand["skipped"]["histograms"] == 1
    listed = {run["name"]: run for run in cli("runs", "ls", "--json").json}
    assert set(listed) == {"by hand", "support-first"} and "old" in listed["by hand"]["tags"]
    again = cli("runs", "import", str(FILES / "wandb"))
    assert again.stdout == "2 runs here already.\n"


def test_a_dry_run_imports_nothing(cli: Cli) -> None:
    shown = cli("runs", "import", str(FILES), "--dry-run")
    assert shown.status == 0 and "Nothing was imported" in shown.stdout
    assert all(kind in shown.stdout for kind in ("wandb", "tensorboard", "trainer", "mlflow"))
    document = cli("runs", "import", str(FILES), "--dry-run", "--json").json
    assert {run["state"] for run in document["runs"]} == {"new"}
    assert cli("runs", "ls", "--json").json == []


def test_a_name_is_for_one_run(cli: Cli) -> None:
    refused = cli("runs", "import", str(FILES / "wandb"), "--name", "mine")
    assert refused.status == 2 and "2 runs were found" in refused.stderr and "--tag" in refused.stderr
    assert cli("runs", "import", str(FILES / "trainer"), "--name", "mine").status == 0
    assert [run["name"] for run in cli("runs", "ls", "--json").json] == ["mine"]


def test_what_cannot_be_imported_says_what_can(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    for path in (tmp_path / "notes.txt", tmp_path):
        refused = cli("runs", "import", str(path))
        assert refused.status == 2 and "holds nothing to import" in refused.stderr and ".wandb" in refused.stderr
    missing = cli("runs", "import", str(tmp_path / "gone"))
    assert missing.status == 2 and "There is no file or folder" in missing.stderr


def test_damage_is_named(cli: Cli, tmp_path: Path) -> None:
    [source] = FILES.glob("wandb/*/run-handmade.wandb")
    (tmp_path / source.name).write_bytes(source.read_bytes()[:-300])
    done = cli("runs", "import", str(tmp_path))
    assert done.status == 0 and "These could not be read:" in done.stdout and "breaks off" in done.stdout
    (tmp_path / source.name).write_bytes(source.read_bytes()[:60])
    nothing = cli("runs", "import", str(tmp_path / source.name), "--home", str(tmp_path / "other"))
    assert nothing.status == 1 and "failed" in nothing.stdout and "1 run not readable." in nothing.stdout
