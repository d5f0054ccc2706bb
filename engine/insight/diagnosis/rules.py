"""The rules, as data: what each needs, what it looks for, what it says and what can be done. `docs/diagnosis.md`."""

from engine.insight.diagnosis import fitting, machine, stepping
from engine.insight.diagnosis.fitting import EVAL, TRAIN
from engine.insight.diagnosis.machine import SPEED
from engine.insight.diagnosis.rule import Rule
from engine.insight.diagnosis.stepping import GRADIENT

RULES: tuple[Rule, ...] = (
    Rule(
        "not_finite",
        "error",
        (TRAIN,),
        "{metric} is {value} at step {step}",
        "What is no number spoils every weight that it reaches, and training does not recover from it. A lower "
        "learning rate from the last good checkpoint helps most often; if it comes again at once, look for damaged "
        "rows or weights.",
        stepping.not_finite,
        stepping.slower,
    ),
    Rule(
        "divergence",
        "error",
        (TRAIN,),
        "Diverged after step {step}: loss {lowest}, now {last}",
        "Training loss should fall steadily. It left its level of {lowest} and stays at {last}: each step does more "
        "harm than good. A learning rate {rate} is too high here; go on from before with a lower one.",
        stepping.divergence,
        stepping.slower,
    ),
    Rule(
        "frozen",
        "error",
        (TRAIN,),
        "Nothing is learnt: the loss does not move",
        "{cause} However long it trains, the model stays as it is.",
        stepping.frozen,
        stepping.after_frozen,
    ),
    Rule(
        "overfitting",
        "warning",
        (TRAIN, EVAL),
        "Overfitting since step {step}: best {best}, now {last}",
        "Training loss goes on falling, to {train}, while validation loss {course}: the model learns its rows by heart "
        "rather than what they have in common. Stop early and keep step {step}; more dropout, a lower rank or more "
        "rows help next time.",
        fitting.overfitting,
        fitting.after_overfitting,
    ),
    Rule(
        "memorisation",
        "warning",
        (TRAIN,),
        "Learnt by heart: training loss {train}",
        "After {epochs} passes over {rows} it can recite them, and what it says elsewhere suffers for it. Fewer "
        "epochs are enough for so few rows; more rows, or more varied ones, teach more than more passes.",
        fitting.memorisation,
        fitting.after_memorisation,
    ),
    Rule(
        "leak",
        "warning",
        (TRAIN, EVAL),
        "Validation rows look like training rows: {eval} against {train}",
        "Rows that a model has not seen are harder for it than those it was trained on, but here the two losses are "
        "alike where rows are known by heart. Then validation measures nothing. {counted} Take out what both splits "
        "have and split again, so that near-duplicates stay on one side.",
        fitting.leak,
        fitting.after_leak,
    ),
    Rule(
        "learning_rate_high",
        "warning",
        (TRAIN,),
        "Unsteady: the loss leapt up {times}",
        "Training loss oscillates instead of settling: a learning rate {rate} takes steps beyond what the gradient "
        "knows about. A lower one, or a longer warm-up, makes it steady and usually better.",
        stepping.learning_rate_high,
        stepping.slower,
    ),
    Rule(
        "learning_rate_low",
        "warning",
        (TRAIN,),
        "Barely learning: loss down by {share}",
        "It falls, but so slowly that the run will end long before it has learnt its rows. The learning rate is at "
        "most {rate}, and {usual} is usual for this method: raise it rather than train for longer.",
        stepping.learning_rate_low,
        stepping.faster,
    ),
    Rule(
        "plateau",
        "info",
        (TRAIN,),
        "On a plateau since step {step}: loss {level}",
        "The loss fell and has stayed at {level} since, though the learning rate was still high. More of the same "
        "steps bring nothing: stop here, or see whether a lower learning rate or a higher rank finds a way down.",
        stepping.plateau,
        stepping.after_plateau,
    ),
    Rule(
        "warmup_missing",
        "info",
        (TRAIN,),
        "Thrown up at the start: loss {begin}, then {worst}",
        "The first steps were taken at the full learning rate, before the optimiser knew the gradients' size, and "
        "undid some of what the base model could. A warm-up over a tenth of the steps avoids it.",
        stepping.warmup_missing,
        stepping.after_warmup_missing,
    ),
    Rule(
        "clipping",
        "info",
        (TRAIN, GRADIENT),
        "Nearly all gradients are cut: about {usual}, limit {limit}",
        "Cutting long gradients is meant for the rare burst. Here {share} of them are longer than allowed, so every "
        "step has the same length and the learning rate means something else. Raise max_grad_norm, or lower the "
        "learning rate if the loss is unsteady.",
        stepping.clipping,
        stepping.after_clipping,
    ),
    Rule(
        "no_validation",
        "info",
        (TRAIN,),
        "No validation rows",
        "Training loss alone does not tell learning from learning by heart: nothing here would show overfitting, and "
        "no checkpoint can be called the best. Hold a tenth of the rows back.",
        fitting.no_validation,
        fitting.after_no_validation,
    ),
    Rule(
        "memory_full",
        "info",
        (),
        "{whose} is {share} full",
        "A batch that is a little longer than those so far would not fit, and the run would end. Smaller batches with "
        "more accumulation take the same steps in less memory; gradient checkpointing saves more.",
        machine.memory_full,
        machine.after_memory_full,
    ),
    Rule(
        "idle_gpu",
        "warning",
        (),
        "{gpu} is idle: busy {busy} % of the time",
        "The GPU waits for most of the time, so the run takes several times as long as it has to. Larger batches "
        "give it more to do at once; evaluations and samples that come too often hold it up as well.",
        machine.idle_gpu,
        machine.after_idle_gpu,
    ),
    Rule(
        "slow_data",
        "warning",
        (),
        "{gpu} waits for data at {share} of the looks",
        "It works hard and then has nothing to do, in turns: rows reach it more slowly than it goes through them. "
        "Other work on the processors, or a dataset on a slow disk, is the usual cause.",
        machine.slow_data,
        machine.nothing,
    ),
    Rule(
        "slowing",
        "info",
        (SPEED,),
        "Slower than at first: {before} tokens/s, now {now}",
        "The same steps take far longer than they did. Look whether another process shares the device, whether it is "
        "too hot, and whether the machine swaps.",
        machine.slowing,
        machine.nothing,
    ),
)

EXPLAINS: dict[str, frozenset[str]] = {
    "not_finite": frozenset({"divergence", "learning_rate_high", "plateau", "warmup_missing"}),
    "divergence": frozenset({"learning_rate_high", "plateau", "warmup_missing", "clipping", "overfitting"}),
    "frozen": frozenset({"learning_rate_low", "plateau", "clipping"}),
    "learning_rate_high": frozenset({"plateau", "clipping"}),
    "learning_rate_low": frozenset({"plateau"}),
    "overfitting": frozenset({"plateau"}),
    "memorisation": frozenset({"plateau"}),
    "leak": frozenset({"plateau"}),
}
"""What one finding explains already, so that it is not told as another."""
