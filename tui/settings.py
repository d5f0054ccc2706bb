"""What the user chose: `<home>/settings.toml` with `theme` and `[keys]`."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from engine.toml import read_toml


@dataclass
class Settings:
    """The user's choices. `keys` maps a binding's id to the keys that take its place, as `"j,down"`."""

    theme: str = ""
    """The theme's name; empty where none was chosen."""
    keys: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    """Why the file could not be used; empty when it was read or there is none. Such a file is never written over."""


def load_settings(path: Path) -> Settings:
    """The settings at `path`; the defaults where there is no file. Never raises."""
    try:
        values = read_toml(path)
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        return Settings(problem=f"{path} is not used: {error}")
    theme, keys = values.get("theme", ""), values.get("keys", {})
    if not isinstance(theme, str) or not isinstance(keys, dict):
        return Settings(problem=f"{path} is not used: theme must be a name and [keys] a table")
    return Settings(theme, {str(name): str(key) for name, key in keys.items()})


def save_theme(path: Path, theme: str) -> None:
    """Write the theme's name and leave the rest of the file's values as they are. Raises `OSError`, `ValueError`."""
    import tomli_w

    values = read_toml(path) if path.exists() else {}
    if values.get("theme") == theme:
        return
    values["theme"] = theme
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(tomli_w.dumps(values), encoding="utf-8")
    temporary.replace(path)
