"""`finetui costs`."""

from engine.home import Home
from tests.cli.conftest import Cli, MakeRun


def test_costs_as_a_table_and_as_a_document(cli: Cli, make_run: MakeRun, home: Home) -> None:
    (home.root / "settings.toml").write_text('[prices]\nkwh = 0.3\ncurrency = "€"\n')
    make_run()
    shown = cli("costs", "--by", "model")
    assert shown.status == 0 and "DEVICE HOURS" in shown.stdout and "No energy was measured" in shown.stdout
    document = cli("costs", "--by", "model", "--since", "30d", "--json").json
    assert document["currency"] == "€" and document["by"] == "model"
    assert set(document["total"]) >= {"runs", "device_s", "energy_j", "electricity", "cost"}
    assert cli("costs", "--until", "1990").stdout.strip() == "No run began in that time."


def test_what_is_not_understood_is_said(finetui: Cli) -> None:
    assert "no time" in finetui("costs", "--since", "soon").stderr
    refused = finetui("costs", "--by", "colour")
    assert refused.status == 2 and "month" in refused.stderr
