"""`finetui doctor` as it is called: the document, the fixes, the report."""

import json
import zipfile
from pathlib import Path

from engine.home import Home
from tests.cli.conftest import Cli


def test_what_is_wrong_comes_with_what_to_do(cli: Cli, home: Home) -> None:
    home.root.chmod(0o755)
    checks = {check["name"]: check for check in cli("doctor", "--json").json["checks"]}
    assert set(checks["permissions"]) == {"name", "ok", "found", "fix"} and not checks["permissions"]["ok"]
    shown = cli("doctor")
    assert shown.status == 0
    assert f"permissions: chmod -R go-rwx {home.root}" in shown.stdout.partition("What to do")[2]


def test_a_report_is_written_and_named(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "report.zip"
    document = cli("doctor", "--bundle", str(target), "--json").json
    assert document["bundle"]["path"] == str(target) and "checks.json" in document["bundle"]["files"]
    with zipfile.ZipFile(target) as archive:
        kept = json.loads(archive.read("finetui-report/checks.json"))
    assert [check["name"] for check in kept] == [check["name"] for check in document["checks"]]
    again = cli("doctor", "--bundle", str(target))
    assert again.status == 2 and "exists already" in again.stderr
    assert "Read them before you pass them on" in cli("doctor", "--bundle", str(tmp_path / "other.zip")).stdout
