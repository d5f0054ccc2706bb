"""Rows 16 and 17 in what is written to be read elsewhere: reports, exports, model cards. Nothing in them is live."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from engine.registry.folder import NameDir
from engine.reports import KINDS, render_report
from engine.reports.writing import Kind
from tests.faults.hostile import harm_in
from tests.faults.hostile_home import DONE, LIVE, Hostile


class Parsed(HTMLParser):
    """The text that a browser shows, and what it runs or fetches."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown = ""
        self.scripts: list[str] = []
        self.links: list[str] = []
        self._in = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.links += [str(value) for name, value in attrs if name in ("href", "src")]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in != "style":
            self.shown += data


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "png"])
def test_row_16_no_report_has_a_command_for_a_terminal(hostile: Hostile, kind: Kind) -> None:
    text = b"".join(render_report(hostile.store, [DONE, LIVE], kind=kind)).decode()
    if kind == "html":  # escaped in the scripts' data, which no terminal sees
        text = "".join(re.split(r"(?s)<script.*?</script>", text))
    assert harm_in(text.replace("\r\n", "\n")) == []
    assert "done" in text and "live" in text


def test_row_17_a_page_shows_markup_as_text(hostile: Hostile) -> None:
    page = Parsed(b"".join(render_report(hostile.store, [DONE, LIVE], kind="html")).decode())
    assert "[b]x[/][/ [@click=app.quit]q {{7*7}}<script>alert(1)</script>" in page.shown
    assert not any("alert(1)</script" in script for script in page.scripts)
    assert not any("evil" in link for link in page.links)


def test_row_17_markdown_shows_markup_as_text(hostile: Hostile) -> None:
    text = b"".join(render_report(hostile.store, [DONE, LIVE], kind="md")).decode()
    assert r"\<script\>alert" in text
    assert not re.search(r"(?<!\\)<script", text)


def test_row_16_and_17_a_model_card_is_inert(hostile: Hostile) -> None:
    card = next(NameDir(hostile.home.registry / "evil").path.rglob("*.md"))
    text = card.read_text(encoding="utf-8")
    assert harm_in(text) == []
    body = text.split("---", 2)[2]
    assert not re.search(r"(?<!\\)<script", body)
    assert r"alert\(1\)" in body or "alert(1)" in body


def test_row_16_exports_for_people_have_no_commands(hostile: Hostile, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from tui.cli.root import app

    for name, words in {"answers.md": ("suites", "export"), "answers.csv": ("suites", "export")}.items():
        file = tmp_path / name
        called = [*words, hostile.suite_run, str(file)]
        done = CliRunner().invoke(app, called, env={"FINETUI_HOME": str(hostile.home.root)})
        assert done.exit_code == 0, done.output
        assert harm_in(file.read_text(encoding="utf-8")) == []
