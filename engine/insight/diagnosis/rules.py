"""The rules, as data: what each needs, what it looks for, what it says and what can be done. `docs/diagnosis.md`."""

from engine.insight.diagnosis import fitting
from engine.insight.diagnosis.rule import Rule

TRAIN, EVAL = fitting.TRAIN, fitting.EVAL

RULES: tuple[Rule, ...] = (
    Rule(
        "not_finite",
        "error",
        (TRAIN,),
        "{metric} became {value} at step {step}",
        "What is no number spoils every weight that it reaches, and training does not recover from it. A lower "
        "learning rate from the last good checkpoint helps most often; if it comes again at once, look for damaged "
        "rows or weights.",
        fitting.not_finite,
        fitting.after_not_finite,
    ),
    Rule(
        "overfitting",
        "warning",
        (TRAIN, EVAL),
        "Overfitting since step {step}: best {best}, now {last}",
        "Training loss goes on falling, to {train}, while validation loss has risen from {best} to {last}: the model "
        "learns its rows by heart rather than what they have in common. Stop early and keep step {step}; more dropout, "
        "a lower rank or more rows help next time.",
        fitting.overfitting,
        fitting.after_overfitting,
    ),
)
