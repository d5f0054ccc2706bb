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


def default_theme(color_system: str | None) -> str:
    """The theme for who has chosen none. With sixteen colours it is their own: others would all end in grey."""
    return "finetui-16" if color_system == "standard" else "finetui-dark"


def series_colors(*, dark: bool) -> dict[str, str]:
    """The theme variables `series-1` to `series-8`: colours that stay apart, also when a terminal has only sixteen."""
    colors = _ON_DARK if dark else _ON_LIGHT
    return {f"series-{number}": color for number, color in enumerate(colors, 1)}


_ON_DARK = ("#6ea8fe", "#f2a65a", "#6fcf8e", "#d68df0", "#4fd1d9", "#f27878", "#e5d454", "#b0b8c4")
_ON_LIGHT = ("#1f5fbf", "#b35900", "#1c7a3e", "#8a2fb0", "#0b7285", "#b3261e", "#7a6a00", "#56616f")
