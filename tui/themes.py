"""The themes in `themes/`: one TOML file each, its keys those of `textual.theme.Theme`."""

import tomllib
from importlib.resources import files

from textual.theme import Theme


def load_themes() -> list[Theme]:
    """finetui's own themes, by name. Textual's built-in ones are there anyway."""
    themes = []
    for file in files("themes").iterdir():
        if file.name.endswith(".toml"):
            values = tomllib.loads(file.read_text(encoding="utf-8"))
            themes.append(Theme(name=file.name.removesuffix(".toml"), **values))
    return sorted(themes, key=lambda theme: theme.name)
