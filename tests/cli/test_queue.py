"""`finetui queue`: what waits, and how the order is changed from a script."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from engine.home import Home
from engine.runs import manager as managing
from engine.runs.allot import Request
from engine.runs.leases import Lease, Ticket, read_holders
from tests.cli.conftest import Cli
from tests.engine.models_made import make_starter
from tests.engine.runs_at_work import put_away, stand_in, wait_for


@pytest.fixture
def busy(home: Home, cli: Cli, chats: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lease]:
    """The processor is taken, and three runs wait for it: a, b and c."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(managing.RunManager.__init__, "__kwdefaults__", {"worker": stand_in("--hold-at", "1")})
    make_starter(home)
    assert cli("datasets", "import", str(chats), "--name", "small").status == 0
    lease = Ticket(home.root / "leases", Request("another", ("cpu",))).try_take()
    assert lease is not None
    with put_away(home.runs):
        for name in "abc":
            launched = cli("train", "--preset", "quick-look", "--dataset", "small", "--name", name)
            assert launched.status == 0, launched.stderr
            wait_for(partial(is_waiting, cli, name))
        yield lease


def is_waiting(cli: Cli, name: str) -> bool:
    return places(cli).get(name) is not None


def places(cli: Cli) -> dict[str, int]:
    return {run["name"]: run["place"] for run in cli("queue", "ls", "--json").json}


def test_the_queue_and_its_order(busy: Lease, cli: Cli, home: Home) -> None:
    [first, *_] = cli("queue", "ls", "--json").json
    assert first["name"] == "a" and first["status"] == "queued" and first["priority"] == 0
    assert first["device"] == "cpu held by another"
    assert {"needs_bytes", "takes_s", "starts_s", "eta_s", "progress", "id"} <= set(first)
    shown = cli("queue", "ls").stdout
    assert "cpu held by another" in shown and "cpu after a" in shown
    assert cli("queue", "move", "c", "1", "--json").json["place"] == 1
    assert places(cli) == {"c": 1, "a": 2, "b": 3}
    moved = cli("queue", "priority", "b", "4")
    assert "place 1, priority 4; cpu held by another." in moved.stdout
    assert cli("queue", "priority", "c", "--json", "--", "-1").json["place"] == 3
    assert cli("queue", "move", "c", "0").status == 2
    cancelled = cli("queue", "cancel", "a", "--json")
    assert cancelled.status == 0 and cancelled.json["name"] == "a"
    wait_for(lambda: set(places(cli)) == {"b", "c"})
    assert cli("runs", "show", "a", "--json").json["reason"] == "stopped while waiting for cpu"
    started = cli("queue", "now", "c")
    assert "starts now" in started.stdout
    wait_for(lambda: places(cli) == {"c": None, "b": 1})
    assert read_holders(home.root / "leases")["cpu"][0].run == "another"
    for refused in (cli("queue", "cancel", "c"), cli("queue", "move", "c", "1"), cli("queue", "now", "a")):
        assert refused.status == 2 and "does not wait" in refused.stderr
    busy.release()
    [at_work, waits] = cli("queue", "ls", "--json").json
    assert at_work["device"] == "cpu" and waits["device"] == "cpu held by c"


def test_an_empty_queue(cli: Cli) -> None:
    assert cli("queue", "ls", "--json").json == []
    assert "nothing waits" in cli("queue", "ls").stdout
    missing = cli("queue", "move", "nobody", "1")
    assert missing.status == 2 and "nobody" in missing.stderr
