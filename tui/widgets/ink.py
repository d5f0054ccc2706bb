"""Component styles as ink: the colour of the text without its background."""

from rich.style import Style
from textual.widget import Widget

SOFT = 0.45
"""How much of its colour a soft ink keeps over the background."""


def ink(widget: Widget, component: str) -> Style:
    """The component's text colour and weight. Colours that a theme leaves to contrast (`auto`) are worked out."""
    style = widget.get_component_rich_style(component)
    return Style(color=style.color, bold=style.bold, dim=style.dim)


def soft_ink(widget: Widget, component: str, otherwise: str) -> Style:
    """The component's colour on its way to the background; `otherwise`'s where colours are the terminal's own."""
    color = widget.get_component_styles(component).color
    background = widget.background_colors[1]
    if color.ansi is not None or background.ansi is not None:
        return ink(widget, otherwise)
    return Style(color=background.blend(color, SOFT).rich_color)
