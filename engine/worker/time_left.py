"""How long a run still takes, and how far off that may be, from the times of its steps and evaluations so far."""

import math
from dataclasses import dataclass

NEWEST = 0.1
"""Weight of the newest time in a mean: about the last twenty count."""


@dataclass
class Pace:
    """Times of one kind of work: their mean and scatter, the newer ones weighted more."""

    count: int = 0
    mean_s: float = 0.0
    variance: float = 0.0

    def add(self, seconds: float) -> None:
        """Note a time. The first one is forgotten once there is a second: it has what happens once in it."""
        self.count += 1
        if self.count <= 2:
            self.mean_s, self.variance = seconds, 0.0
            return
        # Until there are enough for the weight, all count alike.
        weight = max(NEWEST, 1 / (self.count - 1))
        off = seconds - self.mean_s
        self.mean_s += weight * off
        self.variance = (1 - weight) * (self.variance + weight * off * off)

    def total_s(self, times: int) -> float:
        """What so many more will take."""
        return times * self.mean_s

    def total_variance(self, times: int) -> float:
        """How uncertain `total_s` is, as a variance: the scatter of those to come, and that of the mean itself."""
        worth = min(max(1, self.count - 1), 2 / NEWEST - 1)
        return self.variance * times + self.variance / worth * times * times


class TimeLeft:
    """Told how long each step and each evaluation took; tells how long the rest will take."""

    def __init__(self) -> None:
        self.steps = Pace()
        self.evaluations = Pace()

    def of(self, steps: int, evaluations: int) -> tuple[float | None, float | None]:
        """Seconds for so many more, and one standard deviation of that; `None` for what cannot be said yet."""
        if not self.steps.count:
            return None, None
        left = self.steps.total_s(steps) + self.evaluations.total_s(evaluations)
        if self.steps.count < 3:  # one time has no scatter
            return left, None
        return left, math.sqrt(self.steps.total_variance(steps) + self.evaluations.total_variance(evaluations))


def evaluations_left(step: int, steps: int, interval: int) -> int:
    """Evaluations once `step` is done, with the one that follows it: at multiples of `interval`, and at the end."""
    return steps // interval - max(0, step - 1) // interval + (1 if steps % interval else 0)
