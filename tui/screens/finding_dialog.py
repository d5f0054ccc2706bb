"""What was found out about a run: what it means, the evidence, what can be done."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.format import fmt_number, fmt_percent
from tui.screens.dialogs import Dialog, key_words
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.insight.diagnosis import Act, Evidence, Finding
    from store.records import Run

MOST_POINTS = 6
"""Of an item of evidence; the first and the last ones are shown."""


class Answer(NamedTuple):
    """What to do about which finding; `act` is `None` where it is to be ignored."""

    finding: "Finding"
    act: "Act | None"


class FindingDialog(Dialog[Answer | None]):
    """`a` or a number does what is offered, `i` ignores the finding, `h` and `l` go through the others, Esc closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "act(1)", "do it", id="run.fix"),
        *(Binding(str(number), f"act({number})", "do that", id=f"finding.act_{number}") for number in range(1, 10)),
        Binding("i", "ignore", "ignore", id="run.ignore"),
        Binding("escape,enter,q,w", "close", "close", id="dialog.close"),
        Binding("l,right", "turn(1)", "next finding", id="finding.next"),
        Binding("h,left", "turn(-1)", "previous finding", id="finding.previous"),
        Binding("j,down", "scroll(1)", "down", id="reading.down"),
        Binding("k,up", "scroll(-1)", "up", id="reading.up"),
    ]

    def __init__(self, run: "Run", findings: "Sequence[Finding]") -> None:
        super().__init__()
        self.run = run
        self.findings = findings
        self.place = 0
        self.title_text = run.name

    @property
    def finding(self) -> "Finding":
        """The one that is shown."""
        return self.findings[self.place]

    def compose(self) -> ComposeResult:
        with self.box("-wide"):
            with VerticalScroll(id="parts", can_focus=False):
                for name in ("what", "why", "evidence", "acts"):
                    yield Static("", markup=False, id=name, classes="part")
            yield Static("", id="keys", classes="keys")

    def on_mount(self) -> None:
        self._show()

    def _show(self) -> None:
        finding = self.finding
        style = {"error": "bold $text-error", "warning": "bold $text-warning"}.get(finding.level, "bold")
        sure = f"{fmt_percent(finding.confidence)} sure  " if finding.level != "info" else ""
        self.query_one("#what", Static).update(
            Content.assemble((clean_line(finding.title), style), (f"\n{sure}({finding.code})", "$text-muted"))
        )
        self.query_one("#why", Static).update(clean(finding.why))
        evidence = self.query_one("#evidence", Static)
        evidence.update(Content("\n").join(evidence_content(one) for one in finding.evidence))
        evidence.display = bool(finding.evidence)
        acts = self.query_one("#acts", Static)
        acts.update(Content("\n").join(self._act(number, act) for number, act in enumerate(finding.acts, 1)))
        acts.display = bool(finding.acts)
        keys = [("a", clean_line(finding.acts[0].offer))] if finding.acts else []
        keys.append(("i", "ignore"))
        if len(self.findings) > 1:
            keys.append(("h l", f"{self.place + 1} of {len(self.findings)}"))
        self.query_one("#keys", Static).update(key_words(*keys, ("esc", "close")))

    def _act(self, number: int, act: "Act") -> Content:
        """An offer with what it changes: `2  train again with lora_dropout 0.1   0.05 → 0.1`."""
        changes = ", ".join(
            f"{name} {clean_line(str(self.run.recipe.get(name, '')))} → {clean_line(str(value))}".replace("  ", " ")
            for name, value in act.changes.items()
        )
        return Content.assemble(
            (f"{number}  ", "bold $footer-key-foreground"),
            (clean_line(act.offer), "$text-success"),
            (f"   {changes}" if changes else "", "$text-muted"),
        )

    def action_turn(self, places: int) -> None:
        self.place = (self.place + places) % len(self.findings)
        self._show()

    def action_scroll(self, lines: int) -> None:
        self.query_one("#parts").scroll_relative(y=lines, animate=False)

    def action_act(self, number: int) -> None:
        if number <= len(self.finding.acts):
            self.dismiss(Answer(self.finding, self.finding.acts[number - 1]))

    def action_ignore(self) -> None:
        self.dismiss(Answer(self.finding, None))

    def action_close(self) -> None:
        self.dismiss(None)


def evidence_content(evidence: "Evidence") -> Content:
    """What the points show, and the points: `eval/loss  1.038 at 300 · 1.071 at 350 · 1.102 at 400`."""
    points = list(zip(evidence.steps, evidence.values, strict=False))
    parts = [f"{fmt_number(value)} at {step:,}" for step, value in points]
    if len(parts) > MOST_POINTS:
        parts = [*parts[: MOST_POINTS // 2], "…", *parts[-MOST_POINTS // 2 :]]
    return Content.assemble(
        clean_line(evidence.words),
        (f"\n  {clean_line(evidence.metric)}  {' · '.join(parts)}" if parts else "", "$text-muted"),
    )
