"""Datasets of the hub: names, the process that fetches them, and what is said where that is not possible."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.datasets import hub
from engine.datasets.hub import HubName, fetch_hub, is_hub_name, parse_hub_name
from engine.datasets.sources import open_source
from engine.errors import BadInput, Cancelled, FinetuiError
from engine.worker.hub import check_places, explained
from tests.engine.children import running

ROWS = [
    {"messages": [{"role": "user", "content": "ü"}, {"role": "assistant", "content": str(index)}], "m": {"i": index}}
    for index in range(3)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that the hub's library reads without a network."""
    folder = tmp_path / "chats"
    folder.mkdir()
    for split, rows in (("train", ROWS), ("test", ROWS[:1])):
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@contextmanager
def fake_hub(status: int, headers: dict[str, str], delay: threading.Event | None = None) -> Iterator[str]:
    """A server that answers every question alike."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            if self.path != "/" and delay is not None:
                delay.wait(30)
            self.send_response(200 if self.path == "/" else status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        if delay is not None:
            delay.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("text", "name", "title"),
    [
        ("hub:tatsu-lab/alpaca", HubName("tatsu-lab/alpaca"), "alpaca"),
        ("imdb", HubName("imdb"), "imdb"),
        ("hub:a/b:train", HubName("a/b", split="train"), "b"),
        ("hub:a/b:train[:10%]", HubName("a/b", split="train[:10%]"), "b"),
        ("hub:a/b/main.v1:test", HubName("a/b", config="main.v1", split="test"), "b-main.v1"),
        ("hub:a/b@refs/convert/parquet", HubName("a/b", revision="refs/convert/parquet"), "b"),
        ("hub:a/b/c@v1.0:d", HubName("a/b", config="c", revision="v1.0", split="d"), "b-c"),
    ],
)
def test_names(text: str, name: HubName, title: str) -> None:
    assert parse_hub_name(text) == name
    assert name.title == title


@pytest.mark.parametrize(
    "text",
    [
        "hub:",
        "hub:../../x",
        "hub:/nowhere/at/all",
        "hub:./a\0b",
        "hub:~nobody-is-called-this/x",
        "hub:a/b/c/d",
        "hub:a/../b",
        "hub:a/b:",
        "hub:a/b@",
        "hub:a/b;rm",
        "hub:a b",
        "hub:a\0b",
        "hub:-x/y",
        f"hub:{'n' * 400}",
    ],
)
def test_what_is_no_name_is_refused_at_once(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as error:
        fetch_hub(text, tmp_path / "target")
    assert "hub:OWNER/NAME" in error.value.fix
    assert not (tmp_path / "target").exists()


def test_only_hub_names_are_fetched() -> None:
    assert is_hub_name("hub:a/b")
    assert is_hub_name(Path("hub:a/b"))
    assert not is_hub_name(Path("./hub:a/b").absolute())


def test_each_split_becomes_a_parquet_file(tmp_path: Path, folder: Path) -> None:
    shares: list[float] = []
    target = fetch_hub(f"hub:{folder}", tmp_path / "target", progress=shares.append)
    assert sorted(path.name for path in target.iterdir()) == ["test.parquet", "train.parquet"]
    found = [(row.split, row.parse()) for row in open_source(target).rows()]
    assert found == [("test", ROWS[0])] + [("train", row) for row in ROWS]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_one_split_can_be_named(tmp_path: Path, folder: Path) -> None:
    target = fetch_hub(f"{folder}:train[:2]", tmp_path / "target")
    assert [row.parse() for row in open_source(target).rows()] == ROWS[:2]
    with pytest.raises(BadInput, match="cannot be fetched") as error:
        fetch_hub(f"hub:{folder}:dev", target)
    assert "['train', 'test']" in error.value.why or "['test', 'train']" in error.value.why
    assert [path.name for path in target.iterdir()] == ["train.parquet"]  # what was there stays, and nothing is added


@pytest.mark.parametrize("kind", ["a link", "a folder", "a line", "a pattern"])
def test_data_from_elsewhere_is_refused(tmp_path: Path, folder: Path, kind: str) -> None:
    """By a link in the folder, or by what its README calls data."""
    outside = tmp_path / "private"
    outside.mkdir()
    (outside / "test.jsonl").write_text('{"text": "somebody\'s private words"}\n')
    if kind == "a link":
        (folder / "test.jsonl").unlink()
        (folder / "test.jsonl").symlink_to(outside / "test.jsonl")
    else:
        (folder / "data").symlink_to(outside)
        path = {"a folder": "data/*.jsonl", "a line": outside / "test.jsonl", "a pattern": "../private/*.jsonl"}[kind]
        (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files: {path}\n---\n")
    with pytest.raises(BadInput, match="takes data from elsewhere") as error:
        fetch_hub(f"hub:{folder}", tmp_path / "target")
    assert "no part of it" in error.value.why and "import it by its own name" in error.value.fix
    assert not list((tmp_path / "target").iterdir())


def test_a_snapshot_in_the_cache_of_the_hub_is_read(tmp_path: Path, folder: Path) -> None:
    snapshot = tmp_path / "hub" / "datasets--a--b" / "snapshots" / "c0ffee"
    (snapshot.parents[1] / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (folder / "train.jsonl").rename(snapshot.parents[1] / "blobs" / "1f2e")
    (snapshot / "train.jsonl").symlink_to("../../blobs/1f2e")
    target = fetch_hub(f"hub:{snapshot}", tmp_path / "target")
    assert [row.parse() for row in open_source(target).rows()] == ROWS


@pytest.mark.parametrize(
    ("file", "taken"),
    [
        ("hf://datasets/a/b@c0ffee/train.jsonl", True),
        ("zip://a.csv::hf://datasets/a/b@c0ffee/a.zip", True),
        ("https://example.org/rows.csv", True),
        ("/etc/passwd", False),
        ("file:///etc/passwd", False),
        ("http://127.0.0.1/rows.csv", False),
        ("zip://a.csv::/home/me/a.zip", False),
        ("file:///etc/passwd::hf://datasets/a/b@c0ffee/a.zip", False),
    ],
)
def test_a_dataset_of_the_hub_takes_nothing_of_this_machine(file: str, taken: bool) -> None:
    if taken:
        check_places("a/b", [file])
    else:
        with pytest.raises(FinetuiError, match="from elsewhere"):
            check_places("a/b", [file])


def test_a_dataset_made_by_a_script_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(BadInput, match="made by a script") as error:
        fetch_hub(f"hub:{folder}", tmp_path / "target")
    assert "nothing of it was run" in error.value.why
    assert not (tmp_path / "ran").exists()


def test_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    with pytest.raises(BadInput, match="someone/chats cannot be fetched") as error:
        fetch_hub("hub:someone/chats", tmp_path / "target")
    assert "HF_HUB_OFFLINE" in error.value.why
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="someone/chats cannot be fetched") as error:
        fetch_hub("hub:someone/chats", tmp_path / "target")
    assert "http://127.0.0.1:9 cannot be reached" in error.value.why
    assert "import their folder" in error.value.fix
    assert not list((tmp_path / "target").iterdir())
    assert time.monotonic() - begun < 60  # the library alone would try for half a minute each time


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [(401, "RepoNotFound", "no dataset of that name, or it is private"), (403, "GatedRepo", "It is gated")],
)
def test_what_the_hub_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str, message: str
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with fake_hub(status, {"X-Error-Code": code}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(BadInput) as error:
            fetch_hub("hub:someone/chats", tmp_path / "target")
    assert message in error.value.why
    assert "hf auth login" in error.value.fix


def test_cancelling_ends_the_process_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    waiting = threading.Event()
    asked: list[float] = []
    with fake_hub(200, {}, waiting) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(Cancelled):
            fetch_hub("hub:someone/chats", tmp_path / "target", asked.append, cancelled=lambda: bool(asked))
    assert not list((tmp_path / "target").iterdir())
    assert not running("engine.worker.hub")


def test_without_the_training_side_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda _name: None)
    with pytest.raises(BadInput, match="cannot be fetched here") as error:
        fetch_hub("hub:someone/chats", tmp_path)
    assert "finetui[train]" in error.value.fix


def test_a_process_that_breaks_off_leaves_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken" / "datasets"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("import os, sys\nprint('out of luck', file=sys.stderr)\nos._exit(9)\n")
    # The process puts finetui's own folder first on the path, then what was there.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken.parent), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(BadInput, match="could not be fetched") as error:
        fetch_hub("hub:someone/chats", tmp_path / "target")
    assert "status 9" in error.value.why
    assert "out of luck" in error.value.why
    assert not list((tmp_path / "target").iterdir())


@pytest.mark.parametrize(
    ("error", "why", "fix"),
    [
        (ValueError("Config name is missing. Please pick one among: ['main', 'socratic']"), "socratic", "a/b/CONFIG"),
        (ValueError("BuilderConfig 'x' not found. Available: ['main']"), "['main']", "a/b/CONFIG"),
        (ValueError("Unknown split \"x\". Should be one of ['train']."), "['train']", "after the colon"),
        (type("EmptyDatasetError", (FileNotFoundError,), {})("empty"), "no data files", "on the hub"),
        (
            type("DatasetNotFoundError", (FileNotFoundError,), {})("Revision 'v9' doesn't exist for dataset 'a/b'"),
            "Revision 'v9'",
            "after the @",
        ),
        (ConnectionError("reset by peer"), "The connection broke", "Try again"),
        (KeyError("features"), "KeyError: 'features'", "which row is wrong"),
    ],
)
def test_what_the_library_raises_is_explained(error: Exception, why: str, fix: str) -> None:
    found = explained(error, "a/b")
    assert why in found.why
    assert fix in found.fix
    assert "a/b" in found.what
