"""What tokens are counted by: the encoding where it is there, else the model's tokenizer, else the bytes."""

import base64
import hashlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from engine.evaluation.measures import Answered, measure
from engine.evaluation.token_counter import token_counter
from engine.home import Home
from engine.tokens import chunk, encodings
from tests.engine.tokenizers_made import prepared


@pytest.fixture
def encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """tiktoken with a file of one token for each byte in place of the real one, which is not on every machine."""
    public = import_module("tiktoken_ext.openai_public")
    content = b"".join(base64.b64encode(bytes([value])) + b" %d\n" % value for value in range(256))
    address = encodings.FILES["cl100k_base"][0]
    digest = hashlib.sha256(content).hexdigest()
    real = public.load_tiktoken_bpe
    monkeypatch.setattr(public, "load_tiktoken_bpe", lambda url, expected_hash: real(url, digest))
    monkeypatch.setitem(encodings.FILES, "cl100k_base", (address, digest))
    folder = tmp_path / "tiktoken"
    folder.mkdir()
    (folder / hashlib.sha1(address.encode()).hexdigest()).write_bytes(content)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
    _forget()
    yield
    _forget()


def _forget() -> None:
    """What tiktoken and the counter have loaded."""
    import tiktoken

    tiktoken.registry.ENCODINGS.pop("cl100k_base", None)
    chunk.encoding_count.cache_clear()


@pytest.fixture
def no_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "none"))


@pytest.mark.usefixtures("encoding")
def test_the_encoding_counts_where_it_is_there(home: Home, tmp_path: Path) -> None:
    counter = token_counter(home, lambda: prepared(tmp_path / "tokenizer"))
    assert (counter.name, counter.note) == ("cl100k_base", "")
    assert counter.count("abc é") == 6
    (found,) = measure([Answered(0, "four", "one"), Answered(1, "", "")], None, counter, names=["token_reduction"])
    assert found.value == 25


@pytest.mark.usefixtures("no_encoding")
def test_a_models_tokenizer_counts_where_it_is_not_and_the_note_says_why(home: Home, tmp_path: Path) -> None:
    tokenizer = prepared(tmp_path / "tokenizer")
    counter = token_counter(home, lambda: tokenizer)
    assert counter.name == tokenizer.name
    assert "cl100k_base is not on this machine" in counter.note and tokenizer.name in counter.note
    text = "the answer is on its way, it's 1234"
    assert counter.count(text) == len(tokenizer.backend.encode(text, add_special_tokens=False).ids) < len(text)


@pytest.mark.usefixtures("no_encoding")
def test_bytes_are_the_last_resort(home: Home) -> None:
    counter = token_counter(home)
    assert counter.name == "4 bytes a token" and "Estimated from the bytes" in counter.note
    assert [counter.count(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
