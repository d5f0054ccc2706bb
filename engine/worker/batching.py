"""Lets rows join the batch at work between two tokens, and gives one thread all that touches the model. No torch."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from engine.errors import FinetuiError
from engine.runs.failure_codes import FailureCode
from engine.worker.failures import explain
from engine.worker.live_row import LiveRow

log = logging.getLogger("finetui.serve")

MOST_ROWS = 32
"""Rows in one batch, while memory lasts."""
ENDING = "The model server is ending."
PATIENCE_S = 60.0
"""A batch that did not fit makes later ones smaller; after so long without another they may be twice as large."""


class NotEnoughMemory(FinetuiError):
    """One answer alone that does not fit."""

    def __init__(self) -> None:
        super().__init__(
            "There is not enough memory for this answer.",
            why="It did not fit although it was tried on its own.",
            fix="Shorten the prompt or lower max_tokens, free the device's memory, or load the model in 4-bit.",
        )


class Writing(Protocol):
    """Who writes the rows: `engine.worker.generate.Writer`."""

    is_open: bool

    def join(self, rows: Sequence[LiveRow]) -> None: ...
    def step(self) -> None: ...
    def drop(self) -> None: ...


class Scheduler:
    """The model's thread. It takes calls and rows in the order they came; rows join those that are being written.

    A batch that does not fit into memory is dropped, and its rows go on where they stood, half as many at once.
    `writer` is set, by a call, before the first row comes.
    """

    def __init__(self, most_rows: int = MOST_ROWS, patience_s: float = PATIENCE_S) -> None:
        self.writer: Writing | None = None
        self.most_rows = most_rows
        self._limit = most_rows
        self._patience_s = patience_s
        self._lowered: float | None = None
        self._waiting: deque[LiveRow | _Call] = deque()
        self._at_work: list[LiveRow] = []
        self._changed = threading.Condition()
        self._stopping = False
        self.broken = False
        """Whether the model cannot write any more: its device has failed."""
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    @property
    def waiting(self) -> int:
        """Rows for which there is no place yet."""
        with self._changed:
            return sum(isinstance(item, LiveRow) for item in self._waiting)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End what is being written and what waits at the next token; the thread then ends. Does not wait."""
        with self._changed:
            self._stopping = True
            for item in (*self._at_work, *self._waiting):
                item.cancel(FinetuiError(ENDING, fix="Ask again."))
            self._changed.notify_all()

    def submit(self, rows: Sequence[LiveRow]) -> None:
        """Let `rows` be answered; each says itself when it is done."""
        with self._changed:
            self._waiting.extend(rows)
            if self._stopping:
                for row in rows:
                    row.cancel(FinetuiError(ENDING, fix="Ask again."))
            self._changed.notify_all()

    def call(self, work: Callable[[], Any], *, without: str | None = None) -> "Future[Any]":
        """`work()` in the model's thread, between two tokens, once no row of the adapter `without` is written."""
        call = _Call(work, without)
        with self._changed:
            self._waiting.append(call)
            self._changed.notify_all()
        return call.future

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            if isinstance(taken, _Call):
                taken.run()
            else:
                self._write(taken)

    def _next(self) -> "list[LiveRow] | _Call | None":
        """A call to run, or rows to join those at work, which may be none; `None` at the end."""
        with self._changed:
            while True:
                self._at_work = [row for row in self._at_work if not row.done]
                if self._waiting and isinstance(call := self._waiting[0], _Call) and call.may_run(self._at_work):
                    self._waiting.popleft()
                    return call
                if joining := self._joining():
                    self._at_work = [*self._at_work, *joining]
                    return joining
                if self._at_work:
                    return []
                if self._stopping:
                    return None
                self._changed.wait()

    def _joining(self) -> list[LiveRow]:
        """Rows for which there is a place now; a call that waits keeps those behind it back."""
        if self._at_work and self.writer is not None and not self.writer.is_open:
            return []
        if self._lowered is not None and time.monotonic() - self._lowered > self._patience_s:
            self.most_rows = min(self._limit, 2 * self.most_rows)
            self._lowered = time.monotonic() if self.most_rows < self._limit else None
        joining: list[LiveRow] = []
        while self._waiting and len(self._at_work) + len(joining) < self.most_rows:
            if not isinstance(row := self._waiting[0], LiveRow):
                break
            joining.append(row)
            self._waiting.popleft()
        return joining

    def _write(self, joining: list[LiveRow]) -> None:
        """One step of all rows, `joining` among them."""
        assert self.writer is not None
        error, concerned = self._try(lambda writer: writer.join(joining)) if joining else None, joining
        if error is None:
            error, concerned = self._try(lambda writer: writer.step()), self._at_work
        if error is None:
            return
        rows = [row for row in self._at_work if not row.done]
        if not isinstance(error, NotEnoughMemory):
            for row in concerned:
                row.fail(error)
        elif len(rows) == 1:
            rows[0].fail(error)
        else:
            self.most_rows, self._lowered = max(1, len(rows) // 2), time.monotonic()
            log.warning("%d rows at once do not fit into memory; from now on %d", len(rows), self.most_rows)
        try:
            self.writer.drop()
        except Exception as failure:  # CUDA after a failed assertion, for one: nothing works on it any more
            log.exception("the model's device has failed")
            self.broken = True
            for row in rows:
                row.fail(FinetuiError("The model's device has failed.", why=str(failure), fix="Ask again."))
        with self._changed:  # those that have no error go on where they stood
            self._waiting.extendleft(row for row in reversed(rows) if not row.done)
            self._at_work = []

    def _try(self, work: Callable[[Writing], None]) -> FinetuiError | None:
        """What came in between. The exception itself, which holds on to memory, ends here."""
        assert self.writer is not None
        try:
            work(self.writer)
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
    def __init__(self, work: Callable[[], Any], without: str | None) -> None:
        self.future: Future[Any] = Future()
        self._work = work
        self._without = without

    def may_run(self, rows: Sequence[LiveRow]) -> bool:
        return self._without is None or all(row.request.adapter != self._without for row in rows)

    def cancel(self, error: FinetuiError) -> None:
        self.future.cancel()

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._work())
        except BaseException as error:
            self.future.set_exception(error)
