"""The line under a run's head that asks for something: a failure, silence, a finding, an alert, a damaged log."""

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from tui.text import clean_line
from tui.widgets.finding_line import finding_line
from tui.widgets.run_headline import failure_line, stalled_line

if TYPE_CHECKING:
    from tui.widgets.run_detail import Detail


class RunBanner(Static):
    """Shows the one thing that matters most; gone where nothing does."""

    DEFAULT_CSS = """
    RunBanner { display: none; height: auto; max-height: 3; padding: 0 1; background: $warning-muted;
                color: $text-warning; }
    RunBanner.-error { background: $error-muted; color: $text-error; }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._shown: Content | None = None

    def show(self, detail: "Detail") -> None:
        content, level = banner_of(detail)
        if self._shown is None or not content.is_same(self._shown):
            self._shown = content
            self.update(content)
        self.display = bool(content)
        self.set_class(level == "error", "-error")


def banner_of(detail: "Detail") -> tuple[Content, str]:
    """What the banner says, and its level; empty where nothing asks for anything."""
    run = detail.run
    if detail.failure is not None and run.status.value != "stopped":
        return failure_line(detail.failure), "error"
    if run.stalled is not None:
        return stalled_line(run, detail.suspended), "warning"
    findings = [finding for finding in detail.findings if finding.level != "info"]
    if findings:
        return finding_line(findings[0], len(findings) - 1), findings[0].level
    if detail.alert is not None:
        body = detail.alert.body
        parts = [clean_line(str(body.get(name) or "")) for name in ("message", "fix")]
        level = str(body.get("level", ""))
        mark = "•" if level == "info" else "⚠"
        return Content(f"{mark} {'  '.join(filter(None, parts))}"), level
    if run.warnings:
        words = "1 line" if run.warnings == 1 else f"{run.warnings:,} lines"
        return Content(f"⚠ {words} of the event log damaged or unknown; see Events."), "warning"
    return Content(""), ""
