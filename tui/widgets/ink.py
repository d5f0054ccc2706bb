"""Component styles as ink: the colour of the text without its background."""

from rich.style import Style
from textual.widget import Widget


def ink(widget: Widget, component: str) -> Style:
    """The component's text colour and weight. Colours that a theme leaves to contrast (`auto`) are worked out."""
    style = widget.get_component_rich_style(component)
    return Style(color=style.color, bold=style.bold, dim=style.dim)
