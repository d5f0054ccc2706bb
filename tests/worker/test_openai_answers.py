"""The forms of answers, and that the client reads what the server writes."""

import json

from engine.inference.client import _chunk
from engine.worker.batching import NotEnoughMemory
from engine.worker.openai_answers import Answers, sse
from engine.worker.openai_api import parse_chat
from engine.worker.rows import RowResult

FITS = RowResult("hi", 2, 7, 0.1, 20.0, "stop")
FAILS = RowResult("", 0, 9, None, None, "error", NotEnoughMemory())
ASKED = {"models": ["base", "mine"], "messages": [{"role": "user", "content": "hi"}]}


def test_a_row_that_failed_says_why_and_its_neighbour_answers() -> None:
    answers = Answers(parse_chat(json.dumps(ASKED).encode(), ["base", "mine"]))
    good, bad = (
        _chunk(json.loads(sse(answers.last_chunk(row, result)).removeprefix(b"data: ")))
        for row, result in enumerate((FITS, FAILS))
    )
    assert (good.row, good.done, good.finish_reason, good.prompt_tokens, good.error) == (0, True, "stop", 7, None)
    assert bad.done and bad.finish_reason == "error" and "lower max_tokens" in (bad.error or "")
    whole = answers.whole([FITS, FAILS])
    assert [choice["finish_reason"] for choice in whole["choices"]] == ["stop", "error"]
    assert whole["choices"][1]["finetui"]["error"]["what"] == "There is not enough memory for this answer."
    assert whole["usage"] == {"prompt_tokens": 16, "completion_tokens": 2, "total_tokens": 18}


def test_rows_of_a_request_without_a_seed_share_one() -> None:
    one, other = (parse_chat(json.dumps(ASKED).encode(), ["base", "mine"]).sampling.seed for _ in range(2))
    assert one != other
    assert parse_chat(json.dumps(ASKED | {"seed": 3, "stop": "x"}).encode(), ["base", "mine"]).stop == ("x",)
