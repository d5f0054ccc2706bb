"""Figures as people read them: `engine.figures`, for the screens and the commands."""

from engine.figures import (
    NONE,
    fmt_bytes,
    fmt_cost,
    fmt_count,
    fmt_delta,
    fmt_duration,
    fmt_energy,
    fmt_number,
    fmt_pair,
    fmt_percent,
    fmt_rate,
    fmt_when,
)

__all__ = [
    "NONE",
    "fmt_bytes",
    "fmt_cost",
    "fmt_count",
    "fmt_delta",
    "fmt_duration",
    "fmt_energy",
    "fmt_number",
    "fmt_pair",
    "fmt_percent",
    "fmt_rate",
    "fmt_when",
]
