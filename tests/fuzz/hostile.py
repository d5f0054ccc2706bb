"""What others may put into a file: values of every kind, texts that break terminals and stores, bytes turned around."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

NUMBERS: list[Any] = [
    *(0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**70, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
]
TEXTS = [
    *("", " ", "\0", "a\0b", "nan", "inf", "-inf", "1e999", "null", "true", "\ud800", "x\udfff", "\ufeff", "\u202e"),
    *("\x1b]52;c;aGk=\x07", "\x9b31m", "[red]", "[/", "[@click=app.quit]x", "{{", "<script>", "../../x", "/etc/passwd"),
    *("a" * 5_000, "é" * 400, "1" * 5_000, "-", "%s", "'; DROP TABLE runs; --", "\r\n", "\u2028"),
]

plain_text = st.text(max_size=12)
text = st.sampled_from(TEXTS) | plain_text
number = st.sampled_from(NUMBERS) | st.integers() | st.floats()
scalar = st.none() | st.booleans() | number | text


def nested(depth: int, inner: Any = 0) -> Any:
    """`inner` within so many lists and objects."""
    for level in range(depth):
        inner = [inner] if level % 2 else {"a": inner}
    return inner


deep = st.sampled_from([10, 60, 300, 480]).map(nested)
key = text.filter(lambda name: len(name) < 50)
inside = st.recursive(
    scalar, lambda part: st.lists(part, max_size=3) | st.dictionaries(key, part, max_size=3), max_leaves=5
)
value: st.SearchStrategy[Any] = scalar | inside | deep
"""Any JSON value, and what Python's own reader takes for one."""


def document(known: dict[str, Any]) -> st.SearchStrategy[Any]:
    """A JSON document like `known` in which some fields, also inner ones, are missing or hold something else."""

    @st.composite
    def changed(draw: st.DrawFn, part: Any, depth: int) -> Any:
        if isinstance(part, dict):
            found = dict(part)
            for name in draw(st.lists(st.sampled_from(sorted(part)), max_size=3, unique=True)) if part else ():
                match draw(st.integers(0, 3)):
                    case 0:
                        del found[name]
                    case 1 if depth < 3:
                        found[name] = draw(changed(part[name], depth + 1))
                    case _:
                        found[name] = draw(value)
            if draw(st.integers(0, 4)) == 0:
                found[draw(plain_text)] = draw(value)
            return found
        if isinstance(part, list) and part and draw(st.booleans()):
            place = draw(st.integers(0, len(part) - 1))
            return [*part[:place], draw(changed(part[place], depth + 1)), *part[place + 1 :]]
        return draw(value)

    return changed(known, 0) | value


def as_json(found: Any) -> bytes:
    """As a program of others writes it: NaN and infinities as they are, halves of surrogate pairs as escapes."""
    return json.dumps(found).encode()


OPEN = 120_000
"""Brackets that no reader can go into by calling itself."""
DEEP = (b"[" * OPEN, b'{"a":' * OPEN, b"[" * OPEN + b"]" * OPEN)
"""Documents, whole and broken off, that are nested too deeply for any reader."""

_JUNK = [b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r", b'"', b"{", b"]", b"\x80" * 9, b"\xff" * 8, b"9" * 400]
_JUNK += [b"\\ud800", b"NaN", b"1e999"]


def mutated(originals: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of `originals` with a few stretches turned, cut out, doubled or replaced; or anything at all."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(originals)))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, max(0, len(data) - 1)))
            end = at + draw(st.sampled_from([1, 2, 4, 8, 64, 1024]))
            match draw(st.integers(0, 6)):
                case 0 if data:
                    data[at] ^= 1 << draw(st.integers(0, 7))
                case 1:
                    del data[at:end]
                case 2:
                    data[at:at] = data[at:end]
                case 3:
                    data[at:at] = draw(st.sampled_from(_JUNK))
                case 4:
                    data[at:end] = draw(st.binary(max_size=8))
                case 5:
                    del data[at:]
                case _ if data:
                    data[at] = draw(st.integers(0, 255))
        return bytes(data)

    return change() | st.binary(max_size=200)


SHARP: list[Any] = [
    *(None, True, 0, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 1.5, -0.5, 1e308, float("nan"), float("inf")),
    *("", "x", "a\0b", "\ud800", "nan", "1" * 5_000, [], [1], ["x"], [{}], {}, {"a": 1}, nested(400)),
]


FEW: list[Any] = [True, -1, 10**400, float("nan"), "\ud800", [1], {"a": 1}]


def changes(known: Any, sharp: Sequence[Any] = SHARP) -> Iterator[Any]:
    """`known` with each of its fields, also inner ones, left out once and replaced by each of `sharp`."""
    if isinstance(known, dict):
        for name, inner in known.items():
            yield {other: value for other, value in known.items() if other != name}
            for changed in (*sharp, *changes(inner, sharp)):
                yield known | {name: changed}
    elif isinstance(known, list):
        for place, inner in enumerate(known):
            for changed in (*sharp, *changes(inner, sharp)):
                yield [*known[:place], changed, *known[place + 1 :]]
