"""Text in a fixed number of terminal cells: wide characters count as two."""

from rich.cells import cell_len, set_cell_size


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells, with an ellipsis where it was cut."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, max(0, width - 1)) + "…" if width > 0 else ""
    return " " * (width - length) + text if right else text + " " * (width - length)
