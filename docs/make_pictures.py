"""The pictures of the README: the app on the runs of a home, by key presses, as SVG.

`python docs/make_pictures.py [--home DIR]`. The home must hold a finished `demo` run and a sweep; a second run on the
starter model makes the comparison worth looking at. Models really answer in the chat.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from textual.keys import _character_to_key
from textual.pilot import Pilot

from engine.home import Home, find_home
from tui.app import FinetuiApp

PICTURES = Path(__file__).parent / "pictures"
PATIENCE_S = 180.0
WIDE = (120, 36)
NARROW = (80, 24)

Scene = Callable[[Pilot[None]], Awaitable[None]]


def screen_text(app: FinetuiApp) -> str:
    return "\n".join("".join(part.text for part in strip) for strip in app.screen._compositor.render_strips())


async def sees(pilot: Pilot[None], *words: str) -> None:
    """Wait until all of `words` are on the screen."""
    app = pilot.app
    assert isinstance(app, FinetuiApp)
    for _ in range(int(PATIENCE_S / 0.1)):
        if all(word in screen_text(app) for word in words):
            await pilot.pause(1.0)
            return
        await pilot.pause(0.1)
    raise TimeoutError(f"{words} did not come:\n{screen_text(app)}")


async def runs(pilot: Pilot[None]) -> None:
    await sees(pilot, "demo", "loss")


async def run(pilot: Pilot[None]) -> None:
    await runs(pilot)
    await pilot.press("slash", *map(_character_to_key, "tag:demo"), "enter", "enter")
    await sees(pilot, "Samples")


async def samples(pilot: Pilot[None]) -> None:
    await run(pilot)
    await pilot.press("right_square_bracket")


async def new_run(pilot: Pilot[None]) -> None:
    await runs(pilot)
    await pilot.press("n")
    await sees(pilot, "before you launch", "ready to launch")
    await pilot.press(*["down"] * 9)


async def datasets(pilot: Pilot[None]) -> None:
    await pilot.press("2")
    await sees(pilot, "support")
    await pilot.press("slash", *"support", "enter", "enter")
    await sees(pilot, "assistant", "grade")


async def supervision(pilot: Pilot[None]) -> None:
    await datasets(pilot)
    await pilot.press("j", "j", "v")
    await sees(pilot, "trained", "tokens", "<|im_end|>")


async def report(pilot: Pilot[None]) -> None:
    await datasets(pilot)
    await pilot.press("right_square_bracket")
    await sees(pilot, "answers", "turns")


async def tokens(pilot: Pilot[None]) -> None:
    await report(pilot)
    await pilot.press("right_square_bracket")
    await sees(pilot, "rows cut", "packing")


async def compare(pilot: Pilot[None]) -> None:
    await runs(pilot)
    await pilot.press("4")
    await sees(pilot, "better")


async def sweep(pilot: Pilot[None]) -> None:
    await runs(pilot)
    await pilot.press("6", "w")
    await sees(pilot, "varies")
    await pilot.press("enter")
    await sees(pilot, "what mattered", "★")


async def chat(pilot: Pilot[None]) -> None:
    await runs(pilot)
    await pilot.press("slash", *map(_character_to_key, "tag:demo"), "enter", "t")
    await sees(pilot, "demo", "base")
    await pilot.press(*map(_character_to_key, "Where is my tracking number?"), "enter")
    await sees(pilot, "tok ·", "parcel")


async def take(home: Home, name: str, scene: Scene, size: tuple[int, int], theme: str) -> None:
    app = FinetuiApp(home)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(1.0)
        app.theme = theme
        await scene(pilot)
        await pilot.pause(1.0)
        (PICTURES / f"{name}.svg").write_text(app.export_screenshot(title="finetui"), encoding="utf-8")


PICTURED: dict[str, tuple[Scene, tuple[int, int], str]] = {
    "runs": (runs, WIDE, "finetui-dark"),
    "run": (run, WIDE, "finetui-dark"),
    "samples": (samples, WIDE, "finetui-dark"),
    "new-run": (new_run, WIDE, "finetui-dark"),
    "dataset": (datasets, WIDE, "finetui-dark"),
    "supervision": (supervision, WIDE, "finetui-dark"),
    "report": (report, WIDE, "finetui-dark"),
    "tokens": (tokens, WIDE, "finetui-light"),
    "sweep": (sweep, WIDE, "finetui-dark"),
    "compare": (compare, WIDE, "finetui-light"),
    "chat": (chat, WIDE, "finetui-dark"),
    "run-80x24": (run, NARROW, "finetui-dark"),
}


async def take_all(home: Home, names: Sequence[str]) -> None:
    for name in names:
        await take(home, name, *PICTURED[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path)
    parser.add_argument("names", nargs="*", choices=[*PICTURED, []], help="which; all by default")
    options = parser.parse_args()
    asyncio.run(take_all(find_home(options.home), options.names or list(PICTURED)))


if __name__ == "__main__":
    main()
