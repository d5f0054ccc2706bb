"""Protocol buffers as they lie in a file: numbered fields, without the classes that give them names.

A reader of our own, because the packages that have those classes are 60 MB and refuse a message with a damaged field as
a whole, while a damaged file has to give what it holds. The format: https://protobuf.dev/programming-guides/encoding.
"""

import struct

Field = tuple[int, int | bytes]
"""A field's number and its value: whole numbers as such, everything else as the bytes that it has."""


class Malformed(ValueError):
    """These bytes are no message."""


def fields_of(data: bytes) -> list[Field]:
    """The fields of a message, in order, repeated ones as often as they come. Raises `Malformed`.

    Fixed 32 and 64 bit values are their four or eight bytes; see `double` and `single`.
    """
    found: list[Field] = []
    at, end = 0, len(data)
    try:
        while at < end:
            key = data[at]
            at += 1
            if key > 127:
                key, at = _varint(data, at - 1)
            kind = key & 7
            if kind == 2:
                size = data[at]
                at += 1
                if size > 127:
                    size, at = _varint(data, at - 1)
                if at + size > end:
                    raise Malformed("a field goes beyond its message")
                found.append((key >> 3, data[at : at + size]))
                at += size
            elif kind == 0:
                value = data[at]
                at += 1
                if value > 127:
                    value, at = _varint(data, at - 1)
                found.append((key >> 3, value))
            elif kind in (1, 5):
                size = 8 if kind == 1 else 4
                if at + size > end:
                    raise Malformed("a number goes beyond its message")
                found.append((key >> 3, data[at : at + size]))
                at += size
            else:
                raise Malformed(f"there is no field of kind {kind}")
    except IndexError:
        raise Malformed("the message breaks off") from None
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise Malformed("a whole number has more than 64 bits")


def message(value: int | bytes) -> bytes:
    """The bytes of a field that has some. Raises `Malformed` for a number."""
    if isinstance(value, int):
        raise Malformed("a number where a message should be")
    return value


def text(value: int | bytes) -> str:
    return message(value).decode("utf-8", "replace")


def whole(value: int | bytes) -> int:
    """A signed number of 64 bits. Raises `Malformed` for bytes."""
    if not isinstance(value, int):
        raise Malformed("bytes where a number should be")
    return value - (1 << 64) if value >> 63 else value


def zigzag(value: int | bytes) -> int:
    """A number of the type `sint64`."""
    if not isinstance(value, int):
        raise Malformed("bytes where a number should be")
    return (value >> 1) ^ -(value & 1)


def double(value: int | bytes) -> float:
    return _unpack("<d", value)


def single(value: int | bytes) -> float:
    return _unpack("<f", value)


def _unpack(form: str, value: int | bytes) -> float:
    try:
        return float(struct.unpack(form, message(value))[0])
    except struct.error:
        raise Malformed("a number of another size") from None
