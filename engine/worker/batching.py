"""Puts rows that arrive together into one batch, and gives one thread all that touches the model. No torch."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from engine.errors import FinetuiError
from engine.runs.failure_codes import FailureCode
from engine.worker.failures import explain
from engine.worker.live_row import LiveRow

log = logging.getLogger("finetui.serve")

MOST_ROWS = 32
"""Rows in one batch, while memory lasts."""
GATHER_S = 0.005
"""How long an idle model waits for another row once one has come; at most four times."""


class NotEnoughMemory(FinetuiError):
    """One answer alone that does not fit."""

    def __init__(self) -> None:
        super().__init__(
            "There is not enough memory for this answer.",
            why="It did not fit although it was tried on its own.",
            fix="Shorten the prompt or lower max_tokens, free the device's memory, or load the model in 4-bit.",
        )


class Scheduler:
    """The model's thread. It takes calls and rows in the order they came; rows that wait together are one batch.

    `answer(rows)` writes rows to their ends. A batch that does not fit into memory is halved and tried again, its rows
    going on where they stood, and `most_rows` stays lowered; `release` gives memory back in between.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[LiveRow]], None],
        release: Callable[[], None],
        most_rows: int = MOST_ROWS,
        gather_s: float = GATHER_S,
    ) -> None:
        self.most_rows = most_rows
        self._answer = answer
        self._release = release
        self._gather_s = gather_s
        self._waiting: deque[LiveRow | _Call] = deque()
        self._changed = threading.Condition()
        self._at_work: list[LiveRow] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    @property
    def waiting(self) -> int:
        """Rows that wait for the batch before them."""
        with self._changed:
            return sum(isinstance(item, LiveRow) for item in self._waiting)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End what is being written and what waits at the next token; the thread then ends. Does not wait."""
        with self._changed:
            self._stopping = True
            for item in (*self._at_work, *self._waiting):
                item.cancel()
            self._changed.notify_all()

    def submit(self, rows: Sequence[LiveRow]) -> None:
        """Let `rows` be answered; each says itself when it is done."""
        with self._changed:
            self._waiting.extend(rows)
            if self._stopping:
                for row in rows:
                    row.cancel()
            self._changed.notify_all()

    def call(self, work: Callable[[], Any]) -> "Future[Any]":
        """`work()` in the model's thread, between batches."""
        call = _Call(work)
        with self._changed:
            self._waiting.append(call)
            self._changed.notify_all()
        return call.future

    def _run(self) -> None:
        while taken := self._next():
            if isinstance(taken, _Call):
                taken.run()
            else:
                self._write(taken)
                with self._changed:
                    self._at_work = []

    def _next(self) -> "list[LiveRow] | _Call | None":
        """What is to be done now; `None` at the end."""
        with self._changed:
            idle = not self._waiting
            while not self._waiting:
                if self._stopping:
                    return None
                self._changed.wait()
            if isinstance(first := self._waiting[0], _Call):
                self._waiting.popleft()
                return first
            if idle:
                self._gather()
            while self._waiting and len(self._at_work) < self.most_rows:
                item = self._waiting[0]
                if isinstance(item, _Call):
                    break
                self._at_work.append(item)
                self._waiting.popleft()
            return self._at_work

    def _gather(self) -> None:
        """Wait a moment for what arrives together with the first row."""
        deadline = time.monotonic() + 4 * self._gather_s
        count = 0
        while count < len(self._waiting) < self.most_rows and time.monotonic() < deadline and not self._stopping:
            count = len(self._waiting)
            self._changed.wait(self._gather_s)

    def _write(self, batch: Sequence[LiveRow]) -> None:
        parts = deque([list(batch)])
        while parts:
            rows = [row for row in parts.popleft() if not row.done]
            if len(rows) > self.most_rows:
                parts.extendleft(reversed([rows[: self.most_rows], rows[self.most_rows :]]))
                continue
            error = self._try(rows) if rows else None
            rest = [row for row in rows if not row.done]
            if error is None or not rest:
                continue
            if not isinstance(error, NotEnoughMemory) or len(rows) == 1:
                for row in rest:
                    row.fail(error)
                continue
            self._release()
            half = len(rows) // 2
            self.most_rows = min(self.most_rows, half)
            log.warning("a batch of %d does not fit into memory; from now on %d at once", len(rows), self.most_rows)
            parts.appendleft(rest)

    def _try(self, rows: Sequence[LiveRow]) -> FinetuiError | None:
        """Answer `rows`; what came in between. The exception itself, which holds on to memory, ends here."""
        try:
            self._answer(rows)
        except Exception as error:
            if is_out_of_memory(error):
                return NotEnoughMemory()
            log.exception("a batch failed")
            return FinetuiError("The model could not answer.", why=f"{type(error).__name__}: {error}")
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a GPU's or the machine's memory ran out, in any of torch's ways."""
    code = explain(error, None).code
    return code in (FailureCode.CUDA_OUT_OF_MEMORY, FailureCode.HOST_OUT_OF_MEMORY)


class _Call:
    def __init__(self, work: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._work = work

    def cancel(self) -> None:
        self.future.cancel()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._work())
        except BaseException as error:
            self.future.set_exception(error)
