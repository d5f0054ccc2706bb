"""The frame around the records of a `.wandb` file: LevelDB's log, in blocks of 32 KiB.

    block  := chunk… padding
    chunk  := crc32 (4) length (2) kind (1) data        kind: 1 whole, 2 first, 3 middle, 4 last part of a record

The file begins with `:W&B`, a magic number and a version, which count as part of the first block. The check is plain
CRC-32 over kind and data, where LevelDB itself has CRC-32C. https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from engine.history.items import Damage

MAGIC = b":W&B\xe1\xbe"
BLOCK = 32 * 1024
_HEADER = Struct("<IHB")
_PREAMBLE = 7
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
LONGEST = 256 << 20
"""Bytes of a record that are put together; a file that claims longer ones is damaged."""


def read_records(path: Path) -> Iterator[tuple[int, bytes] | Damage]:
    """The records of the file, each with the byte up to which was read; what is damaged is said and passed over.

    A file that is still written to ends where it ends. Raises `OSError`.
    """
    record = bytearray()
    open_ = False
    with path.open("rb") as file:
        start = 0
        while block := file.read(BLOCK):
            at = _PREAMBLE if start == 0 else 0
            while at + _HEADER.size <= len(block):
                check, length, kind = _HEADER.unpack_from(block, at)
                data_at, end = at + _HEADER.size, at + _HEADER.size + length
                if kind == 0 and length == 0 and not any(block[at:]):
                    break  # set aside by the file system, or padding: nothing was written here
                if end > len(block) and len(block) < BLOCK and _WHOLE <= kind <= _LAST and end <= BLOCK:
                    yield Damage(f"the file breaks off within a record, at byte {start + at:,}")
                    return
                if not _WHOLE <= kind <= _LAST or end > len(block) or zlib.crc32(block[at + 6 : end]) != check:
                    found = _next_chunk(block, at + 1)
                    yield Damage(f"bytes {start + at:,} to {start + (found or len(block)):,} are damaged")
                    record.clear()
                    open_ = False
                    if found is None:
                        break
                    at = found
                    continue
                at = end
                if kind in (_WHOLE, _FIRST):
                    if open_:
                        yield Damage(f"a record before byte {start + at:,} has no end")
                    record[:] = block[data_at:end]
                elif not open_:
                    continue  # the rest of a record whose beginning is damaged, which was said
                elif len(record) + length > LONGEST:
                    yield Damage(f"a record before byte {start + at:,} is longer than {LONGEST >> 20} MiB")
                    record.clear()
                    open_ = False
                    continue
                else:
                    record += block[data_at:end]
                open_ = kind in (_FIRST, _MIDDLE)
                if not open_:
                    yield start + at, bytes(record)
            start += len(block)
    if open_:
        yield Damage("the file breaks off within a record")


def _next_chunk(block: bytes, at: int) -> int | None:
    """Where in the block the next sound chunk begins, be it found by its check alone."""
    for start in range(at, len(block) - _HEADER.size):
        if not _WHOLE <= block[start + 6] <= _LAST:
            continue
        check, length, _kind = _HEADER.unpack_from(block, start)
        end = start + _HEADER.size + length
        if length and end <= len(block) and zlib.crc32(block[start + 6 : end]) == check:
            return start
    return None
