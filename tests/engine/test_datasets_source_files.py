"""Which files a folder or a pattern means, which split they are, and paths that lead nowhere good."""

import hashlib
import io
import json
import os
import pickle
import socket
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.datasets.rows import RowError
from engine.datasets.sources import files, open_source
from engine.datasets.sources.splits import split_of
from engine.errors import BadInput

LINE = json.dumps({"prompt": "a", "response": "b"})


def fill(folder: Path, *names: str, content: str = LINE) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def names(source: Path | str) -> list[str]:
    return [part.name for part in open_source(source).parts]


def test_a_folder_is_its_data_files_in_order(tmp_path: Path) -> None:
    folder = fill(tmp_path / "my data", "b.jsonl", "a/c.json", "A.JSONL", "z.ndjson")
    fill(folder, ".hidden.jsonl", ".git/x.jsonl", "README.md", "dataset_infos.json", "x.lock", "__MACOSX/b.jsonl")
    fill(folder, "picture.png", "LICENSE.txt", "notes.txt", ".gitattributes", content="some words")
    source = open_source(folder)
    assert [part.name for part in source.parts] == ["A.JSONL", "a/c.json", "b.jsonl", "z.ndjson"]
    assert (source.name, source.format) == ("my-data", "jsonl")
    assert dict(source.left_out) == {"hidden": 4, "no data": 5, "texts beside data": 1}
    assert "texts beside data" in source.warnings[0]
    rows = list(source.rows())
    assert [(row.number, row.file) for row in rows] == [
        (1, "A.JSONL"),
        (2, "a/c.json"),
        (3, "b.jsonl"),
        (4, "z.ndjson"),
    ]
    assert rows[-1].at == 1.0
    assert [row.at for row in rows] == sorted(row.at for row in rows)


def test_files_of_several_formats_are_one_source(tmp_path: Path) -> None:
    row = json.loads(LINE)
    fill(tmp_path, "a.jsonl")
    fill(tmp_path, "b.csv", content="prompt,response\na,b\n")
    fill(tmp_path, "c.json", content=f"[{LINE}]")
    pq.write_table(pa.table({"prompt": ["a"], "response": ["b"]}), tmp_path / "d.parquet")
    source = open_source(tmp_path)
    assert source.format == "mixed"
    assert [(row.number, row.place) for row in source.rows()] == [
        (1, "a.jsonl, line 1"),
        (2, "b.csv, line 2"),
        (3, "c.json"),
        (4, "d.parquet"),
    ]
    assert [raw.parse() for raw in source.rows()] == [row] * 4


