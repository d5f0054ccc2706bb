"""A model card as Hugging Face has them, written from a version's `model_info.json`. What is not known is not said."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.evaluation.measures import MEASURES
from engine.figures import (
    fmt_bytes,
    fmt_cost,
    fmt_count,
    fmt_duration,
    fmt_energy,
    fmt_number,
    fmt_setting,
)
from engine.registry.front_matter import front_matter
from engine.runs.measures import lower_is_better
from engine.text import clean_line
from engine.withheld import without_secrets

Info = Mapping[str, Any]
Pair = tuple[str, object]

HUB_METRICS = {"rouge_l": "rouge", "token_accuracy": "accuracy"}
"""Metrics that the hub knows by another name."""
SHOWN_TRAINING = 8
"""So many metrics of the training are on the card; all of them are in `model_info.json`."""
NOT_KNOWN = "not known"
_SIGNS = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)|^[#>]")
"""What Markdown would take for a mark; an underscore within a word is none."""


def model_card(info: Info) -> str:
    """The whole card, front matter included. `info` is what `info_of` found, with `name` and `version` where it has."""
    title = str(info.get("name") or _of(info, "run").get("name") or "adapter")
    version = f" v{info['version']}" if info.get("version") else ""
    parts = [
        front_matter(card_data(info)),
        f"# {_text(title)}{version}\n",
        f"{_what_it_is(info)}\n",
    ]
    if description := without_secrets(str(info.get("description") or "")):
        parts.append(f"{_paragraphs(description)}\n")
    parts += [
        _section("Origin", _pairs(_origin(info))),
        _section("Training", "\n".join(filter(None, [_pairs(_training(info)), _figures_of_training(info)]))),
        _section("Evaluation", _evaluations(info.get("evaluations") or ())),
        _section("Size, time, energy and cost", _pairs(_took(info))),
        _section("How to use it", _usage(info)),
        _section("Recipe", _recipe(info)),
        _section("Made with", _made_with(info)),
    ]
    return "\n".join(part for part in parts if part)


def card_data(info: Info) -> dict[str, Any]:
    """The front matter: what the hub indexes. A base model that is no name on the hub is left out."""
    base, dataset, whole = _of(info, "base"), _of(info, "dataset"), info.get("kind") == "model"
    tags = [
        "finetui",
        str(info.get("method") or ""),
        str(_of(info, "recipe").get("objective") or ""),
        *info.get("tags", ()),
    ]
    data: dict[str, Any] = {}
    if base.get("kind") == "hub" and base.get("name"):
        data["base_model"] = base["name"]
        data["base_model_relation"] = "finetune" if whole else "adapter"
    data["library_name"] = "transformers" if whole else "peft"
    data["pipeline_tag"] = "text-generation"
    data["tags"] = list(dict.fromkeys(tag for tag in tags if tag))
    if dataset.get("hub"):
        data["datasets"] = [dataset["hub"]]
    if results := [_result(one) for one in info.get("evaluations") or () if _numbers(one)]:
        data["model-index"] = [{"name": str(info.get("name") or _of(info, "run").get("name")), "results": results}]
    return data


def _result(evaluation: Info) -> dict[str, Any]:
    metrics = []
    for one in _numbers(evaluation):
        measure = MEASURES.get(one["metric"])
        metrics.append(
            {
                "type": HUB_METRICS.get(one["metric"], one["metric"]),
                "name": measure.label if measure else one["metric"],
                "value": float(one["value"]),
            }
        )
    data = {"name": str(evaluation.get("data")), "type": str(evaluation.get("data"))}
    if evaluation.get("split"):
        data["split"] = str(evaluation["split"])
    return {"task": {"type": "text-generation"}, "dataset": data, "metrics": metrics}


def _what_it_is(info: Info) -> str:
    base = _text(_of(info, "base").get("name") or "an unknown base model")
    if info.get("kind") == "model":
        return f"A model fine-tuned from {base}, in all its weights, with finetui."
    return f"A {_text(info.get('method') or 'LoRA')} adapter for {base}, trained with finetui."


def _origin(info: Info) -> Iterable[Pair]:
    base, dataset, run = _of(info, "base"), _of(info, "dataset"), _of(info, "run")
    local = {"starter": " (the starter model, built by finetui)", "folder": " (a folder of its maker's machine)"}
    yield "base model", f"{base.get('name') or NOT_KNOWN}{local.get(str(base.get('kind')), '')}"
    yield "revision", base.get("revision") or (NOT_KNOWN if base.get("kind") == "hub" else "")
    yield "base model's licence", base.get("licence") or NOT_KNOWN
    version = f" v{dataset['version']}" if dataset.get("version") else ""
    yield "dataset", f"{dataset.get('name') or NOT_KNOWN}{version}{_bracketed(dataset.get('id'))}"
    yield "dataset on the hub", dataset.get("hub")
    yield "dataset's licence", dataset.get("licence") or NOT_KNOWN
    splits = dataset.get("splits") or {}
    counted = ", ".join(f"{name} {rows:,}" for name, rows in splits.items())
    yield "rows", f"{dataset['rows']:,}{_bracketed(counted)}" if dataset.get("rows") else ""
    yield "run", f"{run.get('name', '')}{_bracketed(run.get('id'))}"
    yield "goes on from run", run.get("parent")
    yield "trained", run.get("ended")
    yield "registered", info.get("created")


def _training(info: Info) -> Iterable[Pair]:
    recipe, run, numbers = _of(info, "recipe"), _of(info, "run"), _of(info, "parameters")
    method = str(info.get("method") or "")
    if info.get("kind") == "adapter" and recipe.get("lora_r"):
        method += f", rank {recipe['lora_r']}, alpha {recipe.get('lora_alpha', NOT_KNOWN)}"
    yield "method", method
    yield "steps", f"{run['step']:,} of {run['total_steps']:,}" if run.get("step") and run.get("total_steps") else ""
    yield "step of the weights that were kept", run.get("kept_step")
    yield "rows", f"{info['rows']['train']:,}" if _of(info, "rows").get("train") else ""
    yield "tokens an epoch", f"{info['train_tokens']:,}" if info.get("train_tokens") else ""
    trained, total = numbers.get("trained"), numbers.get("total")
    yield "trained parameters", f"{fmt_count(trained)} of {fmt_count(total)}" if trained and total else ""
    yield "learning rate", fmt_setting(recipe["learning_rate"]) if recipe.get("learning_rate") else ""
    yield "seed", recipe.get("seed")
    if change := _of(info, "effect").get("max_logit_change"):
        yield (
            "largest change of a logit",
            f"{fmt_number(change)} on {info['effect'].get('probes')} probes",
        )


def _figures_of_training(info: Info) -> str:
    rows = []
    told = {name: one for name, one in _of(info, "training").items() if lower_is_better(name) is not None}
    for name, one in list(told.items())[:SHOWN_TRAINING]:
        best = fmt_number(one["best"]) if "best" in one and name.startswith("eval/") else ""
        step = str(one.get("best_step", "")) if best else ""
        rows.append((name, fmt_number(one.get("last")), best, step))
    return _table(("metric", "last", "best", "at step"), rows) if rows else ""


def _evaluations(found: Sequence[Info]) -> str:
    """A table an evaluation: each figure with its 95 % interval, and the difference to the model beside it."""
    if not found:
        return "It has not been evaluated.\n"
    parts = []
    for one in found:
        on = f"{_text(one.get('data', ''))}{', ' + _text(one['split']) if one.get('split') else ''}"
        parts.append(f"### {_text(one.get('kind', ''))}: {on}\n\n{one.get('rows', 0):,} rows.{_caveat(one)}\n")
        beside = one.get("beside")
        head = ("metric", "value", "95 % interval", *((f"to {beside}", "95 % interval", "p") if beside else ()))
        parts.append(_table(head, [_figure(figure, bool(beside)) for figure in _numbers(one)]))
    return "\n".join(parts)


def _figure(one: Info, beside: bool) -> tuple[str, ...]:
    measure = MEASURES.get(one["metric"])
    label = measure.label if measure else one["metric"]
    arrow = {"higher": " ↑", "lower": " ↓"}.get(measure.better if measure else "", "")
    digits = measure.digits if measure else 4
    shown = measure.show(one["value"]) if measure else fmt_number(one["value"])
    cells = (label + arrow, shown, _interval(one.get("low"), one.get("high"), f".{digits}f"))
    if not beside:
        return cells
    change = f"{one['difference']:+.{digits}f}" if "difference" in one else ""
    interval = _interval(one.get("difference_low"), one.get("difference_high"), f"+.{digits}f")
    return *cells, change, interval, fmt_number(one["p_value"]) if "p_value" in one else ""


def _interval(low: float | None, high: float | None, form: str) -> str:
    return "" if low is None or high is None else f"{low:{form}} … {high:{form}}"


def _caveat(one: Info) -> str:
    return f" It ended early: {_text(one['unfinished'])}." if one.get("unfinished") else ""


def _took(info: Info) -> Iterable[Pair]:
    took = _of(info, "took")
    currency = f" {took['currency']}" if took.get("currency") else ""
    yield "size of the files", fmt_bytes(info["size_bytes"]) if info.get("size_bytes") else ""
    yield "time on devices", fmt_duration(took["time_s"]) if took.get("time_s") is not None else NOT_KNOWN
    several = f"{took['devices']} × " if took.get("devices", 1) > 1 else ""
    yield "device", f"{several}{took['device']}" if took.get("device") else ""
    yield "precision", took.get("precision")
    yield "peak memory", fmt_bytes(took["peak_memory_bytes"]) if took.get("peak_memory_bytes") else ""
    yield "energy", fmt_energy(took["energy_j"]) if took.get("energy_j") is not None else "not measured"
    yield "electricity", f"{fmt_cost(took['electricity'])}{currency}" if took.get("electricity") else ""
    yield "cost", f"{fmt_cost(took['cost'])}{currency}" if took.get("cost") else "no price was named"


def _usage(info: Info) -> str:
    name, version = info.get("name"), info.get("version")
    if not name or not version:
        return ""
    said = f"With finetui:\n\n```\nfinetui chat --run {name}@{version}\nfinetui serve --run {name}@{version}\n```\n"
    base = _of(info, "base")
    if info.get("kind") != "adapter" or base.get("kind") != "hub" or not base.get("name"):
        return said
    revision = f", revision={str(base['revision'])!r}" if base.get("revision") else ""
    code = (
        "from peft import PeftModel\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f"base = AutoModelForCausalLM.from_pretrained({base['name']!r}{revision})\n"
        'model = PeftModel.from_pretrained(base, "adapter")\ntokenizer = AutoTokenizer.from_pretrained("adapter")\n'
    )
    return f"{said}\nWith peft, from the folder that this card lies in:\n\n```python\n{code}```\n"


def _recipe(info: Info) -> str:
    rows = [(name, fmt_setting(value)) for name, value in _of(info, "recipe").items()]
    return _table(("setting", "value"), rows) if rows else ""


def _made_with(info: Info) -> str:
    versions = ", ".join(f"{_text(name)} {_text(value)}" for name, value in _of(info, "versions").items())
    return f"{versions}\n" if versions else ""


# Markdown


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body.strip() else ""


def _pairs(pairs: Iterable[Pair]) -> str:
    rows = [(name, str(value)) for name, value in pairs if value not in (None, "")]
    return _table(("fact", "value"), rows) if rows else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_text(cell) for cell in line)} |\n" for line in lines)


def _text(value: object) -> str:
    """One line of Markdown that says what `value` says: no sign of it is a mark, a tag or a cell's border."""
    return _SIGNS.sub(r"\\\g<0>", without_secrets(clean_line(str(value))))


def _paragraphs(text: str) -> str:
    return "\n\n".join(_text(part) for part in text.split("\n\n") if part.strip())


def _bracketed(text: object) -> str:
    return f" ({text})" if text else ""


def _of(info: Info, name: str) -> Mapping[str, Any]:
    found = info.get(name)
    return found if isinstance(found, Mapping) else {}


def _numbers(evaluation: Info) -> Sequence[Info]:
    return [one for one in evaluation.get("figures") or () if isinstance(one.get("value"), (int, float))]
