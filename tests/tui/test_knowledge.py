"""Notes on the screen: added by path, looked through, searched, forgotten; and shown under an answer."""

from pathlib import Path
from typing import Any

import pytest

from engine.knowledge.library import KnowledgeLibrary
from store import Store
from store.talk_records import Passage
from tests.engine.pdf_made import pdf
from tests.tui.conftest import Driver, MakeApp
from tui.screens.knowledge import KnowledgeScreen
from tui.screens.knowledge_add import AddNotesDialog, name_for
from tui.screens.knowledge_pick import PickKnowledge, pick_knowledge
from tui.screens.page import Page
from tui.widgets.knowledge_passages import passage_content, passages_content
from tui.widgets.knowledge_paths import note_candidates

HOSTILE = "[red]a [/] [@click=app.quit]b\x1b]52;c;x\x07\u202e"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "faq.md").write_text(
        "# Password\n\nOpen Settings and reset your password.\n\n# Bill\n\nSent on the first.\n"
    )
    (folder / "guide.pdf").write_bytes(pdf("The warranty lasts two years."))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4")
    (folder / "odd [red].md").write_text(f"# {HOSTILE}\n\nzebra {HOSTILE}\n")
    return folder


@pytest.fixture
def desk(store: Store, notes: Path) -> KnowledgeLibrary:
    library = KnowledgeLibrary(store)
    library.add("desk", [notes])
    return library


async def opened(driver: Driver) -> None:
    await driver.app.push_screen(KnowledgeScreen())
    await driver.pilot.pause()


async def test_from_nothing_to_a_search(make_app: MakeApp, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(notes.parent)
    async with make_app((110, 30)) as driver:
        await opened(driver)
        await driver.sees("No notes yet.", "Press a to add")
        await driver.press("slash", "x", "u")
        await driver.sees("No notes yet.")
        await driver.press("a")
        await driver.sees("Add notes", "Text, Markdown, HTML and PDF")
        await driver.type("hand")
        await driver.sees("handbook/")
        await driver.press("tab")
        await driver.sees("faq.md", "guide.pdf")
        await driver.press("enter")
        await driver.sees(
            "handbook: 3 new; 4 passages read.", "Not read, or not to the end:", "broken.pdf is a damaged PDF"
        )
        await driver.press("enter")
        await driver.sees("handbook", "faq.md", "guide.pdf", "odd [red].md", "Password", "Bill")
        await driver.press("slash")
        await driver.type("reset it?")
        await driver.sees("best of handbook, by words", "faq.md, line 3", "1 passage")
        await driver.sees_no("Bill")
        await driver.press("enter", "escape")
        await driver.sees("Bill")
        await driver.press("escape")
        await driver.wait(lambda: not isinstance(driver.app.screen, KnowledgeScreen))


async def test_matching_words_are_marked(make_app: MakeApp, desk: KnowledgeLibrary) -> None:
    async with make_app((110, 30)) as driver:
        await opened(driver)
        await driver.sees("faq.md")
        await driver.press("slash")
        await driver.type("resetting passwords")
        await driver.sees("best of desk")

        def marked() -> list[str]:
            content: Any = driver.app.screen.query_one("#passages").visual  # type: ignore[attr-defined]
            return [content.plain[span.start : span.end] for span in content.spans if "accent" in str(span.style)]

        await driver.wait(lambda: marked() == ["reset", "password"])
        await driver.press("ctrl+u")
        await driver.type("nix")
        await driver.sees("nothing has these words")


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 12)])
async def test_what_files_hold_is_shown_as_it_is(
    make_app: MakeApp, desk: KnowledgeLibrary, size: tuple[int, int]
) -> None:
    async with make_app(size) as driver:
        await opened(driver)
        await driver.sees("desk")
        await driver.press("enter", "G")
        await driver.sees("zebra" if size[0] > 40 else "odd")
        if size[0] > 40:
            await driver.sees("[red]a [/]")
        text = driver.text()
        assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text


async def test_changed_files_are_read_again_and_things_are_forgotten(
    make_app: MakeApp, desk: KnowledgeLibrary, notes: Path, store: Store
) -> None:
    async with make_app((110, 30)) as driver:
        await opened(driver)
        await driver.sees("faq.md", "Password")
        (notes / "faq.md").write_text("# Refund\n\nWithin a month.\n")
        (notes / "guide.pdf").unlink()
        await driver.press("u")
        await driver.sees("Refund")
        await driver.sees_no("guide.pdf")
        await driver.press("enter", "x")
        await driver.sees("Forget faq.md?", "What is on disk stays")
        await driver.press("n")
        await driver.sees("Refund")
        await driver.press("x", "y")
        await driver.sees_no("faq.md")
        assert len(desk.sources("desk")) == 1
        await driver.press("shift+tab", "x")
        await driver.sees("Forget desk?")
        await driver.press("y")
        await driver.sees("No notes yet.")
        assert store.knowledge.all() == [] and (notes / "faq.md").exists()


