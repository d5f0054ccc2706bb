"""Who is told of what, and how: `[alerts]` of the home's `settings.toml`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.errors import BadInput
from engine.notices.kinds import Kind
from engine.toml import read_toml

TERMINALS = ("auto", "osc9", "osc777", "off")
FORMATS = ("json", "text")
FIELDS = ("on", "bell", "terminal", "command", "webhook", "webhook_format")


def settings_of(run_dir: Path) -> Path:
    """The settings of the home that a run's folder is in. Read when there is something to tell: changes count."""
    return run_dir.parent.parent / "settings.toml"


@dataclass(frozen=True)
class NoticeSettings:
    """Everything has a default: a bell and a line in the app, and nothing that leaves the machine."""

    on: frozenset[Kind] = frozenset(Kind)
    bell: bool = True
    terminal: str = "auto"
    """How the terminal is asked for a notification of the desktop: one of `TERMINALS`."""
    command: tuple[str, ...] = ()
    """A program and its arguments; the notice is in its environment and, as JSON, on its standard input."""
    webhook: str = ""
    """An address that is posted to. It may hold a secret: it is shown without its path."""
    webhook_format: str = "json"

    @property
    def leaves_the_app(self) -> bool:
        """Whether anybody is to be told who is not looking at the app."""
        return bool(self.on and (self.command or self.webhook))

    @property
    def webhook_host(self) -> str:
        """The address without what may be secret in it."""
        parts = urlsplit(self.webhook)
        return f"{parts.scheme}://{parts.hostname}/…" if self.webhook else ""


def read_notice_settings(path: Path) -> NoticeSettings:
    """What the file says under `[alerts]`; the defaults where it says nothing, or is no TOML.

    Raises `BadInput` for what is not understood.
    """
    try:
        table = read_toml(path).get("alerts", {})
    except (OSError, ValueError):
        return NoticeSettings()  # the app says what is wrong with the file
    if not isinstance(table, dict):
        raise _wrong(path, "[alerts] is no table", "Write [alerts] on a line of its own, and the settings below it.")
    unknown = [name for name in table if name not in FIELDS]
    if unknown:
        raise _wrong(path, f"{unknown[0]!r} under [alerts] is not known", f"There are: {', '.join(FIELDS)}.")
    usual = NoticeSettings()
    return NoticeSettings(
        on=_kinds(table, path),
        bell=_bool(table, "bell", usual.bell, path),
        terminal=_one_of(table, "terminal", TERMINALS, path),
        command=_command(table, path),
        webhook=_webhook(table, path),
        webhook_format=_one_of(table, "webhook_format", FORMATS, path),
    )


def _kinds(table: Mapping[str, Any], path: Path) -> frozenset[Kind]:
    names = table.get("on", [kind.value for kind in Kind])
    try:
        return frozenset(Kind(name) for name in names)
    except (TypeError, ValueError):
        raise _wrong(path, f"on is {names!r}", f"Write a list of: {', '.join(Kind)}.") from None


def _bool(table: Mapping[str, Any], name: str, usual: bool, path: Path) -> bool:
    value = table.get(name, usual)
    if not isinstance(value, bool):
        raise _wrong(path, f"{name} is {value!r}", "Write true or false.")
    return value


def _one_of(table: Mapping[str, Any], name: str, allowed: tuple[str, ...], path: Path) -> str:
    value = table.get(name, allowed[0])
    if value not in allowed:
        raise _wrong(path, f"{name} is {value!r}", f"Write one of: {', '.join(allowed)}.")
    return str(value)


def _command(table: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    value = table.get("command", [])
    words = ["sh", "-c", value] if isinstance(value, str) and value.strip() else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _wrong(path, f"command is {value!r}", 'Write a line of shell, or a list: ["notify-send", "finetui"].')
    return tuple(words)


def _webhook(table: Mapping[str, Any], path: Path) -> str:
    value = table.get("webhook", "")
    if not isinstance(value, str) or (value and urlsplit(value).scheme not in ("http", "https")):
        raise _wrong(path, "webhook is no web address", "Write an address that begins with https:// or http://.")
    return value


def _wrong(path: Path, what: str, fix: str) -> BadInput:
    return BadInput(f"The alerts in {path} cannot be used: {what}.", fix=fix)
