"""Asking: a question goes to everybody who is seated, and what they answer is kept as it comes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from textual.timer import Timer
from textual.worker import Worker

from engine.errors import FinetuiError
from tui.screens.chat_seating import ChatSeating
from tui.screens.chat_settings import ChatSettings
from tui.screens.chats import ChatKeeper
from tui.text import clean_line
from tui.widgets.chat_seats import Seat
from tui.widgets.chat_turns import Answer, Stage, Turn, messages_for
from tui.widgets.conversation import Conversation

if TYPE_CHECKING:
    from engine.inference.pool import Delta
    from store.talk_records import Passage

TICK_S = 0.1
"""How often what streamed in is drawn."""


class ChatAsking(ChatSeating):
    """A page whose seats are asked. What it shows beside the conversation is up to the subclass."""

    def __init__(self) -> None:
        super().__init__()
        self._turns: list[Turn] = []
        self._settings = ChatSettings()
        self._keeper: ChatKeeper | None = None
        self._answering: Worker[None] | None = None
        self._keeping: list[Worker[int | None]] = []
        """Answers that were stopped and are on their way to the disk."""
        self._to_ask: list[str] = []
        """Questions that follow by themselves, each when the one before is answered."""
        self._stopped = False
        """Whether the user ended the answers, and not the app."""
        self._since = 0.0
        self._at = ""
        """What the model server is at, in its own words."""
        self._drawn: tuple[int, ...] = ()
        self._timer: Timer | None = None

    def on_mount(self) -> None:
        self._timer = self.set_interval(TICK_S, self._tick, pause=True)

    @property
    def busy(self) -> bool:
        return self._answering is not None

    @property
    def _conversation(self) -> Conversation:
        return self.query_one(Conversation)

    def _show_status(self) -> None:
        """Say what is going on, or how answers are written."""
        raise NotImplementedError

    def _show_trust(self) -> None:
        """Say what is known of the adapters that answer."""
        raise NotImplementedError

    def _can_answer(self) -> bool:
        if any(seat.pane is not None for seat in self.seats):
            return True
        self.notify("None of these models can answer any more; ctrl+a adds one.", severity="warning")
        return False

    def _ask_new(self, prompt: str) -> None:
        """Ask something new, at the end of the conversation."""
        turn = Turn(prompt)
        self._turns.append(turn)
        self._conversation.show(self.seats, self._turns)
        self._ask(turn, new=True)

    def _ask(self, turn: Turn, *, new: bool, places: Sequence[int] = ()) -> None:
        """Ask the last turn, of all who can answer or of those at `places`. What they said to it before is kept."""
        seats = [seat for seat in self.seats if seat.pane is not None and (not places or seat.place in places)]
        for seat in seats:
            turn.ask_again(seat.place)
        if self._keeper is None:
            self._keeper = ChatKeeper(self.services.store)
        self._since, self._at, self._stopped = time.monotonic(), "", False
        self._answering = self.run_worker(self._answer(turn, seats, self._keeper, new=new), group="answer")
        if self._timer is not None:
            self._timer.resume()
        self._tick()
        self.refresh_bindings()

    async def _answer(self, turn: Turn, seats: list[Seat], keeper: ChatKeeper, *, new: bool) -> None:
        panes = [seat.pane for seat in seats if seat.pane is not None]
        pool = self.services.pool
        pool.on_status = self._say
        position: int | None = None
        whole = False
        try:
            await asyncio.to_thread(import_module, "httpx")  # a tenth of a second, better not on the loop
            await self._kept_before()
            if new:
                turn.position = await self._keep(partial(keeper.keep_prompt, turn.prompt, seats, self._settings))
            if turn.position is not None:  # answers without their question would be taken for those to another
                position = await self._keep(keeper.begin_answers)
            conversations = await self._conversations(turn, seats)
            async with aclosing(pool.answer(panes, conversations, self._settings.sampling)) as deltas:
                async for delta in deltas:
                    answer = turn.answers[seats[delta.pane].place]
                    if answer.stage is Stage.WAITING:
                        self._show_trust()
                    _take(answer, delta)
                    turn.version += 1
                    if answer.stage is Stage.DONE and position is not None:
                        await self._keep(partial(keeper.keep_answer, position, seats[delta.pane].place, answer))
            failed = [answer.error for answer in turn.answers.values() if answer.stage is Stage.FAILED]
            whole = not failed
            if failed:
                what, _, why = failed[0].partition("\n")
                self.show_error(FinetuiError(what, why=why, fix=ASK_AGAIN), "Not every model answered")
        except asyncio.CancelledError:
            for seat in seats:
                self._end(turn, seat, Stage.STOPPED, keeper, position)
            raise
        except Exception as error:  # shown to the user, whatever it is
            for seat in seats:
                self._end(turn, seat, Stage.FAILED, keeper, position, str(error).partition("\n")[0])
            self.show_error(error, "The models could not answer")
        finally:
            pool.on_status = None
            self._answering = None
            if self.is_running:
                self._ended(whole=whole)

    def _ended(self, *, whole: bool) -> None:
        """The answers are over: show that, and go on with what is to be asked by itself."""
        self._tick()
        self._show_trust()
        self.refresh_bindings()
        if self._timer is not None:
            self._timer.pause()
        if self._to_ask and whole:
            self._ask_new(self._to_ask.pop(0))
        elif self._to_ask:
            self.notify(f"{len(self._to_ask)} of the questions were not asked.", severity="warning")
            self._to_ask.clear()

    async def _conversations(self, turn: Turn, seats: Sequence[Seat]) -> list[list[dict[str, str]]]:
        """What each seat is told; those with notes get what is found there before the question."""
        turns = self._turns[: self._turns.index(turn) + 1]
        told = [messages_for(turns, seat.place, self._settings.system) for seat in seats]
        for index, seat in enumerate(seats):
            if seat.knowledge:
                from engine.knowledge.prompting import with_passages

                self._say(f"looking in {seat.knowledge}")
                passages = await asyncio.to_thread(self._passages, seat.knowledge, turn.prompt)
                if not passages:
                    self.notify(f"{seat.label}: {NOTHING_FITS}", severity="warning", markup=False)
                told[index] = with_passages(told[index], passages)
                turn.answers[seat.place].passages = passages
                turn.version += 1
        return told

    def _passages(self, knowledge: str, question: str) -> "list[Passage]":
        """What is found in notes for a question, as far as a prompt has room for it. Blocks."""
        from engine.knowledge.prompting import fitting

        return [passage for passage, _ in fitting(self.services.knowledge.search([knowledge], question))]

    def _end(
        self, turn: Turn, seat: Seat, stage: Stage, keeper: ChatKeeper, position: int | None, error: str = ""
    ) -> None:
        """Close an answer that was not written to its end; what there is of it is kept."""
        answer = turn.answers[seat.place]
        if not answer.open:
            return
        answer.stage, answer.error = stage, error
        turn.version += 1
        if not answer.text or position is None:
            return
        keep = partial(keeper.keep_answer, position, seat.place, replace(answer))
        if self.is_running and (self._stopped or stage is Stage.FAILED):
            self._keeping.append(self.run_worker(self._keep(keep), group="keep"))
            return
        with suppress(Exception):  # the app is being closed: nobody waits for the loop, nor for words about a failure
            keep()

    async def _kept_before(self) -> None:
        """Wait until what was said before is on the disk."""
        keeping, self._keeping = self._keeping, []
        for worker in keeping:
            await worker.wait()

    async def _keep(self, write: Callable[[], int | None]) -> int | None:
        """Write to the store in a thread. Where that fails the chat goes on, and the user is told once a turn."""
        try:
            return await asyncio.to_thread(write)
        except Exception as error:  # a full disk must not end a conversation
            self.show_error(error, "This conversation is not kept")
            return None

    def _say(self, line: str) -> None:
        self._at = clean_line(line)

    def action_stop(self) -> None:
        """End the answers that are being written."""
        if self._answering is not None:
            self._stopped = True
            self._answering.cancel()

    def _tick(self) -> None:
        """Draw what has come since the last time, and how long it has been."""
        drawn = tuple(turn.version for turn in self._turns)
        if drawn != self._drawn:
            self._drawn = drawn
            self._conversation.turns_changed()
        self._show_status()


NOTHING_FITS = "the notes have nothing on this; it is asked without them."
ASK_AGAIN = "The conversation is kept; ctrl+r asks again."


def _take(answer: Answer, delta: "Delta") -> None:
    """Take one more piece into an answer."""
    answer.text += delta.text
    if delta.error is not None:
        answer.stage, answer.error = Stage.FAILED, delta.error
    elif delta.done:
        answer.stage = Stage.DONE
        answer.tokens, answer.first_token_s = delta.tokens, delta.first_token_s
        answer.tokens_per_s = delta.tokens_per_s
    elif delta.text:
        answer.stage = Stage.WRITING
