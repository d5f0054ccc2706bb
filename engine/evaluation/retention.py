"""What a model still knows: whether it gets a probe right, and how likely the right answer is to it."""

from engine.evaluation.answered import Answered
from engine.evaluation.text_measures import says


def chosen_right(one: Answered, *, per_token: bool = True) -> bool | None:
    """Whether the right choice is more likely than every other one; `None` where there are no choices.

    By the mean log-probability of a choice's tokens, so that long choices stand as good a chance as short ones; or by
    the sum.
    """
    if one.answer is None or not 0 <= one.answer < len(one.choice_nll):
        return None
    costs = list(one.choice_nll)
    if per_token:
        if len(one.choice_tokens) != len(costs):
            return None
        costs = [cost / max(1, tokens) for cost, tokens in zip(costs, one.choice_tokens, strict=True)]
    right = costs[one.answer]
    return all(right < cost for place, cost in enumerate(costs) if place != one.answer)


def right(one: Answered) -> bool | None:
    """Whether the probe was answered right: by its choices where it has some, else by the words; `None`: no answer."""
    if one.answer is not None:
        return chosen_right(one)
    if one.expected is None or one.text is None:
        return None
    others = one.about.get("accept", ())
    accepted = [one.expected, *(other for other in others if isinstance(other, str))]
    return says(one.text, accepted)


def right_answer_nll(one: Answered) -> tuple[float, int] | None:
    """The sum of -log p over the right answer's tokens, in nats, and their number; `None` where it was not scored."""
    if one.answer is not None and one.answer < min(len(one.choice_nll), len(one.choice_tokens)):
        return one.choice_nll[one.answer], one.choice_tokens[one.answer]
    return (one.nll, one.scored_tokens) if one.nll is not None and one.scored_tokens else None
