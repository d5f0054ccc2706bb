"""Who shares a batch with whom, and what happens when a batch does not fit. Most of it without a model."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from engine.worker.adapters import AdapterShelf
from engine.worker.batching import NotEnoughMemory, Scheduler, is_out_of_memory
from engine.worker.generate import Writer
from engine.worker.live_row import LiveRow
from engine.worker.loading import load_base, load_tokenizer
from engine.worker.rows import RowRequest, RowResult, Sampling
from tests.worker.asking import ask, live, requests, results_of, texts
from tests.worker.conftest import TinyModel

END = frozenset({0})


class Letters:
    """A tokenizer whose tokens are letters."""

    def decode(self, tokens: Sequence[int], **_: Any) -> str:
        return "".join(map(chr, tokens))


class Rows:
    """Rows that say `hello`, and their ends as they come."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, RowResult]] = []
        self._changed = threading.Condition()

    def make(self, count: int, tokens: int = 5) -> list[LiveRow]:
        request = RowRequest(None, [1], tokens)
        return [LiveRow(request, Letters(), lambda text: None, self._heard(place)) for place in range(count)]

    def wait(self, count: int) -> list[RowResult]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.ended) >= count, 10)
        return [result for _, result in sorted(self.ended, key=lambda entry: entry[0])]

    def _heard(self, place: int) -> Callable[[RowResult], None]:
        def hear(result: RowResult) -> None:
            with self._changed:
                self.ended.append((place, result))
                self._changed.notify_all()

        return hear


