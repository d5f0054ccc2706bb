"""Arena: which one do you prefer, not knowing which it is?"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from store.talk_records import Vote, Winner
from tui.screens.arena_feed import TICK_S
from tui.screens.arena_seating import ArenaSeating
from tui.screens.dialogs import TextDialog
from tui.text import clean_line
from tui.widgets.arena_panes import AnswerPair, Bout
from tui.widgets.arena_words import passed_words, progress_words, question_words, reveal
from tui.widgets.pane_scroll import PaneScroll
from tui.widgets.prompt import Prompt

NOBODY = """\
Two models are needed for a match.

Press m to choose who takes part: base models, runs that have an adapter,
models at an OpenAI-compatible address.
`finetui train` makes a run; `finetui demo` makes one in two minutes, with no GPU."""
NOTHING_ASKED = """\
What shall they be asked?

Type a prompt and press Enter, or press esc, then P for a suite of prompts.
Two models answer, and you say which answer is better. Who it was is told afterwards."""
ALL_JUDGED = """\
Every pair has been judged by {criterion}, or skipped.{same}

L shows the leaderboard, c judges by another criterion,
p asks a prompt of your own, P takes another suite, m other models."""
SAME = "\n{count}: both said the same. = keeps that as a tie."
LOOKING = "Looking for the next pair …"


class ArenaScreen(ArenaSeating):
    """Blind pairs of answers, and one key for each vote."""

    MODE = "chat"
    TITLE = "Arena"
    CSS_PATH = "arena.tcss"
    AUTO_FOCUS = ""
    HELP = """
**Which answer is better?** Two models answer the same prompt; nobody says which is A and which is B until you have
voted. `1` or `h` votes for the left one, `2` or `l` for the right one, `3` or `t` says that they are as good, `4` or
`b` that neither is any good. The vote is on the disk before the next pair is shown; `u` takes it back.

The next pair is the one whose vote tells most: models that are close, or were seldom compared. It is fetched while
you read. Every voter judges every pair once by each criterion; `c` goes to the next criterion. Of a prompt with several
turns both answer all of them, and you judge them together. Where both say the same, word for word, there is nothing to
judge: the pair is passed over and counted; `=` keeps such pairs as ties.

