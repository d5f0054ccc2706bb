"""Files that break off or have a bit turned give what they hold; the rest is named; nothing is raised."""

import random
import shutil
from pathlib import Path

import pytest

from engine.errors import FinetuiError
from engine.history import find_history
from engine.history.importing import _reader
from engine.history.items import Damage, FoundRun, Item, Row
from store.records import Status
from tests.history.conftest import Here

PATHS = (
    "wandb/*handmade/run-handmade.wandb",
    "tensorboard/mixed/events.out.tfevents.1763712391.host",
    "trainer/checkpoint-8/trainer_state.json",
    "trackio/by-hand.db",
)


def original(files: Path, pattern: str) -> Path:
    [found] = files.glob(pattern)
    return found


def read(path: Path) -> list[Item]:
    """All items of all runs in a file; none where nothing is found in it."""
    try:
        runs = find_history(path).runs
    except FinetuiError:
        return []
    return [item for run in runs for item in _reader(run)(run, lambda _read: None)]


def values(items: list[Item]) -> set[tuple[object, ...]]:
    return {
        (item.step, name, repr(value)) for item in items if isinstance(item, Row) for name, value in item.values.items()
    }


@pytest.mark.parametrize("pattern", PATHS)
def test_broken_off_anywhere(files: Path, tmp_path: Path, pattern: str) -> None:
    """The beginning of a file gives a part of the whole, and never anything else."""
    source = original(files, pattern)
    whole = source.read_bytes()
    everything = values(read(source))
    places = range(len(whole)) if len(whole) < 1_000 else random.Random(7).sample(range(len(whole)), 150)
    copy = tmp_path / source.name
    most = 0
    for place in sorted(places):
        copy.write_bytes(whole[:place])
        found = values(read(copy))
        assert found <= everything, place
        if source.suffix != ".db":  # pages of a database are not in order
            assert len(found) >= most, place
        most = max(most, len(found))
    assert most > len(everything) // 3


@pytest.mark.parametrize("pattern", PATHS)
def test_a_bit_turned_anywhere(files: Path, tmp_path: Path, pattern: str) -> None:
    """One bit costs a record, or a block of them, or changes a value where there is no check; it raises nothing."""
    source = original(files, pattern)
    whole = source.read_bytes()
    everything = values(read(source))
    copy = tmp_path / source.name
    chance = random.Random(11)
    checked = source.suffix == ".wandb" or "tfevents" in source.name
    kept = []
    for _ in range(120):
        place = chance.randrange(len(whole))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        copy.write_bytes(damaged)
        items = read(copy)
        found = values(items)
        if checked and place > 20:
            assert found <= everything, place
            assert found == everything or any(isinstance(item, Damage) for item in items), place
        kept.append(len(found & everything) / len(everything))
    assert sum(kept) / len(kept) > (0.9 if checked else 0.8)


def test_damage_is_named_on_the_run_and_in_the_outcome(here: Here, files: Path, tmp_path: Path) -> None:
    source = original(files, PATHS[0])
    data = bytearray(source.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / source.name).write_bytes(data)
    outcome = here.take(tmp_path / source.name)
    [run] = outcome.runs
    assert run.outcome == "imported" and run.points > 0
    assert run.problems and "damaged" in run.problems[0]
    alerts = here.store.runs.events(run.id, {"alert"})
    assert [row.body["message"] for row in alerts if row.body["code"] == "import_damaged"] == list(run.problems)


def test_a_run_that_was_killed_is_lost(here: Here, files: Path, tmp_path: Path) -> None:
    source = original(files, PATHS[0])
    (tmp_path / source.name).write_bytes(source.read_bytes()[:-200])
    run = here.only(tmp_path / source.name)
    assert (run.status, run.reason) == (Status.LOST, "its file ends before the run does")


def test_a_file_with_nothing_readable_makes_no_run(here: Here, tmp_path: Path) -> None:
    (tmp_path / "run-abc.wandb").write_bytes(b":W&B\xe1\xbe\0" + b"\xff" * 5_000)
    outcome = here.take(tmp_path)
    assert [(run.outcome, run.id) for run in outcome.runs] == [("failed", "")]
    assert outcome.runs[0].problems and not here.store.runs.list()
    assert not list(here.home.runs.iterdir())


def test_damaged_pages_of_a_database_are_gone_around(here: Here, files: Path, tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "long.db"
    shutil.copy(files / "trackio" / "by-hand.db", path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM metrics")
        connection.executemany(
            "INSERT INTO metrics (id, run_id, timestamp, run_name, step, metrics) VALUES (?, 'x', ?, 'long', ?, ?)",
            [(n + 1, f"2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}+00:00", n, '{"loss": 1.5}') for n in range(3_000)],
        )
        [page_size] = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    at = data.rindex(b'{"loss": 1.5}', 0, len(data) * 3 // 4) // page_size * page_size
    data[at : at + page_size] = b"\xa5" * page_size
    path.write_bytes(data)
    outcome = here.take(path)
    run = here.named("long")
    found = here.points(run, "train/loss")
    assert 2_500 < len(found) < 3_000 and max(found) == 2_999
    assert any("cannot be read" in problem for one in outcome.runs if one.name == "long" for problem in one.problems)


def test_a_reader_that_fails_costs_what_follows_alone(here: Here, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.history import importing

    def fails(run: FoundRun, at: object) -> object:
        yield Row({"loss": 2.0}, 0, 1763712391.0)
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(importing, "_reader", lambda _run: fails)
    [run] = here.take(original(files, PATHS[0])).runs
    assert run.points == 1 and "unforeseen" in run.problems[0]
