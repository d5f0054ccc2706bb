"""How much is tried: a little and always the same in `make test`, other things at each turn in `make fuzz`."""

import os
from typing import Any

from hypothesis import HealthCheck, settings

LONG = "FINETUI_FUZZ"
"""Set in the environment by `tests.fuzz.long`: so many times as many examples, of which each turn has others."""

_TIMES = int(os.environ.get(LONG, "0"))


def examples(count: int, **options: Any) -> settings:
    """Settings for `count` examples in the short form."""
    return settings(
        max_examples=count * max(1, _TIMES),
        derandomize=not _TIMES,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        **options,
    )
