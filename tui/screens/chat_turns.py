"""What can be done with a turn of a chat: ask it anew, in other words, of others; fork it, copy it, compare answers."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.clipboard import copy
from tui.screens.chat_asking import ChatAsking
from tui.screens.chats import ChatKeeper
from tui.screens.dialogs import PickDialog
from tui.widgets.chat_seats import Seat
from tui.widgets.chat_turns import Stage, Turn
from tui.widgets.conversation_lines import Against
from tui.widgets.prompt import Prompt

HERE = {"edit", "again_one", "fork", "copy", "copy_all", "compare", "ask_others"}
"""What is done with the turn at the cursor."""
TURN_ACTIONS = HERE | {"again", "unfold"}


class ChatTurns(ChatAsking):
    """A chat with keys for its turns. They are about the turn at the cursor, or the last one while one writes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "edit", id="chat.edit", tooltip="Ask this in other words; what followed is kept"),
        Binding("r", "again", "again", id="chat.again_here", tooltip="Ask this again"),
        Binding("R", "again_one", "again, one", id="chat.again_one", show=False, tooltip="Ask one model again"),
        Binding("f", "fork", "fork", id="chat.fork", tooltip="Go on from here in a conversation of its own"),
        Binding("y", "copy", "copy", id="chat.copy", tooltip="Copy this question and its answers"),
        Binding("Y", "copy_all", "copy all", id="chat.copy_all", show=False, tooltip="Copy the whole conversation"),
        Binding("d", "compare", "differences", id="chat.diff", tooltip="Compare answers word by word"),
        Binding("p", "unfold", "passages", id="chat.passages", tooltip="Unfold what was found in notes"),
        Binding("a", "ask_others", "ask others", id="chat.others", tooltip="Ask all of it anew, of others"),
        Binding("ctrl+r", "again", "again", id="chat.again", tooltip="Ask the last question again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._editing: int | None = None
        """The turn that is being asked in other words."""
        self._draft = ""
        """What stood in the input before."""

    @property
    def _prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @property
    def _here(self) -> int:
        """The place of the turn that keys are about."""
        return self._conversation.cursor if self.focused is self._conversation else len(self._turns) - 1

    # Again

    def action_again(self) -> None:
        """Ask a question anew. The answers that were there stay in the store, and so does what followed it."""
        turn = self._turns[self._here]
        if self._settings.sampling.temperature == 0 and all(
            answer.stage is Stage.DONE for answer in turn.answers.values()
        ):
            self.notify("Greedy answers come out the same; ctrl+s sets a temperature.")
        self._again(self._here)

    def action_again_one(self) -> None:
        """Ask one of the models anew."""
        able = {seat.place for seat in self.seats if seat.pane is not None}
        if len(able) == 1:
            self.action_again()
            return
        here = self._here

        def picked(place: str | None) -> None:
            if place is not None and not self.busy:
                self._again(here, int(place))

        options = [option for option in self._seat_options() if int(option.id) in able]
        self.app.push_screen(PickDialog("Who is asked again", options), picked)

    def _again(self, here: int, *places: int) -> None:
        if here < len(self._turns) and self._can_answer():
            if here + 1 < len(self._turns):
                self._leave_after(here + 1)
            self._ask(self._turns[here], new=False, places=places)

    def _leave_after(self, turns: int) -> None:
        """Go on after so many turns, in a fork: what followed stays as it is in the history."""
        before = self._turns[turns].position if turns < len(self._turns) else None
        self._keeper = self._keeper.fork(before) if self._keeper else ChatKeeper(self.services.store)
        self._turns = self._turns[:turns]
        self._conversation.show(self.seats, self._turns)
        self.notify("Forked; the conversation as it was is in the history (ctrl+o).")

    def action_fork(self) -> None:
        """Go on from this turn in a conversation of its own."""
        self._leave_after(self._here + 1)
        if self._keeper is not None:
            self.in_thread(self._keeper.settle, group="fork", exclusive=False)
        self.focus_prompt()

    # Edit

    def action_edit(self) -> None:
        """Put the question into the input; Enter asks it as it is then."""
        self._draft = self._prompt.text if self._editing is None else self._draft
        self._editing = self._here
        self._prompt.load_text(self._turns[self._here].prompt)
        self._prompt.move_cursor(self._prompt.document.end)
        self.focus_prompt()
        self._show_status()
        self.refresh_bindings()

    def action_end_edit(self) -> None:
        """Leave the question as it was."""
        self._editing = None
        self._prompt.load_text(self._draft)
        self._draft = ""
        self._show_status()
        self.refresh_bindings()
        self._conversation.focus()

    def _send(self, text: str) -> None:
        """Ask what was written: something new, or a question in other words."""
        if self._editing is not None and self._editing < len(self._turns):
            self._leave_after(self._editing)
        self._editing, draft, self._draft = None, self._draft, ""
        self._prompt.load_text(draft)
        self._ask_new(text)

    # Of others

    def action_ask_others(self) -> None:
        """Ask all questions of this conversation anew, of others."""
        self.ask_of_others([turn.prompt for turn in self._turns])

    def ask_of_others(self, prompts: list[str]) -> None:
        """Pick who is asked, and ask one question after the other."""

        def seated(seats: list[Seat]) -> None:
            self.begin(seats)
            if prompts and self._can_answer():
                self._to_ask = prompts[1:]
                self._ask_new(prompts[0])

        self.pick_seats(f"Who is asked these {len(prompts)} questions" if len(prompts) > 1 else "Who is asked", seated)

    # Copy and compare

    def action_copy(self) -> None:
        """Copy a question and what each answered."""
        self.notify(copy(self.app, self._written(self._turns[self._here])))

    def action_copy_all(self) -> None:
        """Copy the whole conversation."""
        self.notify(copy(self.app, "\n\n".join(self._written(turn) for turn in self._turns)))

    def _written(self, turn: Turn) -> str:
        answers = [(seat.label, turn.answers[seat.place].text) for seat in self.seats if seat.place in turn.answers]
        return "\n\n".join([turn.prompt, *(f"{label}: {text}" for label, text in answers)])

    def action_compare(self) -> None:
        """Show what differs from the first pane, then from the same pane's earlier answer, then nothing."""
        ways = [Against.NOTHING]
        ways += [Against.FIRST] if len(self.seats) > 1 else []
        ways += [Against.EARLIER] if any(turn.earlier for turn in self._turns) else []
        if len(ways) == 1:
            self.notify("There is nothing to compare with: add a model (ctrl+a) or ask again (ctrl+r).")
            return
        conversation = self._conversation
        at = ways.index(conversation.against) if conversation.against in ways else 0
        conversation.look(ways[(at + 1) % len(ways)], unfolded=conversation.unfolded)
        self._show_status()

    def action_unfold(self) -> None:
        """Show what was found in notes in full, or folded."""
        self._conversation.look(self._conversation.against, unfolded=not self._conversation.unfolded)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in HERE:
            return bool(self._turns) and not self.busy and self.focused is self._conversation
        if action == "again":
            return bool(self._turns) and not self.busy
        if action == "end_edit":
            return self._editing is not None and self.focused is self._prompt
        if action == "unfold":
            based = any(answer.passages for turn in self._turns for answer in turn.answers.values())
            return based and self.focused is self._conversation
        return super().check_action(action, parameters)