async def test_adding_is_stopped_and_what_is_read_stays(
    make_app: MakeApp, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        (folder / f"{number}.md").write_text(f"note {number}")
    library = KnowledgeLibrary(store)
    async with make_app((100, 30)) as driver:
        dialog = AddNotesDialog(library)
        answers: list[str | None] = []
        put = store.knowledge.put_source

        def put_and_stop(*arguments: Any) -> None:
            put(*arguments)
            dialog.action_cancel()

        monkeypatch.setattr(store.knowledge, "put_source", put_and_stop)
        driver.app.push_screen(dialog, answers.append)
        await driver.sees("Add notes")
        await driver.type("no/such")
        await driver.press("enter")
        await driver.sees("does not exist")
        await driver.press("ctrl+u")
        await driver.type("many")
        await driver.press("enter")
        await driver.sees("many: 1 new", "Stopped; what was read stays")
        await driver.press("escape")
        await driver.wait(lambda: answers == ["many"])
        assert len(library.sources("many")) == 1


async def test_one_collection_or_none_is_picked_for_a_pane(
    make_app: MakeApp, desk: KnowledgeLibrary, notes: Path
) -> None:
    desk.add("wiki", [notes / "faq.md"])
    async with make_app() as driver:
        taken: list[str] = []

        async def pick(current: str, *keys: str) -> None:
            page = driver.app.screen
            assert isinstance(page, Page)
            pick_knowledge(page, current, taken.append)
            await driver.wait(lambda: isinstance(driver.app.screen, PickKnowledge))
            await driver.sees("no notes", "desk", "3 files, 4 passages", "wiki", "look at the notes")
            await driver.press(*keys)

        await pick("", "down", "enter")
        await pick("wiki", "enter")
        await pick("wiki", "escape")
        await pick("desk", "up", "enter")
        assert taken == ["desk", "wiki", ""]
        await pick("", "up", "enter")
        await driver.wait(lambda: isinstance(driver.app.screen, KnowledgeScreen))
        assert len(taken) == 3
        await driver.press("escape")
        await driver.sees("Look in notes first", "ctrl+k look at the notes")
        await driver.press("ctrl+k")
        await driver.wait(lambda: isinstance(driver.app.screen, KnowledgeScreen))
        await driver.press("escape")
        await driver.sees("Look in notes first", "wiki")
        await driver.type("wiki")
        await driver.press("enter")
        await driver.wait(lambda: taken == ["desk", "wiki", "", "wiki"])


async def test_without_notes_the_pick_leads_to_adding_some(make_app: MakeApp) -> None:
    async with make_app() as driver:
        page = driver.app.screen
        assert isinstance(page, Page)
        pick_knowledge(page, "", lambda _: None)
        await driver.sees("add notes …")
        await driver.press("enter")
        await driver.sees("No notes yet.")
        await driver.press("escape")
        await driver.sees_no("No notes yet.", "Look in notes first")


# Under an answer

PASSAGES = (
    Passage("desk", "/home/me/faq.md", "Password", "one\ntwo\nthree\nfour\nfive reset", 2.0, 0, {"line": 3}),
    Passage("desk", f"/x/{HOSTILE}", HOSTILE, HOSTILE, 1.0, 1, {"page": 7}),
)


def test_passages_in_words() -> None:
    folded = passages_content(PASSAGES)
    assert folded.plain.startswith("▸ 2 passages  faq.md, line 3 · ") and "\n" not in folded.plain
    unfolded = passages_content(PASSAGES, folded=False, question="two").plain
    assert "  one\n  two\n  three\n  2 more lines" in unfolded and "four" not in unfolded
    assert "five reset" in passage_content(PASSAGES[0], "reset").plain
    assert "[red]a [/] [@click=app.quit]b" in unfolded
    assert not any(mark in unfolded + folded.plain for mark in "\x1b\x07\u202e")
    assert passages_content(()).plain.strip() == "▸ 0 passages"


def test_paths_are_completed(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (notes / "sub").mkdir()
    (notes / ".hidden").mkdir()
    (notes / "x.png").write_text("")
    assert [one.label for one in note_candidates(f"{notes}/")] == [
        "sub/", "broken.pdf", "faq.md", "guide.pdf", "odd [red].md",
    ]  # fmt: skip
    assert [one.text for one in note_candidates(f"{notes}/F")] == [f"{notes}/faq.md"]
    for text in ("/no/such/", "~nobody/x", "a\0b/", "x" * 5000):
        assert note_candidates(text) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a/docs/", "docs"), ("/a/faq.md", "faq"), ("/a/docs/**/*.md", "docs"), ("/", "notes"), ("/*", "notes")],
)
def test_a_collection_is_named_by_its_path(path: str, name: str) -> None:
    assert name_for(path) == name
