"""How keys come in: a lone Esc at once, broken bytes without harm, an end where the terminal is gone. What goes out."""

import asyncio
import os
import select
import signal
from codecs import getincrementaldecoder
from typing import Final

from textual import constants
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize
from textual.geometry import Size

from tui.stand_ins import use_stand_ins

IDLE_S: Final = 0.1
"""So often the thread looks whether it shall end."""
READ_BYTES: Final = 4096
TERMINATED: Final = 128 + signal.SIGTERM
"""Exit status of an app that was told to end."""


class TerminalDriver(LinuxDriver):
    """Textual's driver with another loop that reads keys.

    Textual's own waits a tenth of a second for what may follow an Esc, whatever `ESCDELAY` says, ends with an error at
    bytes that are no UTF-8, and spins once the terminal has vanished.
    """

    def start_application_mode(self) -> None:
        use_stand_ins(self._file)
        super().start_application_mode()  # type: ignore[no-untyped-call]
        # Textual has no handler: the system would end us and leave the terminal as it is, without echo.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._told_to_end)

    def _told_to_end(self) -> None:
        """End; a second signal ends what does not come to an end."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        self._app.exit(return_code=TERMINATED)

    def _get_terminal_size(self) -> tuple[int, int]:
        """The terminal's own word first: COLUMNS and LINES, where somebody exports them, do not follow its window."""
        try:
            columns, rows = os.get_terminal_size(self.fileno)
        except OSError:
            columns, rows = 0, 0
        return (columns, rows) if columns and rows else super()._get_terminal_size()

    def look_at_size(self) -> None:
        """Tell the app of the terminal's size where it takes it for another one.

        Of two sizes that come at once the first may be told last: its signal's handler was interrupted by the second.
        """
        size = Size(*self._get_terminal_size())
        if size != self._app.size:
            self._app.post_message(Resize(size, size))

    def run_input_thread(self) -> None:
        """Read keys until the app ends or the terminal is gone; the app ends with it."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        wait_s = IDLE_S
        while not self.exit_event.is_set():
            try:
                is_there = bool(select.select([self.fileno], [], [], wait_s)[0])
                data = os.read(self.fileno, READ_BYTES) if is_there else b""
            except OSError:  # a hang-up
                is_there, data = True, b""
            if is_there and not data:
                self._loop.call_soon_threadsafe(self._app.exit)
                return
            text = decode(data)  # empty while a character is not whole: the parser would take that for the end
            for message in parser.feed(text) if text else ():
                self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
            wait_s = constants.ESCAPE_DELAY if data else IDLE_S
