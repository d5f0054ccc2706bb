"""The log of a run: all of its lines, whatever is in them, followed, searched, by level."""

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.panes import PaneDriver, showing
from tests.tui.sample_runs import SampleRuns
from tui.widgets import log_lines
from tui.widgets.log_levels import level_of
from tui.widgets.log_lines import BLOCK, LONGEST, LogLines
from tui.widgets.log_search import LogSearch, next_match
from tui.widgets.log_tail import LogTail
from tui.widgets.run_log import LogPane

RUN = "r1000000000"
TRACEBACK = b"""Traceback (most recent call last):
  File "train.py", line 3, in <module>
    main()

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "x.py", line 1, in f
    g()
ValueError: no such thing
"""


def lines_of(path: Path) -> LogLines:
    """The file, taken in whole."""
    log = LogLines(path)
    while not log.settled or not log.size:
        log.advance(10)
        if not path.stat().st_size:
            break
    return log


def matches(path: Path, text: str) -> list[int]:
    search = LogSearch(path, text)
    while search.advance(path.stat().st_size, 10):
        pass
    return list(search.matches)


class TestLines:
    def test_it_reads_what_was_appended(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        log = LogLines(path)
        assert not log.advance(1) and log.count == 0
        path.write_bytes(b"one\ntw")
        assert log.advance(1)
        assert log.read(range(log.count)) == ["one", "tw"]
        assert not log.advance(1)
        with path.open("ab") as file:
            file.write(b"o\nthree\n")
        log.advance(1)
        assert log.read(range(log.count)) == ["one", "two", "three"]

    def test_a_progress_bar_is_one_line(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"\r 10%\r 20%\r 30%\n\r 1/2")
        assert lines_of(path).read([0, 1]) == [" 30%", " 1/2"]

    def test_nothing_reaches_the_terminal(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"\x1b[31mred\x1b[0m \xff\xfe\n\x1b]0;title\x07[b]x[/b]\r\n")
        assert lines_of(path).read([0, 1]) == ["red \ufffd\ufffd", "[b]x[/b]"]

    def test_a_file_that_shrank_or_was_replaced_begins_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"ERROR: old\n" * 20)
        log = lines_of(path)
        assert log.count == 20 and len(log.levels["error"]) == 20
        path.write_bytes(b"new\n")
        log.advance(1)
        assert log.read(range(log.count)) == ["new"] and not log.levels["error"]
        other = tmp_path / "other"
        other.write_bytes(b"an other file\n" * 9)
        other.replace(path)
        log.advance(1)
        assert log.count == 9
        path.unlink()
        assert log.advance(1) and log.count == 0

    def test_all_of_a_long_file_is_there(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_text("".join(f"line {number}\n" for number in range(200_000)), encoding="utf-8")
        log = lines_of(path)
        assert log.count == 200_000
        for number in (0, 1, 77_777, 199_999):
            assert log.read([number]) == [f"line {number}"]
        assert log.read([3, 4, 150_000]) == ["line 3", "line 4", "line 150000"]
        assert log.tail(2) == ["line 199998", "line 199999"]

    def test_a_line_without_an_end_costs_little(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"first\n" + b"\r 50% of it" * 400_000 + b"\r the end\nERROR: last\n")
        log = lines_of(path)
        assert log.count == 3
        assert log.read([0, 1, 2]) == ["first", " the end", "ERROR: last"]
        assert list(log.levels["error"]) == [2]
        path.write_bytes(b"x" * (1 << 21) + b"\nnext")
        log = lines_of(path)
        assert len(log.read([0])[0]) < LONGEST + 20 and log.read([1]) == ["next"]

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_file_read_in_any_pieces_has_the_lines_that_it_has(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """With blocks and chunks of a few bytes, so that every line lies across several."""
        pieces = data.draw(st.lists(st.text("ab\n\r é", max_size=30).map(str.encode), max_size=12))
        path = tmp_path_factory.mktemp("log") / "log.txt"
        path.touch()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log_lines, "BLOCK", 8)
            patch.setattr(log_lines, "CHUNK", 5)
            log = LogLines(path)
            for piece in pieces:
                with path.open("ab") as file:
                    file.write(piece)
                while not log.settled or path.stat().st_size > log.size:
                    log.advance(10)
            content = path.read_bytes()
            expected = [log_lines.shown(line) for line in content.split(b"\n")]
            expected = expected[:-1] if content.endswith(b"\n") or not content else expected
            assert log.count == len(expected)
            assert log.read(range(log.count)) == expected
            if expected:
                some = sorted(data.draw(st.sets(st.integers(0, len(expected) - 1))))
                assert log.read(some) == [expected[number] for number in some]

    def test_only_a_little_of_it_is_kept_in_memory(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        with path.open("wb") as file:
            for _ in range(64):
                file.write(b"a line of the log that says nothing much\n" * (1 << 14))
        log = lines_of(path)
        assert log.count == 1 << 20
        assert len(log._before) == path.stat().st_size // BLOCK + 1


class TestLevels:
    @pytest.mark.parametrize(
        ("line", "level"),
        [
            ("2026-11-21 10:00:00 ERROR could not save", "error"),
            ("[ERROR] no", "error"),
            ("error: no such file", "error"),
            ("ValueError: no", "error"),
            ("torch.OutOfMemoryError: CUDA out of memory.", "error"),
            ("\x1b[31mRuntimeError\x1b[0m: x", "error"),
            ("[rank1]: RuntimeError: x", "error"),
            ("Killed", "error"),
            ("fatal: not a repository", "error"),
            ("KeyboardInterrupt", "error"),
            ("x.py:3: UserWarning: old", "warning"),
            ("WARNING:root:look", "warning"),
            ("warning: look", "warning"),
            ("[W] WARN: x", "warning"),
            ("{'loss': 1.2, 'learning_rate': 1e-4, 'eval_error': 0.1}", ""),
            ("0 errors, 0 warnings", ""),
            ("learning from errors of others", ""),
            ("10%\r20% ERROR: \rdone", ""),
            ("'ERROR' is a word", ""),
        ],
    )
    def test_what_a_line_is(self, line: str, level: str) -> None:
        assert level_of(line.encode()) == level

    def test_a_traceback_is_an_error_to_its_last_line(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"before\n" + TRACEBACK + b"after\nx: UserWarning: y\nlast\n")
        log = lines_of(path)
        assert [log.level(number) for number in range(log.count)] == ["", *["error"] * 10, "", "warning", ""]

    def test_a_traceback_that_comes_in_pieces(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        log = LogLines(path)
        for at in range(0, len(TRACEBACK), 7):
            with path.open("ab") as file:
                file.write(TRACEBACK[at : at + 7])
            log.advance(1)
        with path.open("ab") as file:
            file.write(b"after\n")
        log.advance(1)
        assert list(log.levels["error"]) == list(range(10))


class TestSearch:
    def test_it_finds_what_a_person_sees(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"Saved it\nnothing\n 1% saved\r done\nsa\x1b[1mved\x1b[0m\nsaved saved\nGr\xc3\xbc\xc3\x9fe")
        assert matches(path, "saved") == [0, 3, 4]
        assert matches(path, "Saved") == [0]
        assert matches(path, "absent") == []
        path.write_bytes(path.read_bytes() + b"\n")
        assert matches(path, "grüße") == [5]

    def test_it_goes_on_where_it_stood(self, tmp_path: Path) -> None:
        path = tmp_path / "log.txt"
        path.write_bytes(b"step 1\nother\nst")
        search = LogSearch(path, "step")
        search.advance(path.stat().st_size, 1)
        assert list(search.matches) == [0]
        with path.open("ab") as file:
            file.write(b"ep 2\n")
        search.advance(path.stat().st_size, 1)
        assert list(search.matches) == [0, 2]

    def test_from_match_to_match_and_round(self) -> None:
        assert next_match([3, 7], 3, 1) == 7
        assert next_match([3, 7], 7, 1) == 3
        assert next_match([3, 7], 3, -1) == 7
        assert next_match([3, 7], 5, -1) == 3
        assert next_match([], 5, 1) is None


def the_log(runs: SampleRuns) -> Path:
    return runs.home.runs / RUN / "log.txt"


def tail_of(driver: PaneDriver[LogPane]) -> LogTail:
    return driver.pane.query_one(LogTail)


async def settled(driver: PaneDriver[LogPane]) -> None:
    """Wait until all of the log is taken in and shown."""
    tail = tail_of(driver)
    await driver.until(lambda: not tail._working and not tail.reading.more and tail.reading.lines)
    await driver.pilot.pause()


async def test_it_follows_and_stops_where_one_scrolls_up(runs: SampleRuns) -> None:
    runs.add(RUN, log="".join(f"line {number}\n" for number in range(500)))
    async with showing(LogPane(), runs, RUN) as driver:
        await driver.sees("line 499", "500 lines", "follows the end")
        await driver.press("g")
        await driver.sees("line 0", "line 1, G follows")
        with the_log(runs).open("a") as file:
            file.write("one more\n")
        tail_of(driver).poll()
        await driver.sees("501 lines", "line 0")
        await driver.press("G")
        await driver.sees("one more", "follows the end")


async def test_it_searches_all_of_the_log(runs: SampleRuns) -> None:
    runs.add(RUN, log="".join(f"step {number} of [b]it[/b]\n" for number in range(30_000)))
    async with showing(LogPane(), runs, RUN) as driver:
        await driver.sees("30,000 lines")
        await driver.press("slash")
        await driver.type("p 17")
        await driver.press("enter")
        await driver.sees("lines", "1,111 of 1,111 lines", "step 17999 of [b]it[/b]")
        await driver.press("n")
        await driver.sees("1 of 1,111 lines", "step 17 of [b]it")
        await driver.press("n")
        await driver.sees("2 of 1,111 lines", "step 170 of")
        await driver.press("N")
        await driver.sees("1 of 1,111 lines")
        await driver.press("escape")
        await driver.sees_no("1,111")
        assert not driver.pane.check_action("match", ())


async def test_a_search_that_finds_nothing_says_so(runs: SampleRuns) -> None:
    runs.add(RUN)
    async with showing(LogPane(), runs, RUN) as driver:
        await driver.press("slash")
        await driver.type("zebra")
        await driver.press("enter")
        await driver.sees("0 lines")


async def test_levels(runs: SampleRuns) -> None:
    plain = b"".join(b"step %d\n" % number for number in range(3000))
    runs.add(RUN)
    the_log(runs).write_bytes(plain + TRACEBACK + plain + b"x.py:1: UserWarning: careful\n" + plain)
    async with showing(LogPane(), runs, RUN) as driver:
        await settled(driver)
        await driver.sees("10 lines of errors", "1 line of warnings")
        await driver.press("L")
        await driver.sees("warnings and errors only", "UserWarning: careful", "ValueError: no such thing")
        await driver.sees_no("step")
        await driver.press("L")
        await driver.sees("errors only", "ValueError")
        await driver.sees_no("UserWarning")
        await driver.press("L")
        await driver.sees("step 2999")


async def test_no_errors_is_said(runs: SampleRuns) -> None:
    runs.add(RUN, log="all well\n")
    async with showing(LogPane(), runs, RUN) as driver:
        await settled(driver)
        await driver.press("L")
        await driver.sees("No warnings and no errors in the log.", "L shows all of it")


async def test_long_lines_are_wrapped_or_run_out(runs: SampleRuns) -> None:
    runs.add(RUN, log="".join(f"{number} {'word ' * 40}END{number}\n" for number in range(50)))
    async with showing(LogPane(), runs, RUN, size=(80, 20)) as driver:
        await settled(driver)
        assert "END49" not in driver.text()
        await driver.press("W")
        await driver.sees("END49")
        await driver.press("g")
        await driver.sees("END0", "0 word")
        await driver.press("G")
        await driver.sees("END49", "follows the end")
        await driver.press("W")
        await driver.sees_no("END49")
        for _ in range(20):
            await driver.press("l")
        await driver.sees("END49")


async def test_wrapped_lines_can_all_be_scrolled_to(runs: SampleRuns) -> None:
    runs.add(RUN, log="".join(f"<{number}> {'word ' * 40}\n" for number in range(60)))
    async with showing(LogPane(), runs, RUN, size=(80, 20)) as driver:
        await settled(driver)
        await driver.press("W", "g")
        seen: set[int] = set()
        tail = tail_of(driver)
        for top in range(int(tail.max_scroll_y) + 1):
            tail.scroll_to(y=top, animate=False, immediate=True)
            seen |= {row for row, _, text in tail._lines_on_screen() if text.startswith("<")}
        assert seen == set(range(60))


async def test_an_empty_a_missing_and_an_unreadable_log(runs: SampleRuns) -> None:
    runs.add(RUN, log="")
    runs.add("r2000000000", log="x")
    the_log(runs).parent.with_name("r2000000000").joinpath("log.txt").unlink()
    async with showing(LogPane(), runs, RUN) as driver:
        await driver.sees("Nothing has been printed yet")
        await driver.read("r2000000000")
        await driver.sees("The log is gone", "r2000000000")
        (runs.home.runs / "r2000000000" / "log.txt").mkdir()
        await driver.read("r2000000000")
        tail_of(driver).poll()
        await driver.sees("The log cannot be read: Is a directory.")


async def test_the_end_of_a_long_log_is_there_while_the_rest_is_counted(
    runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counting waits until the preview was seen."""
    may_count = threading.Event()
    count = LogLines._count

    def waiting(log: LogLines, data: bytes) -> None:
        if may_count.is_set():
            count(log, data)

    monkeypatch.setattr(LogLines, "_count", waiting)
    monkeypatch.setattr("tui.widgets.log_reading.SPELL_S", 0.01)
    runs.add(RUN, log="".join(f"line {number:06d}\n" for number in range(20_000)))
    async with showing(LogPane(), runs, RUN) as driver:
        await driver.until(lambda: "line 019999" in driver.text() and "the rest is being counted" in driver.text())
        tail_of(driver).scroll_relative(y=-2, animate=False, immediate=True)
        may_count.set()
        await driver.until(lambda: tail_of(driver).reading.counted >= 1)
        await driver.sees("line 019997", "20,000 lines")
