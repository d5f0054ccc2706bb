"""When Python looks for garbage: not while the app starts, and never again through all that it started with.

A full collection goes through every module, style and widget there is: a tenth of a second in which no key is answered.
"""

import gc
from functools import lru_cache

SETTLED_S = 3.0
"""So long after its start, the app has imported and built most of what stays."""

THRESHOLDS = (10_000, 20, 5)
"""New objects before a young collection, and how many of those before an older one; Python's own are 700, 10, 10.

Screens that were left are garbage that only the oldest collection finds. With eight live runs it comes once a minute;
at 50 instead of 5 it came every twelve, and the app grew by eight megabytes a minute until then.
"""


def hold() -> None:
    """Look for no garbage until `settle`."""
    gc.disable()


def settle() -> None:
    """Take what there is now for permanent, and look for garbage among what comes."""
    let_go_of_what_was_drawn()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()


def let_go_of_what_was_drawn() -> None:
    """Let widgets that are gone take with them the lines that were drawn of them.

    Textual 8 keeps two colours of backgrounds by who asked for them and not by the backgrounds alone (a `classmethod`
    is missing): the thousand widgets drawn last would stay in that cache with all their lines, forty megabytes.
    """
    from textual._styles_cache import StylesCache

    cached = StylesCache.get_inner_outer
    if hasattr(cached, "cache_clear"):
        cached.cache_clear()
        colours = lru_cache(1024)(cached.__wrapped__)
        StylesCache.get_inner_outer = classmethod(colours)  # type: ignore[arg-type, assignment, method-assign]
