"""Registered versions in a table, a name's newest first; and what is read for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.figures import fmt_bytes, fmt_number, fmt_when
from tui.text import clean_line
from tui.widgets.item_table import Column

if TYPE_CHECKING:
    from store.evaluation_records import RegistryVersion
    from store.registry import RegisteredName
    from tui.services import Services

PROMOTED = "★"


@dataclass(frozen=True)
class Listed:
    """A version, with the name that it belongs to."""

    version: "RegistryVersion"
    registered: "RegisteredName"
    first: bool
    """Whether it is the first line of its name."""
    before: int | None
    """The version that a roll-back goes to."""
    earlier: int | None
    """The number of the version before this one."""

    @property
    def id(self) -> str:
        return f"{self.version.name}@{self.version.version}"

    @property
    def is_promoted(self) -> bool:
        return self.registered.promoted == self.version.version

    @property
    def is_meant(self) -> bool:
        """Whether it is what the name alone means."""
        return self.registered.current == self.version.version


def read_listing(services: "Services") -> list[Listed]:
    """All versions, by name. Reads the store."""
    from engine.registry.keeping import version_before

    registry = services.store.registry
    found: list[Listed] = []
    for registered in registry.names():
        versions = registry.versions(registered.name)
        before = version_before(services.store, registered.name)
        numbers = [one.version for one in versions[1:]]
        for place, version in enumerate(versions):
            earlier = numbers[place] if place < len(numbers) else None
            found.append(Listed(version, registered, place == 0, before, earlier))
    return found


def read_card(services: "Services", listed: Listed) -> str:
    """The version's model card. Raises `FinetuiError` where it is gone."""
    from engine.errors import FinetuiError
    from engine.registry.finding import folder_of

    card = folder_of(services.home, listed.version).card
    try:
        return card.read_text(encoding="utf-8")
    except OSError as error:
        raise FinetuiError(
            f"The card of {listed.id} cannot be read.",
            why=f"The system says: {error.strerror or error}.",
            fix="Press u to write it anew.",
        ) from error


def _state(one: Listed) -> tuple[str, str]:
    if one.is_promoted:
        return f"{PROMOTED} v{one.version.version}", "good"
    return f"  v{one.version.version}", "" if one.is_meant else "dim"


def _loss(one: Listed) -> str:
    from engine.registry.info import kept_loss

    return fmt_number(kept_loss(one.version.info))


def _about(one: Listed) -> tuple[str, str]:
    said = one.version.description.splitlines()[0] if one.version.description else ""
    return clean_line(said or ", ".join(one.version.tags)), "dim"


def _best_figure(one: Listed) -> tuple[str, str]:
    """The first figure of its first evaluation: what counts most of what was measured."""
    for evaluation in one.version.info.get("evaluations") or ():
        for figure in evaluation.get("figures") or ():
            return f"{clean_line(str(figure.get('metric')))} {fmt_number(figure.get('value'))}", ""
    return "not evaluated", "dim"


COLUMNS = (
    Column("name", 14, lambda one: (clean_line(one.version.name) if one.first else "", "mark"), share=2),
    Column("version", 7, _state),
    Column("run", 14, lambda one: (clean_line(str(one.version.info.get("run", {}).get("name", ""))), ""), share=2),
    Column("eval loss", 9, lambda one: (_loss(one), ""), right=True),
    Column("evaluated", 18, _best_figure),
    Column("base", 14, lambda one: (clean_line(one.version.base), "dim"), share=2, needs=96),
    Column("size", 8, lambda one: (fmt_bytes(one.version.info.get("size_bytes")), "dim"), right=True, needs=112),
    Column("since", 10, lambda one: (fmt_when(one.version.created), "dim"), right=True, needs=124),
    Column("about", 12, _about, share=3, needs=140),
)
