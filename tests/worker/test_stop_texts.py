"""Stop texts end an answer, and no part of one is ever shown."""

from hypothesis import given
from hypothesis import strategies as st

from engine.worker.stop_texts import StopTexts

LETTERS = st.text("abc", max_size=12)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3)


def shown(pieces: list[str], stops: list[str]) -> tuple[str, str, bool]:
    """What was shown while the pieces came, what was held back to the end, and whether a stop text was met."""
    texts = StopTexts(stops)
    out = "".join(texts.push(piece) for piece in pieces)
    return out, texts.flush(), texts.hit


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_it_is_the_text_up_to_the_stop_text_that_is_complete_first(pieces: list[str], stops: list[str]) -> None:
    whole = "".join(pieces)
    out, held, hit = shown(pieces, stops)
    ends = [end for end in range(1, len(whole) + 1) if whole[:end].endswith(tuple(stops))]
    assert hit == bool(ends)
    if not ends:
        assert out + held == whole
        return
    longest = max(len(stop) for stop in stops if whole[: ends[0]].endswith(stop))
    assert (out, held) == (whole[: ends[0] - longest], "")


@given(LETTERS, STOPS)
def test_no_more_is_held_back_than_a_stop_text_could_begin_with(text: str, stops: list[str]) -> None:
    _, held, hit = shown(list(text), stops)
    possible = [text[start:] for start in range(len(text)) if any(stop.startswith(text[start:]) for stop in stops)]
    assert hit or held == max(possible, key=len, default="")


def test_text_without_stop_texts_is_not_held_back() -> None:
    assert shown(["a", "b"], []) == ("ab", "", False)
    assert shown(["see ", "\n", "\nUser", ": hi"], ["\n\nUser:"]) == ("see ", "", True)
    assert shown(["see ", "\n", "\nUs"], ["\n\nUser:"]) == ("see ", "\n\nUs", False)