def test_a_problem_says_its_file_and_the_line_there(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl", content=f"{LINE}\n{LINE}\n")
    fill(tmp_path, "b.jsonl", content=f"{LINE}\n{{\n{LINE}\n")
    bad = list(open_source(tmp_path).rows())[3]
    with pytest.raises(RowError, match="is not JSON"):
        bad.parse()
    assert (bad.number, bad.line, bad.file, bad.place) == (4, 2, "b.jsonl", "b.jsonl, line 2")
    (alone,) = list(open_source(fill(tmp_path / "c", "c.jsonl")).rows())
    assert (alone.file, alone.place) == ("", "")


def test_files_without_rows_are_left_out_of_several(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl", "b.jsonl", "c.jsonl")
    fill(tmp_path, "b.jsonl", content="")
    fill(tmp_path, "c.json", content="[]")
    source = open_source(tmp_path)
    assert [row.file for row in source.rows()] == ["a.jsonl", "c.jsonl"]
    assert source.left_out["empty"] == 1
    fill(tmp_path, "a.jsonl", "c.jsonl", "c.json", content="  \n")
    with pytest.raises(BadInput, match="holds no rows"):
        open_source(tmp_path)
    (tmp_path / "a.jsonl").write_text("[]")
    (tmp_path / "c.jsonl").write_text("[]")
    with pytest.raises(BadInput, match="holds no rows"):
        list(open_source(tmp_path).rows())


def test_a_file_that_cannot_be_read_refuses_the_folder(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl")
    fill(tmp_path, "b.csv", content="%PDF-1.7")
    with pytest.raises(BadInput, match=r"b\.csv is a PDF"):
        open_source(tmp_path)


def test_a_folder_without_data_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder without data"):
        open_source(tmp_path)
    fill(tmp_path, "README.md", "picture.png", ".hidden.jsonl")
    with pytest.raises(BadInput, match="is a folder without data") as error:
        open_source(tmp_path)
    assert "2 no data" in error.value.why
    assert "1 hidden" in error.value.why
    assert error.value.fix


def test_patterns(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl", "b.jsonl", "c.json", "sub/d.jsonl", "part-0", "README.md", ".e.jsonl")
    assert names(f"{tmp_path}/*.jsonl") == ["a.jsonl", "b.jsonl"]
    assert names(f"{tmp_path}/**/*.jsonl") == ["a.jsonl", "b.jsonl", "sub/d.jsonl"]
    assert names(f"{tmp_path}/[ac].*") == ["a.jsonl", "c.json"]
    assert names(f"{tmp_path}/part-*") == ["part-0"]
    assert open_source(f"{tmp_path}/s*/d.jsonl").name == tmp_path.name
    with pytest.raises(BadInput, match="No data file fits"):
        open_source(f"{tmp_path}/*.csv")
    with pytest.raises(BadInput, match="no pattern that can be searched"):
        open_source(f"{tmp_path}/**.jsonl")
    fill(tmp_path, "odd[1].jsonl")
    assert open_source(tmp_path / "odd[1].jsonl").name == "odd-1"


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train.jsonl", "train"),
        ("data/train-00000-of-00001.parquet", "train"),
        ("data/validation-00001-of-00002.parquet", "validation"),
        ("support_val.csv", "validation"),
        ("my-dev.set.jsonl.gz", "validation"),
        ("en/test/0001.json", "test"),
        ("test/train.json", "train"),
        ("eval_results.jsonl", "validation"),
        ("Training.csv", "train"),
        ("train_sft.jsonl", "train"),
        ("train_test.jsonl", None),
        ("trainer.jsonl", None),
        ("contest.csv", None),
        ("devil.csv", None),
    ],
)
def test_the_name_gives_the_split(path: str, split: str | None) -> None:
    assert split_of(Path(path)) == split


def test_one_file_is_a_split_only_by_its_whole_name(tmp_path: Path) -> None:
    def split(name: str) -> str | None:
        return next(open_source(fill(tmp_path, name) / name).rows()).split

    assert split("test.jsonl") == "test"
    assert split("train-00000-of-00001.jsonl") == "train"
    assert split("test_questions.jsonl") is None
    assert split("test/x.jsonl") is None
    fill(tmp_path / "several", "support_val.jsonl", "support_train.jsonl", "more.jsonl")
    source = open_source(tmp_path / "several")
    assert [row.split for row in source.rows()] == [None, "train", "validation"]
    assert source.splits == ["train", "validation"]


def test_links_that_lead_out_are_left_out(tmp_path: Path) -> None:
    outside = fill(tmp_path / "outside", "secret.jsonl")
    folder = fill(tmp_path / "data", "a.jsonl")
    (folder / "b.jsonl").symlink_to(outside / "secret.jsonl")
    (folder / "again.jsonl").symlink_to("a.jsonl")
    (folder / "sub").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (folder / "gone.jsonl").symlink_to(folder / "nothing")
    source = open_source(folder)
    assert [part.name for part in source.parts] == ["a.jsonl"]
    assert source.left_out["links out of the folder"] == 4
    assert names(f"{folder}/*.jsonl") == ["a.jsonl"]
    (folder / "a.jsonl").unlink()
    (folder / "again.jsonl").unlink()
    with pytest.raises(BadInput, match="without data") as error:
        open_source(folder)
    assert "links out of the folder" in error.value.why
    assert "Copy the files" in error.value.fix
    assert names(folder / "b.jsonl") == ["b.jsonl"]  # named by the user: meant


def test_a_snapshot_of_the_hubs_cache_is_read(tmp_path: Path) -> None:
    cache = tmp_path / "datasets--someone--chats"
    fill(cache / "blobs", "1f2e")
    snapshot = cache / "snapshots" / "main" / "data"
    snapshot.mkdir(parents=True)
    (snapshot / "train.jsonl").symlink_to("../../../blobs/1f2e")
    assert [row.split for row in open_source(cache / "snapshots" / "main").rows()] == ["train"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../../x", "does not exist"),
        ("none.jsonl", "does not exist"),
        ("a.jsonl/x", "does not exist"),
        ("a\0b.jsonl", "There is no file"),
        ("a\0*.jsonl", "There is no file"),
        (f"{'n' * 300}.jsonl", "cannot be read"),
        ("n/" * 3000, "cannot be read"),
        ("loop.jsonl", "cannot be read"),
        ("gone.jsonl", "does not exist"),
        ("~nobody-is-called-this/x.jsonl", "does not exist"),
        ("", "No file is named"),
        ("hub:someone/chats", "is on the hub"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    monkeypatch.chdir(fill(tmp_path, "a.jsonl"))
    (tmp_path / "loop.jsonl").symlink_to("loop.jsonl")
    (tmp_path / "gone.jsonl").symlink_to("nothing")
    with pytest.raises(BadInput, match=message) as error:
        open_source(path)
    assert error.value.fix
    assert len(error.value.what) < 400


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(BadInput, match="is a pipe"):
        open_source(tmp_path / "pipe.jsonl")
    with pytest.raises(BadInput, match="is a device"):
        open_source("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.jsonl"))
        with pytest.raises(BadInput, match="is a socket"):
            open_source(tmp_path / "s.jsonl")
    fill(tmp_path, "a.jsonl")
    source = open_source(tmp_path)
    assert [part.name for part in source.parts] == ["a.jsonl"]
    assert source.left_out["pipes, devices and sockets"] == 2


class Bomb:
    """Makes a folder where it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self._witness = witness

    def __reduce__(self) -> Any:
        return Path.mkdir, (self._witness,)


@pytest.mark.parametrize("name", ["rows.pkl", "rows.pt", "rows.npy"])
def test_pickles_are_no_data_and_are_never_opened(tmp_path: Path, name: str) -> None:
    """As pickle, torch (a pickle within an archive) and numpy write them."""
    bomb = pickle.dumps(Bomb(tmp_path / "witness"))
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    np.save(array := io.BytesIO(), np.array([Bomb(tmp_path / "witness")], dtype=object), allow_pickle=True)
    content = {"rows.pkl": bomb, "rows.pt": packed.getvalue(), "rows.npy": array.getvalue()}[name]
    folder = fill(tmp_path / "data", "README.md")
    (folder / name).write_bytes(content)
    for place in (folder / name, folder):
        with pytest.raises(BadInput):
            list(open_source(place).rows())
    fill(folder, "a.jsonl")
    source = open_source(folder)
    assert [raw.parse() for raw in source.rows()] == [json.loads(LINE)]
    assert source.left_out["no data"] == 2
    assert not (tmp_path / "witness").exists(), "nothing of it was run"
    pickle.loads(bomb)
    assert (tmp_path / "witness").is_dir(), "it goes off where it is unpickled"


def test_a_folder_of_everything_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, *(f"{index}.jsonl" for index in range(12)))
    monkeypatch.setattr(files, "MAX_FILES", 10)
    with pytest.raises(BadInput, match="12 data files"):
        open_source(tmp_path)
    monkeypatch.setattr(files, "MAX_ENTRIES", 10)
    for source in (str(tmp_path), f"{tmp_path}/*"):
        with pytest.raises(BadInput, match="more than 10 files and folders"):
            open_source(source)


def test_names_are_fit_for_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(file: str) -> str:
        return open_source(fill(tmp_path, file) / file).name

    assert name("chats.v2.jsonl") == "chats.v2"
    assert name("Ünï 1.JSON") == "Ünï-1"
    assert name(f"{'n' * 200}.jsonl") == "n" * 80
    assert name(" .jsonl") == "dataset"
    odd = os.fsdecode(b"caf\xe9.jsonl")
    source = open_source(fill(tmp_path / "odd", odd))
    assert source.name == "odd"
    assert json.dumps(source.card()).encode()
    assert source.parts[0].name == "caf\ufffd.jsonl"
    monkeypatch.chdir(tmp_path / "odd")
    assert open_source(".").name == "odd"


def test_the_card_says_where_the_data_comes_from(tmp_path: Path) -> None:
    fill(tmp_path, "a.jsonl", "b.jsonl", "readme.md")
    one = hashlib.sha256(LINE.encode()).hexdigest()
    assert open_source(tmp_path / "a.jsonl").card() == {
        "file": "a.jsonl",
        "files": ["a.jsonl"],
        "sha256": one,
        "bytes": len(LINE),
    }
    listing = f"{one}  a.jsonl\n{one}  b.jsonl\n"
    assert open_source(tmp_path).card() == {
        "file": tmp_path.name,
        "files": ["a.jsonl", "b.jsonl"],
        "sha256": hashlib.sha256(listing.encode()).hexdigest(),
        "bytes": 2 * len(LINE),
        "left_out": {"no data": 1},
    }
    source = open_source(tmp_path)
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(BadInput, match="went away"):
        source.card()
    with pytest.raises(BadInput, match="does not exist"):
        list(source.rows())