`L` shows what the votes come to. `finetui votes export FILE` writes them as preference pairs for DPO.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1,h,left", "vote('left')", "left", id="arena.left", tooltip="A is better"),
        Binding("2,l,right", "vote('right')", "right", id="arena.right", tooltip="B is better"),
        Binding("3,t", "vote('tie')", "tie", id="arena.tie", tooltip="They are as good"),
        Binding("4,b", "vote('both_bad')", "both bad", id="arena.both_bad", tooltip="Neither is any good"),
        Binding("s", "skip", "skip", id="arena.skip", tooltip="Do not judge this pair"),
        Binding("r", "again", "ask again", id="arena.again", tooltip="Ask anew what was not answered"),
        Binding("u", "undo", "undo", id="arena.undo", tooltip="Take the last vote back"),
        Binding("L", "leaderboard", "leaderboard", id="arena.leaderboard", tooltip="What the votes come to"),
        Binding("c", "criterion(1)", "criterion", id="arena.criterion", show=False, tooltip="The next criterion"),
        Binding("C", "own_criterion", "own criterion", id="arena.own", show=False, tooltip="Type a criterion"),
        Binding("equals_sign", "same", "same: tie", id="arena.same", show=False, tooltip="Same answers: ties, or not"),
        Binding("N", "note", "note", id="arena.note", show=False, tooltip="A note that goes with the vote"),
        Binding("V", "voter", "voter", id="arena.voter", show=False, tooltip="Who votes"),
        Binding("p", "prompt", "own prompt", id="arena.prompt", show=False, tooltip="Ask a prompt of your own"),
        Binding("P", "suite", "suite", id="arena.suite", show=False, tooltip="Choose the prompts"),
        Binding("m", "models", "models", id="arena.models", show=False, tooltip="Choose who takes part"),
        Binding("j,down", "scroll(1)", "down", id="arena.down", show=False),
        Binding("k,up", "scroll(-1)", "up", id="arena.up", show=False),
        Binding("J", "scroll_question(1)", "prompt down", id="arena.question_down", show=False),
        Binding("K", "scroll_question(-1)", "prompt up", id="arena.question_up", show=False),
        Binding("pagedown,ctrl+d,space", "page(1)", "page down", id="arena.page_down", show=False),
        Binding("pageup,ctrl+u", "page(-1)", "page up", id="arena.page_up", show=False),
        Binding("escape", "back", "back", id="page.back", key_display="esc", tooltip="Leave the input, or the arena"),
    ]

    def __init__(self, models: Sequence[str] = (), suite: str = "") -> None:
        """`models` are `base:NAME` or ids of runs, else the newest ones; `suite` is the name or id of prompts."""
        super().__init__(models, suite)
        self._history: list[tuple[Bout, Vote]] = []
        self._told: Vote | None = None
        """What the line below the answers is about."""
        self._saving = False
        self._passed = 0
        """Pairs that said the same since the last vote."""

    def compose_body(self) -> ComposeResult:
        yield Static("", id="progress", markup=False)
        yield PaneScroll(id="question")
        yield AnswerPair()
        yield Static("", id="empty", markup=False)
        yield Static("", id="told", markup=False)
        with Horizontal(id="input"):
            yield Static("›", id="mark", markup=False)
            yield Prompt()

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self.tick)
        self.when_ready(self.seat)

    # What is shown

    def show_bout(self, *, new: bool) -> None:
        bout = self.current
        self.set_class(bout is None, "-empty")
        if bout is None:
            self.query_one("#empty", Static).update(self._why_empty())
        else:
            self.query_one("#question", PaneScroll).show(question_words(bout.match.question))
        self.query_one(AnswerPair).show(bout, from_top=new)
        self.show_words()
        self.refresh_bindings()

    def _why_empty(self) -> Content:
        if self._seated is None:
            return Content("")
        if len(self._seated.entrants) < 2:
            return Content(NOBODY)
        if not self.at_end:
            return Content(LOOKING)
        if self.progress is None or not self.progress.total:
            return Content(NOTHING_ASKED)
        count = self.progress.same
        same = SAME.format(count=f"{count:,} pair{'s' * (count != 1)}") if count else ""
        return Content(ALL_JUDGED.format(criterion=clean_line(self._criterion), same=same))

    def passed_over(self) -> None:
        self._passed += 1
        self.count()

    def nothing_left(self) -> None:
        if not self._suite and len(self.entrants) > 1:
            self.action_prompt()

    def show_words(self) -> None:
        voter = self._seated.bench.voter if self._seated is not None else ""
        words = progress_words(self.progress, self._criterion, voter, self._suite_name)
        self.query_one("#progress", Static).update(Content(words))
        told = self.query_one("#told", Static)
        bout = self.current
        if bout is not None and not bout.complete and not bout.failed:
            words = f"{clean_line(self.status)} …" if self.status else "both are answering …"
            told.update(Content(words).stylize("$text-primary"))
        elif bout is not None and bout.note:
            told.update(Content(f"note: {clean_line(bout.note)}").stylize("$text-muted"))
        elif self._told is not None:
            names = {model: entrant.label for model, entrant in self.entrants.items()}
            told.update(Content.assemble(passed_words(self._passed), reveal(self._told, names)))
        else:
            told.update(passed_words(self._passed))

    # Votes

    def action_vote(self, said: str) -> None:
        """Keep the vote; the next pair is shown once it is on the disk."""
        bout, arena = self.current, self.arena
        if bout is None or arena is None or self._saving:
            return
        if not bout.complete:
            self.notify("One of them did not answer; r asks again, s skips." if bout.failed else "Both answer first.")
            return
        self._saving = True
        keep = partial(arena.vote, bout.match, Winner(said), bout.texts, bout.note)
        self.in_thread(keep, partial(self._voted, bout), group="vote", failed=self._not_kept, exclusive=False)

    def _voted(self, bout: Bout, vote: Vote) -> None:
        self._saving = False
        self._history.append((bout, vote))
        self._told, self._passed = vote, 0
        self.count()
        self.advance()

    def _not_kept(self, error: Exception) -> None:
        from tui.errors import show_error

        self._saving = False
        self.refresh_bindings()
        show_error(self.app, error, "The vote is not kept")

    def action_undo(self) -> None:
        """Take the last vote back and show its pair again."""
        if self.arena is None or self._saving:
            return
        self._saving = True
        bout, vote = self._history[-1]
        undo = partial(self.arena.undo, vote)
        self.in_thread(undo, lambda _: self._taken_back(bout), group="vote", failed=self._not_kept, exclusive=False)

    def _taken_back(self, bout: Bout) -> None:
        self._saving = False
        self._history.pop()
        self._told = self._history[-1][1] if self._history else None
        self.count()
        self.go_back(bout)

    def action_skip(self) -> None:
        """Go to the next pair without a vote."""
        if self.arena is not None and self.current is not None:
            self.arena.skip(self.current.match)
            self._told = None
            self.advance()

    def action_again(self) -> None:
        self.ask_again()

    def action_note(self) -> None:
        """Write a note that is kept with the vote on this pair."""
        if self.current is not None:
            self.app.push_screen(TextDialog("Note on this pair", self.current.note), self._take_note)

    def _take_note(self, note: str | None) -> None:
        if note is not None and self.current is not None:
            self.current.note = note
            self.show_words()

    # Prompts

    def action_prompt(self) -> None:
        """Put the cursor where one writes a prompt."""
        self.add_class("-writing")
        self.query_one(Prompt).focus()

    @on(Prompt.Sent)
    def _sent(self, event: Prompt.Sent) -> None:
        if self.arena is None or len(self.entrants) < 2:
            return
        event.stop()
        self.query_one(Prompt).clear()
        self._leave_input()
        self.in_thread(partial(self.arena.ask, event.text), lambda _: self._asked(), group="ask", exclusive=False)

    def _asked(self) -> None:
        self.count()
        self.begin_anew()

    def _leave_input(self) -> None:
        self.remove_class("-writing")
        self.set_focus(None)

    # Other keys

    def action_leaderboard(self) -> None:
        """What the votes come to."""
        from tui.screens.arena_leaderboard import LeaderboardScreen

        self.app.push_screen(LeaderboardScreen(self._criterion))

    def action_scroll(self, lines: int) -> None:
        self.query_one(AnswerPair).scroll_lines(lines)

    def action_scroll_question(self, lines: int) -> None:
        """Scroll a long prompt."""
        self.query_one("#question", PaneScroll).scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        self.query_one(AnswerPair).scroll_pages(pages)

    def action_back(self) -> None:
        if self.has_class("-writing"):
            self._leave_input()
            self.refresh_bindings()
        else:
            super().action_back()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or not self.finetui.is_ready:
            return action in ("vote", "back")
        match action:
            case "vote":
                return True  # a digit that is refused here would go on to the app, and change the screen
            case "skip" | "note":
                return self.current is not None and not self._saving
            case "again":
                return self.current is not None and self.current.failed
            case "undo":
                mine = self.arena is not None and self._history and self._history[-1][1].voter == self.arena.voter
                return bool(mine) and not self._saving
            case "criterion" | "own_criterion" | "same" | "voter" | "models" | "suite":
                return self._seated is not None and not self._saving
            case "prompt":
                return self.arena is not None and len(self.entrants) > 1
        return super().check_action(action, parameters)
