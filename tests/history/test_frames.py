"""The frames and messages that the importers read themselves."""

import random
import struct
import zlib
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.history.event_records import _checks_of, masked_crc32c, read_event_records
from engine.history.items import Damage
from engine.history.log_blocks import BLOCK, MAGIC, read_records
from engine.history.tensorboard import _plain_scalar
from engine.history.wire import Malformed, double, fields_of, single, text, whole, zigzag


def unmasked(data: bytes) -> int:
    rotated = masked_crc32c(data) - 0xA282EAD8 & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def test_crc32c_of_the_standard() -> None:
    assert unmasked(b"123456789") == 0xE3069283  # the check value of CRC-32C
    assert unmasked(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert unmasked(bytes(range(32))) == 0x46DD794E


def test_fields() -> None:
    message = (
        b"\x08\x96\x01" + b"\x12\x07testing" + b"\x1d" + struct.pack("<f", 1.5) + b"\x21" + struct.pack("<d", -2.5)
    )
    (one, number), (two, words), (three, small), (four, large) = fields_of(message)
    assert (one, number, two, text(words)) == (1, 150, 2, "testing")
    assert (three, single(small), four, double(large)) == (3, 1.5, 4, -2.5)
    assert whole(fields_of(b"\x08" + b"\xff" * 9 + b"\x01")[0][1]) == -1
    assert [zigzag(value) for value in range(5)] == [0, -1, 1, -2, 2]


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_fields_or_malformed(data: bytes) -> None:
    try:
        found = fields_of(data)
    except Malformed:
        return
    assert all(number >= 0 for number, _ in found)


def scalar(tag: bytes, value: float, step: int, t: float) -> bytes:
    inner = b"\x0a" + bytes([len(tag)]) + tag + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + bytes([len(inner)]) + inner
    varint = bytearray()
    while step > 127:
        varint.append(step & 127 | 128)
        step >>= 7
    varint.append(step)
    return b"\x09" + struct.pack("<d", t) + b"\x10" + varint + b"\x2a" + bytes([len(summary)]) + summary


@given(
    st.text(min_size=1, max_size=20),
    st.floats(width=32, allow_nan=False),
    st.integers(0, 1 << 40),
    st.floats(0, 2e9),
)
def test_a_plain_scalar_is_read_at_once(tag: str, value: float, step: int, t: float) -> None:
    raw = tag.encode("utf-8", "replace")
    assert _plain_scalar(scalar(raw, value, step, t)) == (raw.decode("utf-8", "replace"), value, step, t)


@given(st.binary(max_size=80))
def test_what_is_no_plain_scalar_is_left_to_the_long_way(data: bytes) -> None:
    _plain_scalar(data)
    _plain_scalar(b"\x09" + data)


@given(st.lists(st.sampled_from([0, 1, 2, 7, 40]), min_size=1, max_size=700), st.randoms(use_true_random=False))
@settings(max_examples=20)
def test_checks_of_many_are_those_of_each(lengths: list[int], chance: random.Random) -> None:
    parts = [chance.randbytes(length) for length in lengths * 3]
    ends = list(accumulate(map(len, parts)))
    places = [(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
    assert _checks_of(b"".join(parts), places) == [masked_crc32c(part) for part in parts]


def event_file(path: Path, records: list[bytes]) -> None:
    with path.open("wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(length + struct.pack("<I", masked_crc32c(length)))
            file.write(record + struct.pack("<I", masked_crc32c(record)))


def test_records_of_many_sizes_over_many_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.history.event_records._READ", 64)
    records = [bytes([n % 251]) * (n * 7 % 300) for n in range(100)]
    event_file(tmp_path / "f", records)
    assert [found[1] for found in read_event_records(tmp_path / "f") if not isinstance(found, Damage)] == records


def test_a_damaged_length_costs_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.history.event_records._READ", 64)
    records = [bytes([n]) * 50 for n in range(1, 20)]
    event_file(tmp_path / "f", records)
    data = bytearray((tmp_path / "f").read_bytes())
    data[5 * 66 + 2] ^= 8  # in the length of the sixth
    (tmp_path / "f").write_bytes(data)
    found = [*read_event_records(tmp_path / "f")]
    assert [one[1] for one in found if not isinstance(one, Damage)] == records[:5] + records[6:]
    assert [one.message for one in found if isinstance(one, Damage)] == ["bytes 330 to 396 are damaged"]


@pytest.mark.parametrize("tail", [10, 100, 200_000])
def test_zeros_at_the_end_are_no_damage(tmp_path: Path, tail: int) -> None:
    event_file(tmp_path / "f", [b"one", b"two"])
    (tmp_path / "f").write_bytes((tmp_path / "f").read_bytes() + bytes(tail))
    assert [one[1] for one in read_event_records(tmp_path / "f") if not isinstance(one, Damage)] == [b"one", b"two"]
    assert not [one for one in read_event_records(tmp_path / "f") if isinstance(one, Damage)]


def wandb_file(path: Path, records: list[bytes]) -> None:
    """As LevelDB writes its log, with W&B's head and check."""
    out = bytearray(MAGIC + b"\0")
    for record in records:
        at, first = 0, True
        while first or at < len(record):
            left = BLOCK - len(out) % BLOCK
            if left < 7:
                out += bytes(left)
                continue
            part = record[at : at + left - 7]
            at += len(part)
            last = at == len(record)
            kind = (1 if last else 2) if first else (4 if last else 3)
            check = zlib.crc32(bytes([kind]) + part)
            out += struct.pack("<IHB", check, len(part), kind) + part
            first = False
    path.write_bytes(out)


def test_records_over_many_blocks(tmp_path: Path) -> None:
    records = [bytes([n % 251]) * (n * 997 % 90_000) for n in range(60)]
    wandb_file(tmp_path / "f", records)
    assert [found[1] for found in read_records(tmp_path / "f") if not isinstance(found, Damage)] == records


def test_a_damaged_chunk_costs_one_record(tmp_path: Path) -> None:
    records = [bytes([n]) * 100 for n in range(1, 50)]
    wandb_file(tmp_path / "f", records)
    data = bytearray((tmp_path / "f").read_bytes())
    data[7 + 10 * 107 + 4] ^= 64  # in the length of the eleventh
    data[7 + 20 * 107 + 50] ^= 1  # in the data of the twenty-first
    (tmp_path / "f").write_bytes(data)
    found = [*read_records(tmp_path / "f")]
    kept = [one[1] for one in found if not isinstance(one, Damage)]
    assert kept == records[:10] + records[11:20] + records[21:]
    assert sum(isinstance(one, Damage) for one in found) == 2
