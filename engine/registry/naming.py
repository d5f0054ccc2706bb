"""How registered adapters are called: `NAME`, and `NAME@2` for one version."""

import re
from dataclasses import dataclass

from engine.errors import BadInput

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION = re.compile(r"v?([1-9][0-9]{0,8})")
_TAKEN = frozenset({"base"})
"""What chats and servers call the base model."""
MOST_TAGS, LONGEST_TAG, LONGEST_DESCRIPTION = 20, 40, 2_000


@dataclass(frozen=True)
class Wanted:
    """A name, and the version that is meant; `None` is the one to use."""

    name: str
    version: int | None


def parse(text: str) -> Wanted | None:
    """What `NAME`, `NAME@2` or `NAME@v2` says; `None` for what cannot be a registered name."""
    name, sign, version = text.strip().partition("@")
    number = _VERSION.fullmatch(version)
    if not _NAME.fullmatch(name) or (sign and not number):
        return None
    return Wanted(name, int(number[1]) if number else None)


def version_number(text: str) -> int:
    """The number that `2` or `v2` says. Raises `BadInput`."""
    if number := _VERSION.fullmatch(text.strip()):
        return int(number[1])
    raise BadInput(f"{text[:40]!r} is no version.", fix="Versions are called 1, 2, 3 …")


def checked_name(name: str) -> str:
    """`name`, which is also a folder's. Raises `BadInput`."""
    name = name.strip()
    if not _NAME.fullmatch(name) or name.casefold() in _TAKEN:
        raise BadInput(
            f"An adapter cannot be registered as {name[:80]!r}.",
            fix="Take letters, digits, dots, - and _, at most 64, beginning with a letter or digit; `base` is taken.",
        )
    return name


def checked_tags(tags: "list[str] | tuple[str, ...]") -> tuple[str, ...]:
    """Each tag once, in order. Raises `BadInput` for an empty, long or broken one, and for too many."""
    found = tuple(dict.fromkeys(tag.strip() for tag in tags))
    for tag in found:
        if not tag or len(tag) > LONGEST_TAG or not tag.isprintable() or "," in tag:
            raise BadInput(f"{tag[:80]!r} is no tag.", fix=f"A tag has 1 to {LONGEST_TAG} characters and no comma.")
    if len(found) > MOST_TAGS:
        raise BadInput(f"These are {len(found)} tags.", fix=f"{MOST_TAGS} is the most.")
    return found


def checked_description(text: str) -> str:
    """`text` without blanks around it. Raises `BadInput` where it is too long."""
    text = text.strip()
    if len(text) > LONGEST_DESCRIPTION:
        raise BadInput(f"The description has {len(text):,} characters.", fix=f"{LONGEST_DESCRIPTION:,} is the most.")
    return text
