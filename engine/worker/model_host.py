"""The loaded model of a server: how it is, its adapters, and the thread in which everything that touches it happens."""

import argparse
import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import FinetuiError
from engine.inference.trust import Trust
from engine.worker.batching import Scheduler
from engine.worker.libraries import import_quickly
from engine.worker.live_row import LiveRow
from engine.worker.openai_api import AnswerRequest
from engine.worker.prompts import Prompts
from engine.worker.rows import BASE, RowRequest, RowResult

if TYPE_CHECKING:  # torch takes seconds to import: that happens in the model's thread, and /health answers meanwhile
    from engine.worker.adapters import AdapterShelf

log = logging.getLogger("finetui.serve")


class ModelHost:
    """A model that loads in its own thread, and then answers there."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.status = "loading"
        name = Path(options.base).name
        self.detail = f"loading {name} in 4-bit" if options.method == "qlora" else f"loading {name}"
        self.error: FinetuiError | None = None
        self.trust: Trust | None = None
        """Of the base, where that is what a run has trained as a whole."""
        self.busy = 0
        self.last_used = time.monotonic()
        self._options = options
        self._shelf: AdapterShelf | None = None
        self._prompts: Prompts | None = None
        self._trust: dict[str, Trust] = {}
        self._scheduler = Scheduler()

    def start(self) -> None:
        self._scheduler.start()
        self._scheduler.call(self._load)

    def stop(self) -> None:
        """End all answers at their next token."""
        self._scheduler.stop()

    @property
    def broken(self) -> bool:
        """Whether it cannot answer any more, whatever is asked."""
        return self._scheduler.broken

    @property
    def names(self) -> list[str]:
        """What requests may ask for, the base first."""
        return [BASE, *(self._shelf.names if self._shelf else [])]

    @property
    def batch_rows(self) -> int:
        """How many answers go into one batch."""
        return self._scheduler.most_rows

    @property
    def waiting_rows(self) -> int:
        """How many answers wait for the batch before them."""
        return self._scheduler.waiting

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Within it the server is not idle."""
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            self.last_used = time.monotonic()

    async def add_adapter(self, name: str, folder: Path) -> Trust:
        """Load an adapter, or find it loaded; what was checked of it. Raises `LoadError`."""
        with self.in_use():
            call = self._scheduler.call(lambda: self._add_adapter(name, folder))
            trust: Trust = await asyncio.wrap_future(call)
            return trust

    async def remove_adapter(self, name: str) -> None:
        """Unload an adapter once its answers are written. Raises `KeyError` where there is none."""
        with self.in_use():
            await asyncio.wrap_future(self._scheduler.call(lambda: self._remove_adapter(name), without=name))

    def requests(self, asked: AnswerRequest) -> list[RowRequest]:
        """What `asked` wants as rows. Takes a moment, and any thread. Raises `PromptError`."""
        assert self._prompts is not None
        rows = []
        for name, prompt in zip(asked.models, asked.prompts, strict=True):
            ids = self._prompts.plain(prompt) if isinstance(prompt, str) else self._written(name, prompt)
            limit = self._prompts.room(ids, asked.max_new_tokens)
            adapter = None if name == BASE else name
            rows.append(RowRequest(adapter, ids, limit, asked.sampling, asked.stop, goes_on=isinstance(prompt, str)))
        return rows

    def submit(
        self,
        requests: Sequence[RowRequest],
        on_text: Callable[[int, str], None],
        on_done: Callable[[int, RowResult], None],
    ) -> list[LiveRow]:
        """Let the rows be answered; both get a row's place first, in the model's thread. `cancel` ends a row."""
        assert self._prompts is not None
        tokenizer = self._prompts.tokenizer

        def row(place: int, request: RowRequest) -> LiveRow:
            return LiveRow(request, tokenizer, lambda text: on_text(place, text), lambda result: on_done(place, result))

        rows = [row(place, request) for place, request in enumerate(requests)]
        self._scheduler.submit(rows)
        return rows

    def _written(self, name: str, messages: list[dict[str, Any]]) -> list[int]:
        """A conversation by the template that the model `name` was trained with; `None` is the base's own."""
        assert self._prompts is not None and self._shelf is not None
        template = self._shelf.template(name)
        if template is None and not self._prompts.tokenizer.chat_template:
            template = self._shelf.any_template()
        return self._prompts.chat(messages, template)

    # In the model's thread

    def _load(self) -> None:
        options = self._options
        log.info(self.detail)
        try:
            import_quickly()
            from engine.worker.adapters import AdapterShelf
            from engine.worker.generate import Writer
            from engine.worker.loading import context_tokens, count_linear4bit, load_base, load_tokenizer
            from engine.worker.trust import check_whole

            tokenizer = load_tokenizer(options.base, options.revision, options.trust_remote_code)
            model = load_base(
                options.base,
                revision=options.revision,
                method=options.method,
                precision=options.precision,
                trust_remote_code=options.trust_remote_code,
            )
            self._prompts = Prompts(tokenizer, context_tokens(model))
            self._shelf = shelf = AdapterShelf(model, options.base, options.revision)
            self._scheduler.writer = Writer(lambda: shelf.model, tokenizer)
            self.trust = check_whole(Path(options.base), tokenizer)
            for warning in self.trust.warnings if self.trust else ():
                log.warning(warning)
            for text in options.adapter:
                adapter, _, folder = text.partition("=")
                self.detail = f"loading adapter {adapter}"
                for warning in self._add_adapter(adapter, Path(folder).absolute()).warnings:
                    log.warning(warning)
            self.detail = f"{Path(options.base).name} on {model.device}, {count_linear4bit(model)} layers in 4-bit"
            self.status = "ready"
            log.info("ready: %s", self.detail)
        except FinetuiError as error:
            self._fail(error)
        except Exception as error:
            log.exception("loading failed")
            self._fail(
                FinetuiError(f"The model {options.base} cannot be loaded.", why=f"{type(error).__name__}: {error}")
            )
        finally:
            self.last_used = time.monotonic()

    def _fail(self, error: FinetuiError) -> None:
        log.error("%s", error)
        self.error, self.detail, self.status = error, error.what, "failed"

    def _add_adapter(self, name: str, folder: Path) -> Trust:
        from engine.worker.trust import check_adapter

        assert self._shelf is not None and self._prompts is not None
        known = name in self._shelf.names
        self._shelf.load(name, folder)
        if not known:
            self._trust[name] = check_adapter(self._shelf, name, folder, self._prompts.tokenizer)
        return self._trust[name]

    def _remove_adapter(self, name: str) -> None:
        assert self._shelf is not None
        self._shelf.remove(name)
        del self._trust[name]
