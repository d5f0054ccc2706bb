"""What somebody may want to be told of. Standard library only: the supervisor reads the settings too."""

from enum import StrEnum


class Kind(StrEnum):
    """`settings.toml` names those that are wanted."""

    ENDED = "ended"
    FAILED = "failed"
    STALLED = "stalled"
    FINDING = "finding"
