"""Who shares a batch with whom, and what happens when a batch does not fit. Most of it without a model."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from engine.worker.adapters import AdapterShelf
from engine.worker.batching import NotEnoughMemory, Scheduler, is_out_of_memory
from engine.worker.generate import answer_rows, release_memory
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
    """Writes `hello` a letter a step; `fits` rows at most. `go` lets a batch begin."""

    def __init__(self, fits: int = 100, after_steps: int = 0) -> None:
        self.batches: list[int] = []
        self.released = 0
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()
        self._fits = fits
        self._after_steps = after_steps

    def answer(self, rows: Sequence[LiveRow]) -> None:
        self.batches.append(len(rows))
        self.begun.set()
        assert self.go.wait(10)
        if len(rows) > self._fits and not self._after_steps:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        steps = 0
        while rows := [row for row in rows if row.begin()]:
            if len(rows) > self._fits and steps == self._after_steps:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 100 bytes.")
            steps += 1
            for row in rows:
                row.take(ord("hello"[len(row.tokens)]), END)

    def release(self) -> None:
        self.released += 1


@contextmanager
def running(model: Model, **options: Any) -> Iterator[Scheduler]:
    scheduler = Scheduler(model.answer, model.release, **options)
    scheduler.start()
    try:
        yield scheduler
    finally:
        model.go.set()
        scheduler.stop()


def test_what_arrives_together_is_one_batch_and_calls_keep_their_place() -> None:
    model, rows = Model(), Rows()
    model.go.clear()
    with running(model, most_rows=4, gather_s=0.001) as scheduler:
        scheduler.submit(rows.make(1))
        assert model.begun.wait(10)
        for _ in range(3):
            scheduler.submit(rows.make(2))  # six rows wait: four, two
        called = scheduler.call(lambda: list(model.batches))
        scheduler.submit(rows.make(1))
        model.go.set()
        assert called.result(10) == [1, 4, 2]
        assert [result.text for result in rows.wait(8)] == ["hello"] * 8
        assert model.batches == [1, 4, 2, 1]


def test_requests_that_come_within_a_moment_share_a_batch() -> None:
    model, rows = Model(), Rows()
    with running(model, gather_s=1.0, most_rows=3) as scheduler:
        for _ in range(3):
            scheduler.submit(rows.make(1))
        rows.wait(3)
    assert model.batches == [3]


def test_a_batch_that_does_not_fit_is_halved_and_the_limit_stays() -> None:
    model, rows = Model(fits=3), Rows()
    with running(model) as scheduler:
        scheduler.submit(rows.make(8))
        assert [result.text for result in rows.wait(8)] == ["hello"] * 8
        assert (model.batches, model.released, scheduler.most_rows) == ([8, 4, 2, 2, 2, 2], 2, 2)
        scheduler.submit(rows.make(4))
        rows.wait(12)
    assert model.batches[6:] == [2, 2]


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
    assert heard == ["hello"] * 4 and model.batches == [4, 2, 2]


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


def test_another_failure_is_the_error_of_its_batch_alone() -> None:
    model, rows = Model(), Rows()
    broken = True

    def answer(batch: Sequence[LiveRow]) -> None:
        nonlocal broken
        if broken:
            broken = False
            raise ValueError("shapes do not match")
        model.answer(batch)

    scheduler = Scheduler(answer, model.release)
    scheduler.start()
    scheduler.submit(rows.make(2))
    assert ["shapes do not match" in str(result.error) for result in rows.wait(2)] == [True, True]
    with pytest.raises(ZeroDivisionError):
        scheduler.call(lambda: 1 / 0).result(10)
    scheduler.submit(rows.make(1))
    assert rows.wait(3)[1].error is None
    scheduler.stop()


def test_stopping_ends_what_is_written_and_what_waits() -> None:
    model, rows = Model(), Rows()
    model.go.clear()
    with running(model) as scheduler:
        scheduler.submit(rows.make(1))
        assert model.begun.wait(10)
        scheduler.submit(rows.make(2))
        waiting = scheduler.call(lambda: None)
        scheduler.stop()
        model.go.set()
        assert {result.finish_reason for result in rows.wait(3)} == {"cancelled"}
        assert waiting.cancelled()


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
    done = threading.Event()
    scheduler = Scheduler(lambda batch: answer_rows(shelf.model, tokenizer, batch), release_memory)
    scheduler.start()
    scheduler.submit(rows)
    scheduler.call(done.set)
    assert done.wait(60)
    scheduler.stop()
    assert texts(results_of(rows)) == expected == [streamed[place] for place in range(5)]
    assert scheduler.most_rows == 2
