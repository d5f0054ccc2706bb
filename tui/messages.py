"""Messages that cross screens. A screen posts them, the app switches the mode and hands them on."""

from collections.abc import Sequence

from textual.message import Message


class OpenRun(Message):
    """Show a run's own screen."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


class NewRunLike(Message):
    """Fill the form for a new run from an old run, or with a dataset."""

    def __init__(self, run_id: str | None = None, dataset_id: str | None = None) -> None:
        super().__init__()
        self.run_id = run_id
        self.dataset_id = dataset_id


class CompareRuns(Message):
    """Lay runs over each other; the first is the baseline."""

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self.run_ids = tuple(run_ids)


class ChatWith(Message):
    """Chat with the runs' adapters beside their base model."""

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self.run_ids = tuple(run_ids)


class OpenDataset(Message):
    """Show a dataset's rows."""

    def __init__(self, dataset_id: str) -> None:
        super().__init__()
        self.dataset_id = dataset_id


class OpenSweeps(Message):
    """Show the list of sweeps, or one of them."""

    def __init__(self, sweep_id: str | None = None) -> None:
        super().__init__()
        self.sweep_id = sweep_id
