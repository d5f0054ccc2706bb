"""Where the arena's answers come from: the match at hand, and the one after it, fetched while the first is read."""

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.errors import FinetuiError
from engine.inference.client import Sampling
from tui.screens.page import Page
from tui.widgets.arena_panes import Bout, Side

if TYPE_CHECKING:
    from engine.arena.entrants import Entrant
    from engine.arena.matches import Arena, Match, Progress

TICK_S = 0.1
"""How often what streamed in is drawn."""
SAMPLING = Sampling(max_new_tokens=400)
"""How answers are written: the likeliest token each time, so that a model says the same at every try."""
AHEAD = 1
"""Matches that are fetched before they are asked for."""


class ArenaFeed(Page):
    """A page with a current bout. What it shows of it is up to the subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.arena: Arena | None = None
        self.entrants: Mapping[str, Entrant] = {}
        self.progress: Progress | None = None
        self.current: Bout | None = None
        self.at_end = False
        """Whether no match is left."""
        self.status = ""
        """What the model server is at, in its own words."""
        self._ahead: list[Bout] = []
        self._looking = False
        self._age = 0
        """Counts what makes earlier matches invalid: other models, another criterion."""
        self._drawn: object = None

    def show_bout(self, *, new: bool) -> None:
        """Show the current bout, or that there is none; `new` where it is another than before."""
        raise NotImplementedError

    def passed_over(self) -> None:
        """Two models said the same: called before another match is shown."""
        raise NotImplementedError

    def nothing_left(self) -> None:
        """No match is left: called once each time that this is found."""
        raise NotImplementedError

    def begin_anew(self) -> None:
        """Forget the matches at hand: something was chosen that makes them others."""
        self._age += 1
        self.workers.cancel_group(self, "answer")
        self.current, self._ahead, self._looking = None, [], False
        self.show_bout(new=True)
        self.refill()

    def look_again(self) -> None:
        """Forget what was fetched ahead; the bout at hand stays."""
        self._age += 1
        self._ahead, self._looking = [], False
        self.refill()

    def advance(self) -> None:
        """Go to the next match, at once where it is there already."""
        self.current = self._ahead.pop(0) if self._ahead else None
        self.show_bout(new=True)
        self.refill()

    def go_back(self, bout: Bout) -> None:
        """Show an earlier bout again; the one at hand comes after it."""
        if self.current is not None:
            self._ahead.insert(0, self.current)
        self.current = bout
        self.show_bout(new=True)

    def ask_again(self) -> None:
        """Ask the current question anew."""
        if self.current is not None:
            self.current.sides, self.current.ready = [Side(), Side()], False
            self.show_bout(new=True)
            self._start(self.current)

    def refill(self) -> None:
        """Look for the next match where there is room for one, and nobody writes."""
        writing = any(not bout.ready and not bout.failed for bout in self._bouts())
        full = self.current is not None and len(self._ahead) >= AHEAD
        if self.arena is None or self._looking or writing or full:
            return
        self._looking = True
        waiting, age, arena = [bout.match for bout in self._bouts()], self._age, self.arena
        self.in_thread(
            lambda: (arena.next(waiting), arena.progress()),
            lambda found: self._found(*found, age),
            group="match",
            failed=self._not_found,
        )

    def _bouts(self) -> list[Bout]:
        return ([self.current] if self.current is not None else []) + self._ahead

    def _not_found(self, error: Exception) -> None:
        from tui.errors import show_error

        self._looking = False
        show_error(self.app, error, "The next pair cannot be found")

    def _found(self, match: "Match | None", progress: "Progress", age: int) -> None:
        if age != self._age:
            return
        self.progress = progress
        self._looking = False
        self.at_end = match is None
        if match is not None:
            bout = Bout(match)
            if match.stored is not None:
                bout.sides, bout.ready = [Side(list(texts), done=True) for texts in match.stored], True
            if self.current is None:
                self.current = bout
            else:
                self._ahead.append(bout)
            if match.stored is None:
                self._start(bout)
            else:
                self.refill()
        self.show_bout(new=match is not None and not self._ahead)
        if self.current is None:
            self.nothing_left()

    def _start(self, bout: Bout) -> None:
        self.run_worker(self._answer(bout), group="answer")

    async def _answer(self, bout: Bout) -> None:
        """Have both models answer. What goes wrong stands in place of the answer it kept from being written."""
        match, pool = bout.match, self.services.pool
        panes = [self.entrants[model].pane for model in (match.left, match.right)]
        conversations = [[dict(message) for message in match.conversation] for _ in panes]
        say: Callable[[str], None] = self._say
        try:
            await asyncio.to_thread(import_module, "httpx")  # a tenth of a second, better not on the loop
            pool.on_status = say
            for turn in range(match.question.turns):
                if turn:
                    self._next_turn(bout, conversations, match.question.more[turn - 1])
                async with aclosing(pool.answer(panes, conversations, SAMPLING)) as deltas:
                    async for delta in deltas:
                        side = bout.sides[delta.pane]
                        side.texts[-1] += delta.text
                        side.error = self._unnamed(delta.error or "")
                        side.done = bool(side.error) or (delta.done and turn + 1 == match.question.turns)
                if bout.failed:
                    raise FinetuiError("The other one did not answer.")
            bout.ready = not await self._pass_over(bout)
        except Exception as error:  # shown to the user, whatever it is
            words = str(error) if isinstance(error, FinetuiError) else f"{type(error).__name__}: {error}"
            for side in bout.sides:
                if not side.done:
                    side.done, side.error = True, self._unnamed(words or "It broke off.")
        finally:
            if pool.on_status is say:
                pool.on_status = None
            self.status = ""
        if self.is_running:
            self.tick()
            self.refill()

    def _next_turn(self, bout: Bout, conversations: list[list[dict[str, str]]], question: str) -> None:
        """Each goes on from its own answer."""
        for side, messages in zip(bout.sides, conversations, strict=True):
            messages += [{"role": "assistant", "content": side.texts[-1]}, {"role": "user", "content": question}]
            side.texts.append("")

    async def _pass_over(self, bout: Bout) -> bool:
        """Go on where both said the same: there is nothing to judge. Whether they did."""
        arena = self.arena
        if arena is None or not await asyncio.to_thread(arena.pass_over, bout.match, bout.texts):
            return False
        if bout is self.current:
            self.passed_over()
            self.advance()
        elif bout in self._ahead:
            self._ahead.remove(bout)
            self.passed_over()
        return True

    def _say(self, line: str) -> None:
        self.status = self._unnamed(line)

    def _unnamed(self, text: str) -> str:
        """A line of the server without the models' names, which nobody is to know yet."""
        panes = [entrant.pane for entrant in self.entrants.values()]
        names = {entrant.label for entrant in self.entrants.values()} | {pane.label for pane in panes}
        for pane in panes:
            names |= {pane.url, urlsplit(pane.url).netloc} if pane.url else set()
        for name in sorted(filter(None, names), key=len, reverse=True):
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "a model", text)
        return text

    def tick(self) -> None:
        """Draw what has come since the last time."""
        sides = self.current.sides if self.current is not None else []
        ready = self.current is not None and self.current.ready
        now = (self.status, ready, *((len(side.texts), len(side.texts[-1]), side.done, side.error) for side in sides))
        if now != self._drawn:
            self._drawn = now
            self.show_bout(new=False)
