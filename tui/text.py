"""Untrusted text made safe to show: `engine.text`, for the screens and the commands."""

from engine.text import clean, clean_line, shorten

__all__ = ["clean", "clean_line", "shorten"]
