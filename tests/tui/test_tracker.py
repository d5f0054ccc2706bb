"""Polls make way for keys, but not for ever."""

import pytest

from tests.tui.conftest import MakeApp
from tui.app import FinetuiApp
from tui.tracker import KEY_S, PATIENCE_S, RunTracker


class Clock:
    """A clock that only sleeping moves; `press` is called after each sleep."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sleeps = 0
        self.pressed: RunTracker | None = None

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-6)
        self.sleeps += 1
        if self.pressed is not None:
            self.pressed.key_pressed()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("tui.tracker.time.monotonic", made.monotonic)
    monkeypatch.setattr("tui.tracker.asyncio.sleep", made.sleep)
    return made


@pytest.fixture
def polls(home: object, clock: Clock) -> RunTracker:
    return RunTracker(FinetuiApp.__new__(FinetuiApp))


async def test_without_a_key_a_poll_begins_at_once(polls: RunTracker, clock: Clock) -> None:
    await polls._after_keys()
    assert clock.sleeps == 0


async def test_a_key_holds_a_poll_back_for_a_moment(polls: RunTracker, clock: Clock) -> None:
    polls.key_pressed()
    clock.now += KEY_S / 2
    await polls._after_keys()
    assert clock.now == pytest.approx(100 + KEY_S)
    await polls._after_keys()
    assert clock.sleeps == 1


async def test_keys_without_a_pause_hold_it_back_no_longer_than_its_patience(polls: RunTracker, clock: Clock) -> None:
    clock.pressed = polls
    polls.key_pressed()
    await polls._after_keys()
    assert clock.now == pytest.approx(100 + PATIENCE_S, abs=1e-3)


async def test_keys_reach_the_tracker(make_app: MakeApp) -> None:
    async with make_app() as driver:
        before = driver.app.tracker._key_at
        await driver.press("j")
        assert driver.app.tracker._key_at > before
