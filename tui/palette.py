"""The command palette: Enter runs what was found for the text as it stands, however fast it was typed."""

from contextlib import suppress

from textual import on
from textual.command import CommandPalette
from textual.widgets import Input
from textual.worker import WorkerError


class Palette(CommandPalette):
    """Textual's, which on Enter runs the first of what an earlier letter had found."""

    @on(Input.Submitted)
    async def _wait_for_the_search(self) -> None:
        """Comes before Textual's own handler, which waits for this one."""
        for worker in list(self.workers):
            if worker.group == self._GATHER_COMMANDS_GROUP and not worker.is_finished:
                with suppress(WorkerError):  # cancelled by the next letter
                    await worker.wait()
