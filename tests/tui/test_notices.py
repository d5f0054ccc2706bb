"""What the app tells whoever sits at the terminal."""

import pytest

from engine.home import Home
from engine.notices.notice import stalled
from tests.tui.conftest import MakeApp
from tests.tui.sample_runs import SampleRuns
from tui.notices import notification

NOTICE = stalled("r1", "emoji;r16", since=1_790_000_000.0, status="training")


async def test_the_end_of_a_live_run_rings_and_shows_a_line(
    make_app: MakeApp, runs: SampleRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.add("r1000000000", "quiet", status="succeeded")
    runs.add("r2000000000", "emoji", status="training", steps=20)
    async with make_app(notifications=True) as driver:
        rung: list[bool] = []
        monkeypatch.setattr(driver.app, "bell", lambda: rung.append(True))
        await driver.sees("2 runs", "emoji", "training")
        runs.train("r2000000000", 21, 25, total_steps=60)
        await driver.sees("41%")  # by then the app has learnt how things stand
        assert not rung
        runs.write("r2000000000", "end", status="succeeded", best_step=20)
        await driver.sees("emoji is done")
        assert rung == [True]


async def test_what_is_not_wanted_is_not_told(make_app: MakeApp, runs: SampleRuns, home: Home) -> None:
    (home.root / "settings.toml").write_text('[alerts]\non = ["stalled"]\n')
    runs.add("r2000000000", "emoji", status="training", steps=20)
    async with make_app(notifications=True) as driver:
        await driver.sees("training")
        runs.train("r2000000000", 21, 25, total_steps=60)
        await driver.sees("41%")
        runs.write("r2000000000", "end", status="succeeded", best_step=20)
        await driver.sees("✓ done")
        assert "emoji is done" not in driver.text()


@pytest.mark.parametrize(
    ("terminal", "environment", "begins"),
    [
        ("osc9", {}, "\x1b]9;emoji,r16 is silent"),
        ("osc777", {}, "\x1b]777;notify;emoji,r16 is silent"),
        ("auto", {"TERM_PROGRAM": "WezTerm"}, "\x1b]9;"),
        ("auto", {"TERM": "foot"}, "\x1b]777;"),
        ("auto", {"TERM": "xterm-256color"}, ""),
        ("off", {"TERM_PROGRAM": "WezTerm"}, ""),
        ("osc9", {"TMUX": "/tmp/x"}, "\x1bPtmux;\x1b\x1b]9;"),
    ],
    ids=["osc9", "osc777", "known", "foot", "unknown", "off", "tmux"],
)
def test_only_terminals_that_know_it_get_a_sequence(terminal: str, environment: dict[str, str], begins: str) -> None:
    sequence = notification(NOTICE, terminal, environment)
    assert sequence.startswith(begins) and bool(sequence) == bool(begins)
