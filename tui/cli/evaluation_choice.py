"""What `finetui eval` is asked for: which models, which rows, beside which other."""

from typing import TYPE_CHECKING

from engine.errors import NotFound
from tui.cli.command import Session

if TYPE_CHECKING:
    from engine.evaluation.reading import Chosen
    from engine.evaluation.running import Options
    from store.evaluation_records import Evaluation


def probes_of(retention: bool, probes: str) -> str:
    """The probes that are meant; empty for none."""
    from engine.evaluation.probes import GENERAL

    return probes or (GENERAL if retention else "")


def models_of(session: Session, texts: list[str]) -> list[str]:
    """The models that are measured, as the store keeps them; without any, the newest run that succeeded."""
    from engine.evaluation.subjects import named
    from tui.cli.chat import newest_finished

    if texts:
        store = session.current()
        return [named(store, session.home, text) for text in texts]
    newest = newest_finished(session)
    if newest is None:
        raise NotFound("No run has an adapter to evaluate yet.", fix="`finetui demo` makes one.")
    return [newest.id]


def rows_of(session: Session, models: list[str], *, split: str, dataset: str, suite: str, probes: str) -> "Chosen":
    """The rows, by what was asked for: of one kind alone."""
    from engine.evaluation.asking import rows_asked

    return rows_asked(session.library, session.store, models, split=split, dataset=dataset, suite=suite, probes=probes)


def make(
    session: Session,
    chosen: "Chosen",
    models: list[str],
    against: str,
    options: "Options",
    *,
    rows: int | None,
    name: str,
) -> "Evaluation":
    """The evaluation, of which nothing is measured yet. `against` is `base`, `none` or a model."""
    from engine.evaluation.asking import asked

    return asked(session.home, session.store, session.library, chosen, models, against, options, rows=rows, name=name)