class Model:
    """Writes `hello` a letter a step; `fits` rows at most. `go` lets a step be taken."""

    def __init__(self, fits: int = 100, after_steps: int = 0, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self.sizes: list[int] = []
        self.dropped = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.rows: list[LiveRow] = []
        self._fits = fits
        self._after_steps = after_steps

    def join(self, rows: Sequence[LiveRow]) -> None:
        self.rows += [row for row in rows if row.begin()]
        self._fit()

    def step(self) -> None:
        self.begun.set()
        assert self.go.wait(10)
        while True:
            self.sizes.append(len(self.rows))
            if any(len(row.tokens) >= self._after_steps for row in self.rows):
                self._fit("DefaultCPUAllocator: can't allocate memory: you tried to allocate 100 bytes.")
            for row in self.rows:
                row.take(ord("hello"[len(row.tokens)]), END)
            self.rows = [row for row in self.rows if not row.done]
            if self.is_open or not self.rows:
                return

    def drop(self) -> None:
        self.dropped += 1
        self.rows = []

    def _fit(self, words: str = "") -> None:
        if len(self.rows) > self._fits and (words or not self._after_steps):
            raise (
                RuntimeError(words) if words else torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            )


@contextmanager
def running(model: Any, **options: Any) -> Iterator[Scheduler]:
    scheduler = Scheduler(**options)
    scheduler.writer = model
    scheduler.start()
    try:
        yield scheduler
    finally:
        model.go.set()
        scheduler.stop()


def test_rows_join_those_at_work_and_calls_keep_their_place() -> None:
    model, rows = Model(), Rows()
    model.go.clear()
    with running(model, most_rows=4) as scheduler:
        scheduler.submit(rows.make(1))
        assert model.begun.wait(10)
        scheduler.submit(rows.make(2))
        called = scheduler.call(lambda: len(model.rows))
        scheduler.submit(rows.make(3))  # for one there is a place
        model.go.set()
        assert called.result(10) == 3
        assert [result.text for result in rows.wait(6)] == ["hello"] * 6
    # one row; two join it; then a fourth, after the call; the others as places fall free
    assert model.sizes[:3] == [1, 3, 4] and max(model.sizes) == 4 and sum(model.sizes) == 6 * 5


def test_a_call_that_takes_an_adapter_away_waits_for_its_rows_and_for_no_other() -> None:
    model, rows = Model(), Rows()
    model.go.clear()
    with running(model) as scheduler:
        made = rows.make(2)
        object.__setattr__(made[0].request, "adapter", "mine")
        object.__setattr__(made[1].request, "max_new_tokens", 3)
        scheduler.submit(made)
        assert model.begun.wait(10)
        other = scheduler.call(lambda: [len(row.tokens) for row in made], without="other")
        mine = scheduler.call(lambda: made[0].done, without="mine")
        scheduler.submit(rows.make(1))
        model.go.set()
        assert other.result(10) == [1, 1] and mine.result(10) is True
        rows.wait(3)


def test_nobody_joins_a_closed_batch() -> None:
    model, rows = Model(is_open=False), Rows()
    model.go.clear()
    with running(model) as scheduler:
        scheduler.submit(rows.make(1))
        assert model.begun.wait(10)
        scheduler.submit(rows.make(2))
        model.go.set()
        rows.wait(3)
    assert model.sizes == [1] * 5 + [2] * 5


def test_what_does_not_fit_is_written_half_as_many_at_once() -> None:
    model, rows = Model(fits=3), Rows()
    with running(model) as scheduler:
        scheduler.submit(rows.make(8))
        assert [result.text for result in rows.wait(8)] == ["hello"] * 8
        assert (set(model.sizes), model.dropped, scheduler.most_rows) == ({2}, 2, 2)
        scheduler.submit(rows.make(4))
        rows.wait(12)
    assert set(model.sizes) == {2}


def test_the_limit_rises_again_after_a_while() -> None:
    model, rows = Model(fits=3), Rows()
    with running(model, most_rows=8, patience_s=0.05) as scheduler:
        scheduler.submit(rows.make(8))
        rows.wait(8)
        assert scheduler.most_rows < 8
        model._fits = 100
        time.sleep(0.06)
        for more in range(1, 4):
            scheduler.submit(rows.make(1))
            rows.wait(8 + more)
            time.sleep(0.06)
        assert scheduler.most_rows == 8


def test_rows_that_have_spoken_go_on_where_they_stood() -> None:
    model, rows, heard = Model(fits=2, after_steps=3), Rows(), [""] * 4

    def hear(place: int) -> Callable[[str], None]:
        def add(text: str) -> None:
            heard[place] += text

        return add

    made = rows.make(4)
    for place, row in enumerate(made):
        row._on_text = hear(place)
    with running(model) as scheduler:
        scheduler.submit(made)
        rows.wait(4)
    assert heard == ["hello"] * 4 and model.sizes == [4] * 4 + [2] * 4


def test_a_row_that_does_not_fit_alone_gets_an_error_and_the_next_an_answer() -> None:
    model, rows = Model(fits=0), Rows()
    with running(model) as scheduler:
        scheduler.submit(rows.make(2))
        results = rows.wait(2)
        assert {result.finish_reason for result in results} == {"error"}
        assert all(isinstance(result.error, NotEnoughMemory) and result.error.fix for result in results)
        model._fits = 1
        scheduler.submit(rows.make(1))
        assert rows.wait(3)[1].text == "hello" and scheduler.most_rows == 1


def test_a_failure_is_the_error_of_those_it_concerns_alone() -> None:
    class Broken(Model):
        def join(self, rows: Sequence[LiveRow]) -> None:
            if any(row.request.prompt == [13] for row in rows):
                raise ValueError("shapes do not match")
            super().join(rows)

    model, rows = Broken(), Rows()
    model.go.clear()
    with running(model) as scheduler:
        scheduler.submit(rows.make(1))
        assert model.begun.wait(10)
        bad = LiveRow(RowRequest(None, [13], 5), Letters(), lambda text: None, rows._heard(7))
        scheduler.submit([bad])
        model.go.set()
        good, failed = rows.wait(2)
        assert "shapes do not match" in str(failed.error) and (good.text, good.error) == ("hello", None)
        with pytest.raises(ZeroDivisionError):
            scheduler.call(lambda: 1 / 0).result(10)
        scheduler.submit(rows.make(1))
        assert rows.wait(3)[1].error is None


def test_stopping_ends_what_is_written_and_what_waits() -> None:
    model, rows = Model(), Rows()
    model.go.clear()
    with running(model, most_rows=1) as scheduler:
        scheduler.submit(rows.make(1))
        assert model.begun.wait(10)
        scheduler.submit(rows.make(2))
        waiting = scheduler.call(lambda: None)
        scheduler.stop()
        model.go.set()
        ended = rows.wait(3)
        assert {result.finish_reason for result in ended} == {"error"}, "what is cut off is no answer"
        assert all("is ending" in str(result.error) for result in ended)
        assert waiting.cancelled()


def test_a_device_that_fails_leaves_nobody_waiting() -> None:
    model, rows = Model(), Rows()

    def fails(*_: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with running(model) as scheduler, pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "step", fails)
        patch.setattr(model, "drop", fails)
        scheduler.submit(rows.make(2))
        assert all("assert triggered" in str(result.error) for result in rows.wait(2))
        until = time.monotonic() + 20
        while not scheduler.broken:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert scheduler.call(lambda: 1).result(10) == 1, "its thread lives"


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (ValueError("memory is a nice word"), False),
    ],
)
def test_memory_that_ran_out_is_known_by_all_its_names(error: Exception, is_memory: bool) -> None:
    assert is_out_of_memory(error) == is_memory


@pytest.mark.train
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(1.2, 0.9, seed=5)])
def test_a_real_model_out_of_memory_in_the_middle_says_what_it_says_otherwise(
    tiny_model: TinyModel, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = AdapterShelf(load_base(tiny_model.base, method="lora", device="cpu"), str(tiny_model.base))
    for name, folder in tiny_model.adapters.items():
        shelf.load(name, folder)
    tokenizer = load_tokenizer(tiny_model.base)
    asked = requests(shelf, tokenizer, [None, "formal", "terse", None, "formal"], sampling)
    expected = texts(ask(shelf, tokenizer, asked))
    base, steps = shelf.model.get_base_model(), 0
    real = base.forward

    def forward(input_ids: torch.Tensor, **fields: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > 6 and len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(input_ids=input_ids, **fields)

    monkeypatch.setattr(base, "forward", forward)
    rows, streamed = live(asked, tokenizer)
    scheduler = Scheduler()
    scheduler.writer = Writer(lambda: shelf.model, tokenizer)
    scheduler.start()
    scheduler.submit(rows)
    deadline = time.monotonic() + 60
    while not all(row.done for row in rows) and time.monotonic() < deadline:
        time.sleep(0.01)
    scheduler.stop()
    assert texts(results_of(rows)) == expected == [streamed[place] for place in range(5)]
    assert scheduler.most_rows == 2
