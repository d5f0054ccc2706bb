"""Comparisons as files: a web page, a picture, tables for spreadsheets, Markdown for a pull request."""

from engine.reports.writing import KINDS, render_report, write_report

__all__ = ["KINDS", "render_report", "write_report"]
