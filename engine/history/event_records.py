"""The frame around the records of a TensorBoard event file: TFRecord.

    record := length (8) crc32c of it (4) data crc32c of it (4)        both checks rotated and shifted

Nothing marks where a record begins, so that a damaged length is looked over byte by byte until one fits its check.
https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from engine.history.items import Damage

_LENGTH = Struct("<Q")
_CHECK = Struct("<I")
_BOTH = Struct("<QI")
_HEAD = _LENGTH.size + _CHECK.size
_READ = 1 << 20
LONGEST = 256 << 20
"""Bytes of a record that are read at once; longer ones are passed over."""
_TOGETHER = 256
"""From so many records of one length on, numpy checks them faster than they are checked one by one."""
_CHECKED = 1 << 16
"""Bytes up to which data are checked. What is longer is a picture or a graph, of which nothing is taken."""


def read_event_records(path: Path) -> Iterator[tuple[int, bytes] | Damage]:
    """The records of the file, each with the byte up to which was read; what is damaged is said and passed over.

    A file that is still written to ends where it ends. Raises `OSError`.
    """
    with path.open("rb") as file:
        window = _Window(file)
        while window.reach(_HEAD):
            yield from window.sound_records()
            if not window.reach(_HEAD):
                break
            length = _length_at(window.bytes, window.at)
            if length is None:
                lost, blank = window.place, window.skip_to_record()
                if window.reach(_HEAD):
                    yield Damage(f"bytes {lost:,} to {window.place:,} are damaged")
                elif not blank:  # zeros were set aside by the file system for what was never written
                    yield Damage(f"what follows byte {lost:,} is damaged")
                continue
            size = _HEAD + length + _CHECK.size
            if length > LONGEST:
                window.seek(window.place + size)
                yield Damage(f"a record before byte {window.place:,} is longer than {LONGEST >> 20} MiB")
                continue
            if not window.reach(size):
                break
            at, end = window.at, window.at + size
            data = window.bytes[at + _HEAD : end - _CHECK.size]
            window.at = end
            if length <= _CHECKED and _CHECK.unpack_from(window.bytes, end - _CHECK.size)[0] != masked_crc32c(data):
                yield Damage(f"bytes {window.place - size:,} to {window.place:,} are damaged")
            else:
                yield window.place, data
        if rest := window.bytes[window.at :].strip(b"\0"):
            yield Damage(f"the file breaks off within a record, {len(rest):,} bytes before its end")


class _Window:
    """The part of a file that is in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = file.read(_READ)
        self.at = 0
        self._start = 0

    @property
    def place(self) -> int:
        """Where in the file `at` is."""
        return self._start + self.at

    def reach(self, size: int) -> bool:
        """Have `size` bytes from `at` on in memory, where the file has so many."""
        if len(self.bytes) - self.at < size:
            rest = self.bytes[self.at :]
            self._start, self.at = self.place, 0
            self.bytes = rest + self._file.read(max(_READ, size - len(rest)))
        return len(self.bytes) - self.at >= size

    def sound_records(self) -> Iterator[tuple[int, bytes]]:
        """The records in memory, up to the first that is not wholly there or not sound: most of them, quickly."""
        buffer, at, start = self.bytes, self.at, self._start
        limit = len(buffer) - _HEAD - _CHECK.size
        places: list[tuple[int, int]] = []
        while at <= limit:
            length, length_check = _BOTH.unpack_from(buffer, at)
            end = at + _HEAD + length
            if length > _CHECKED or end + _CHECK.size > len(buffer) or length_check != _check_of_length(length):
                break
            places.append((at + _HEAD, end))
            at = end + _CHECK.size
        checks = _checks_of(buffer, places)
        for (data_at, end), check in zip(places, checks, strict=True):
            if _CHECK.unpack_from(buffer, end)[0] != check:
                break
            self.at = end + _CHECK.size
            yield start + self.at, buffer[data_at:end]

    def seek(self, place: int) -> None:
        self._file.seek(place)
        self._start, self.at, self.bytes = place, 0, self._file.read(_READ)

    def skip_to_record(self) -> bool:
        """Go on to the next sound head of a record, else to the end. Whether there were only zeros up to there."""
        blank = not self.bytes[self.at]
        self.at += 1
        while self.reach(_HEAD):
            for start in range(self.at, len(self.bytes) - _HEAD + 1):
                # No record is as long as 2^40 bytes: the zeros are looked at sooner than a check is made.
                if self.bytes[start + 5 : start + 8] == b"\0\0\0" and _length_at(self.bytes, start) is not None:
                    self.at = start
                    return False
            blank = blank and not any(self.bytes[self.at :])
            self.at = len(self.bytes) - _HEAD + 1
        blank = blank and not any(self.bytes[self.at :])
        self.at = len(self.bytes)
        return blank


def _checks_of(buffer: bytes, places: list[tuple[int, int]]) -> list[int]:
    """The checks of many stretches of `buffer`: those of one length byte by byte for all of them together."""
    checks = [0] * len(places)
    of_length: dict[int, list[int]] = {}
    for number, (at, end) in enumerate(places):
        of_length.setdefault(end - at, []).append(number)
    for length, numbers in of_length.items():
        if len(numbers) < _TOGETHER:
            for number in numbers:
                checks[number] = masked_crc32c(buffer[slice(*places[number])])
            continue
        import numpy as np  # here alone: who has few records does without

        table, data = np.array(_bytes(), np.uint32), np.frombuffer(buffer, np.uint8)
        begins = np.array([places[number][0] for number in numbers])
        crc = np.full(len(numbers), 0xFFFFFFFF, np.uint32)
        for offset in range(length):
            crc = table[(crc ^ data[begins + offset]) & 0xFF] ^ crc >> 8
        crc ^= 0xFFFFFFFF
        for number, check in zip(numbers, ((crc >> 15 | crc << 17) + np.uint32(0xA282EAD8)).tolist(), strict=True):
            checks[number] = check
    return checks


def begins_like_events(head: bytes) -> bool:
    """Whether these first bytes of a file are the head of a sound record."""
    return len(head) >= _HEAD and _length_at(head, 0) is not None


def _length_at(buffer: bytes, at: int) -> int | None:
    """The length of the record that begins there, where it fits its check."""
    length, check = _BOTH.unpack_from(buffer, at)
    return int(length) if check == _check_of_length(length) else None


@lru_cache(4096)
def _check_of_length(length: int) -> int:
    return masked_crc32c(_LENGTH.pack(length))


@cache
def _bytes() -> tuple[int, ...]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return tuple(table)


@cache
def _pairs() -> tuple[int, ...]:
    """What two bytes at once do to the check: half as many steps for 20 ms once."""
    table = _bytes()
    first = [table[pair & 255] ^ pair >> 8 for pair in range(1 << 16)]
    return tuple(table[crc & 255] ^ crc >> 8 for crc in first)


@lru_cache(4096)
def _in_pairs(count: int) -> Callable[[bytes], tuple[int, ...]]:
    return Struct(f"<{count}H").unpack_from


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated right by 15 bits, plus a constant: as TensorFlow writes it.

    The standard library has only the other CRC-32.
    """
    crc, pairs = 0xFFFFFFFF, _pairs()
    for pair in _in_pairs(len(data) >> 1)(data):
        crc = crc >> 16 ^ pairs[crc & 0xFFFF ^ pair]
    if len(data) & 1:
        crc = crc >> 8 ^ _bytes()[crc & 255 ^ data[-1]]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF
