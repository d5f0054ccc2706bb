"""What can be asked of runs: what they are, where they stand, their settings (`cfg.…`), what evaluations measured
(`eval.bleu`) and their metrics (`eval/loss`).

Conditions are over `runs r`. Metrics are asked for what they came to (`eval/loss.min<1.2`; the last value without a
part) or at a step (`eval/loss@100<1.2`: the value of the last point up to that step).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from store import quantities
from store.columns import compared, contains, equals, figure, moment, search, text, words
from store.errors import QueryError
from store.language import Compare
from store.query import ALL, Asked, Clause, Key, Language, Names, join, negated
from store.records import LAST_STEP, TERMINAL, Status
from store.rollups import LEVELS

SETTING = "cfg."
FIGURE = "eval."
"""Before the name of what was measured in an evaluation: `eval.bleu`."""

_METRIC_KEY = "(SELECT key FROM metric_names WHERE name = ?)"
_SETTING_KEY = "(SELECT key FROM setting_names WHERE name = ?)"


def _in(statuses: Iterable[Status]) -> Clause:
    found = [str(status) for status in statuses]
    return f"r.status IN ({', '.join('?' * len(found))})", found


_LIVE = _in(status for status in Status if status not in TERMINAL)
_BROKEN = _in((Status.FAILED, Status.LOST))

STATUSES: Mapping[str, str] = {
    "running": "any live one",
    "queued": "waits for its turn",
    "starting": "its process comes up",
    "rehearsing": "tries two steps before it trains",
    "training": "trains",
    "evaluating": "is being evaluated",
    "stopping": "ends at the next step",
    "succeeded": "came to its end",
    "done": "came to its end",
    "failed": "ended with an error",
    "stopped": "somebody stopped it",
    "lost": "its process vanished",
}

_STATUS: dict[str, Clause] = {
    **dict.fromkeys(("running", "live", "active"), _LIVE),
    "done": _in([Status.SUCCEEDED]),
    **{status.value: _in([status]) for status in Status},
}

IS: Mapping[str, str] = {
    "live": "a process may be at work on it",
    "queued": "waits for its turn",
    "training": "trains now",
    "ended": "done, failed, stopped or lost",
    "done": "came to its end",
    "failed": "failed or lost",
    "stopped": "somebody stopped it",
    "lost": "its process vanished",
    "stalled": "live, but silent",
    "alerting": "raised an alert",
    "resumed": "was resumed at least once",
    "imported": "its history is from elsewhere",
}

_IS: dict[str, Clause] = {
    "live": _LIVE,
    "queued": _in([Status.QUEUED]),
    "training": _in([Status.TRAINING]),
    "ended": _in(TERMINAL),
    "done": _in([Status.SUCCEEDED]),
    "failed": _BROKEN,
    "stopped": _in([Status.STOPPED]),
    "lost": _in([Status.LOST]),
    "stalled": (f"(r.stalled IS NOT NULL AND {_LIVE[0]})", _LIVE[1]),
    "alerting": ("r.alerts > 0", []),
    "resumed": ("r.attempt > 1", []),
    "imported": ("r.source <> ''", []),
}

_POINTS = (
    "SELECT CASE winner WHEN '{won}' THEN 1.0 WHEN 'tie' THEN 0.5 ELSE 0.0 END AS points FROM votes "
    "WHERE {side} = r.id AND criterion = 'overall' AND winner <> 'both_bad'"
)
_VOTES = (
    f"({_POINTS.format(won='left', side='left_model')} UNION ALL {_POINTS.format(won='right', side='right_model')})"
)
WIN_RATE = f"(SELECT avg(w.points) FROM {_VOTES} w)"
"""As `VoteStore.win_rates` has it; NULL without a vote."""

HAS: Mapping[str, str] = {
    "tags": "has a tag",
    "notes": "has a note",
    "finding": "something was found out about it",
    "alerts": "raised an alert",
    "failure": "has a reason for its failure",
    "parent": "goes on from another run",
    "sweep": "is part of a sweep",
    "cost": "has a price",
    "energy": "its power was measured",
    "problems": "lines of its log are damaged",
    "votes": "was judged in the arena",
    "figures": "was measured in an evaluation",
}

_HAS: dict[str, Clause] = {
    "tags": ("EXISTS (SELECT 1 FROM tags t WHERE t.run = r.key)", []),
    "notes": ("r.notes <> ''", []),
    "finding": ("EXISTS (SELECT 1 FROM findings f WHERE f.run = r.key AND f.dismissed IS NULL)", []),
    "alerts": ("r.alerts > 0", []),
    "failure": ("r.failure <> ''", []),
    "parent": ("r.parent <> ''", []),
    "sweep": ("r.sweep <> ''", []),
    "cost": ("r.cost IS NOT NULL", []),
    "energy": ("r.energy_j IS NOT NULL", []),
    "problems": ("r.damaged + r.unknown > 0", []),
    "votes": (f"{WIN_RATE} IS NOT NULL", []),
    "figures": ("EXISTS (SELECT 1 FROM evaluation_models m WHERE m.model = r.id)", []),
}

FAILURES = {"oom": "memory", "out-of-memory": "memory", "out of memory": "memory", "nan": "not_finite"}
"""What people call failures, and the part of the codes that is meant."""

DURATION = "(ifnull(r.ended, r.heartbeat) - r.started)"
_PART_DONE = "min(1.0, CAST(r.step AS REAL) / nullif(r.total_steps, 0))"
PROGRESS = f"CASE r.status WHEN '{Status.SUCCEEDED}' THEN 1.0 ELSE {_PART_DONE} END"


def _has(term: Compare, asked: Asked) -> Clause:
    if "/" in term.value or term.value in asked.names().metrics:
        clause: Clause = (
            f"EXISTS (SELECT 1 FROM latest l WHERE l.run = r.key AND l.metric = {_METRIC_KEY} AND l.step >= 0)",
            [_spelt(term.value, asked.names().metrics)],
        )
    elif term.value.lower().startswith(SETTING):
        clause = _has_setting(term.value[len(SETTING) :], asked)
    elif term.value.lower().startswith(FIGURE):
        value, parameters = figure_value(term.value[len(FIGURE) :])
        clause = f"{value} IS NOT NULL", parameters
    else:
        return _HAS_WORDS.make(term, asked)
    return negated(clause) if term.operator in ("!=", "!~") else clause


_HAS_WORDS = words("what there is of it", "has:notes", HAS, _HAS)


def _id(term: Compare, asked: Asked) -> Clause:
    if term.operator in ("~", "!~"):
        clause = contains("r.id", term.value)
    elif term.operator == "=":
        clause = equals("r.id", term.value)
    else:
        clause = "substr(r.id, 1, length(?)) = ?", [term.value.lower()] * 2
    return negated(clause) if term.operator in ("!=", "!~") else clause


def _by_id_or_name(column: str, table: str, about: str, example: str) -> Key:
    """A column that holds the id of a row of another table, which is asked for by its id or its name."""

    def make(term: Compare, asked: Asked) -> Clause:
        part = term.operator in ("~", "!~")
        named, parameters = (contains if part else equals)("o.name", term.value)
        clause: Clause = (
            f"({column} <> '' AND ({column} = ? OR {column} IN (SELECT o.id FROM {table} o WHERE {named})))",
            [term.value, *parameters],
        )
        return negated(clause) if term.operator in ("!=", "!~") else clause

    return Key(make, about, example)


_OF_TAG = "EXISTS (SELECT 1 FROM tags t WHERE t.run = r.key AND {})"
_OF_FINDING = "EXISTS (SELECT 1 FROM findings f WHERE f.run = r.key AND f.dismissed IS NULL AND {})"

KEYS: Mapping[str, Key] = {
    "status": words("where it stands", "status:running", STATUSES, _STATUS),
    "is": words("live, done, failed, stalled, …", "is:live", IS, _IS),
    "has": Key(_has, "what there is of it: notes, tags, a metric, …", "has:eval/loss", HAS),
    "name": text("r.name", "its name", "name:support"),
    "tag": text("t.tag", "one of its tags, whole", "tag:baseline", whole=True, wrap=_OF_TAG),
    "model": text("r.model", "the model it starts from", "model:qwen"),
    "dataset": Key(
        lambda term, asked: _dataset(term),
        "its dataset, by name or id",
        "dataset:support",
    ),
    "method": text("r.method", "lora, qlora, full, …", "method:qlora", whole=True),
    "started": moment("r.started", "when it began", "started<7d"),
    "ended": moment("r.ended", "when it ended", "ended:today"),
    "created": moment("r.created", "when it was made", "created>=2026-11"),
    "duration": figure(DURATION, "how long it took", "duration>2h", quantities.span),
    "progress": figure(PROGRESS, "how much of it is done", "progress>50%", quantities.share),
    "step": figure("r.step", "the step it has come to", "step>1k"),
    "total_steps": figure("r.total_steps", "the steps it is to take", "total_steps>1k"),
    "best_step": figure("r.best_step", "the step of its best checkpoint", "best_step<100"),
    "eta": figure("r.eta_s", "the time it has left", "eta<10m", quantities.span),
    "tokens_per_s": figure("r.tokens_per_s", "its speed", "tokens_per_s>1000"),
    "peak": figure("r.peak_vram_bytes", "the most GPU memory it took", "peak>8GB", quantities.size),
    "cost": figure("r.cost", "what it cost", "cost>1", quantities.money),
    "energy": figure("r.energy_j", "what its GPUs took", "energy>1kWh", quantities.energy),
    "power": figure("r.power_w", "what its GPUs take now", "power>200W", quantities.power),
    "attempt": figure("r.attempt", "how often it was started", "attempt>1"),
    "alerts": figure("r.alerts", "how many alerts it raised", "alerts>0"),
    "win": figure(WIN_RATE, "how often it won in the arena", "win>0.6", quantities.share),
    "failure": text("r.failure", "why it failed", "failure:oom", spelt=FAILURES),
    "reason": text("r.reason", "why it ended, in words", "reason:memory"),
    "finding": text("f.code", "what was found out about it", "finding:overfitting", wrap=_OF_FINDING),
    "notes": text("r.notes", "its note", 'notes:"try again"'),
    "id": Key(_id, "how its id begins", "id:3f2a"),
    "sweep": _by_id_or_name("r.sweep", "sweeps", "the sweep it is part of", "sweep:ranks"),
    "parent": _by_id_or_name("r.parent", "runs", "the run it goes on from", "parent:support-3"),
    "source": text("r.source", "what it was imported from", "source:wandb"),
}

ALIASES = {
    "note": "notes",
    "tags": "tag",
    "eta_s": "eta",
    "peak_vram_bytes": "peak",
    "energy_j": "energy",
    "power_w": "power",
    "win_rate": "win",
}
"""The names of the fields of a run's JSON document, where keys are shorter."""


def _dataset(term: Compare) -> Clause:
    whole = term.operator in ("=", "!=")
    sql, parameters = (equals if whole else contains)("r.dataset", term.value)
    clause: Clause = f"({sql} OR r.dataset_id = ?)", [*parameters, term.value]
    return negated(clause) if term.operator in ("!=", "!~") else clause


def _other(term: Compare, asked: Asked) -> Clause | None:
    """Settings, what evaluations measured, and metrics."""
    if term.key.lower().startswith(SETTING):
        name = term.key[len(SETTING) :]
        return (_setting(name, term, asked) if term.value or term.quoted else (ALL, [])) if name else None
    if term.key.lower().startswith(FIGURE) and term.key not in asked.names().metrics:
        name = _spelt(term.key[len(FIGURE) :], asked.names().figures)
        return compared(figure_value(name), term, _span_or_number, "eval.rouge_l>0.4") if name else None
    metric = metric_of(term.key, asked.names())
    if metric is None:
        return None
    return _metric(*metric, term) if term.value else (ALL, [])


# metrics

PARTS: Mapping[str, str] = {
    "last": "l.value",
    "min": "CASE WHEN l.low <= l.high THEN l.low END",
    "max": "CASE WHEN l.low <= l.high THEN l.high END",
    "step": "l.step",
    "min_step": "l.low_step",
}
"""What can be asked of a metric, and where the store has it: the fields of `Latest`."""

_AT = re.compile(r"(.+)@(\d+)")


def metric_of(key: str, names: Names) -> tuple[str, str, int | None] | None:
    """The metric, the part of it and the step that a key means: `eval/loss.min`, `eval/loss@100`.

    `None` for a key without a `/` that is no metric of any run.
    """
    if key in names.metrics:
        return key, "last", None
    at = _AT.fullmatch(key)
    step = min(int(at[2]), LAST_STEP) if at else None
    name, part = at[1] if at else key, "last"
    if name not in names.metrics:
        before, _, ending = name.rpartition(".")
        if before and ending.lower() in PARTS:
            name, part = before, ending.lower()
    if step is not None and part != "last":
        raise QueryError(
            f"{key}: a metric has a {part} over all of its steps, not at one.",
            "",
            f"Write {name}@{step} or {name}.{part}.",
        )
    found = _spelt(name, names.metrics)
    return (found, part, step) if "/" in found or found in names.metrics else None


def _spelt(name: str, known: Collection[str]) -> str:
    """The name as the store has it, where only its case differs."""
    if name in known:
        return name
    return next((one for one in known if one.lower() == name.lower()), name)


def metric_value(name: str, part: str, step: int | None) -> Clause:
    """An expression for what a run's metric came to, NULL where it has none: to sort by."""
    column, parameters = _column(part, step)
    return f"(SELECT {column} FROM {_LATEST})", [*parameters, name]


_LATEST = f"latest l WHERE l.run = r.key AND l.metric = {_METRIC_KEY} AND l.step >= 0"


def _metric(name: str, part: str, step: int | None, term: Compare) -> Clause:
    column = _column(part, step)
    read = _span_or_number if name.endswith("_s") else quantities.number
    # `!=` is negated outside, so that it is true of a run without the metric as well.
    asked = replace(term, operator="=") if term.operator == "!=" else term
    sql, parameters = compared(column, asked, read, f"{term.key}<1.2", nan_is_null=part == "last" and step is None)
    if sql == ALL:
        return ALL, []
    clause: Clause = f"EXISTS (SELECT 1 FROM {_LATEST} AND {sql})", [name, *parameters]
    return negated(clause) if term.operator == "!=" else clause


def _column(part: str, step: int | None) -> Clause:
    """What is asked of the row `l` of `latest`. Points are only read where the run went beyond the step."""
    if step is None:
        return PARTS[part], []
    return (
        f"CASE WHEN l.step <= ? THEN l.value WHEN l.attempt = 1 THEN {_AT_ONE_ATTEMPT} ELSE {_AT_ATTEMPTS} END",
        [step] * 3,
    )


_AT_ONE_ATTEMPT = (
    "(SELECT p.value FROM points p WHERE p.run = l.run AND p.metric = l.metric AND p.attempt = 1 AND p.step <= ? "
    "ORDER BY p.step DESC LIMIT 1)"
)
_VISIBLE = (
    "(SELECT DISTINCT u.attempt AS number, ifnull((SELECT min(a.from_step) FROM attempts a WHERE a.run = u.run "
    f"AND a.number > u.attempt), {LAST_STEP:d}) AS last FROM rollups u "
    f"WHERE u.run = l.run AND u.metric = l.metric AND u.level = {LEVELS:d})"
)
_AT_ATTEMPTS = (
    f"(SELECT p.value FROM {_VISIBLE} v CROSS JOIN points p ON p.run = l.run AND p.metric = l.metric "
    "AND p.attempt = v.number AND p.step = (SELECT max(q.step) FROM points q WHERE q.run = l.run "
    "AND q.metric = l.metric AND q.attempt = v.number AND q.step <= min(?, v.last)) "
    "ORDER BY p.step DESC, p.attempt DESC LIMIT 1)"
)
"""Of each attempt the last point up to the step that no later attempt supersedes; of those the last."""


def _span_or_number(text: str) -> float | None:
    found = quantities.span(text)
    return quantities.number(text) if found is None else found


# evaluations


def figure_value(name: str) -> Clause:
    """An expression for what a run came to in the newest evaluation that measured it, NULL where none did."""
    return _FIGURE, [name]


_FIGURE = (
    "(SELECT f.value FROM evaluation_models m CROSS JOIN evaluations e ON e.key = m.evaluation "
    "CROSS JOIN evaluation_figures f ON f.evaluation = m.evaluation AND f.place = m.place "
    "WHERE m.model = r.id AND f.metric = ? ORDER BY e.created DESC, e.key DESC, f.place LIMIT 1)"
)


# settings


def setting_value(name: str) -> Clause:
    """An expression for one setting of a run's recipe, NULL where it has none: to sort by."""
    return f"(SELECT s.value FROM settings s WHERE s.name = {_SETTING_KEY} AND s.run = r.key)", [name]


_SETTING = f"EXISTS (SELECT 1 FROM settings s WHERE s.run = r.key AND s.name = {_SETTING_KEY} AND {{}})"
_LIST = "iif(s.value LIKE '[%' AND json_valid(s.value), s.value, '[]')"
"""The setting as a list, empty where it is none."""
_IS_NUMBER = "typeof(s.value) IN ('integer', 'real')"
_TRUTH = {"true": 1.0, "yes": 1.0, "on": 1.0, "false": 0.0, "no": 0.0, "off": 0.0}


def _has_setting(name: str, asked: Asked) -> Clause:
    return _SETTING.format("s.value IS NOT NULL"), [_spelt(name, asked.names().settings)]


def _setting(name: str, term: Compare, asked: Asked) -> Clause:
    """A setting holds a number, a text, yes or no (1 or 0), nothing, or a list, of which one item is enough."""
    if term.operator in ("!=", "!~"):
        clause = _setting(name, replace(term, operator=term.operator[1:]), asked)
        return clause if clause[0] == ALL else negated(clause)
    name = _spelt(name, asked.names().settings)
    between = term.operator == ":" and ".." in term.value and not term.quoted
    if between or term.operator in ("<", "<=", ">", ">="):
        sql, parameters = compared(("s.value", []), term, quantities.number, f"{term.key}>=16")
        return (ALL, []) if sql == ALL else (_SETTING.format(f"{_IS_NUMBER} AND {sql}"), [name, *parameters])
    if term.value.lower() in ("none", "null") and not term.quoted and term.operator != "~":
        sql, parameters = _has_setting(name, asked)
        return f"NOT {sql}", parameters
    whole, of_whole = _is("s.value", term)
    item, of_item = _is("j.value", term)
    return (
        _SETTING.format(f"({whole} OR EXISTS (SELECT 1 FROM json_each({_LIST}) j WHERE {item}))"),
        [name, *of_whole, *of_item],
    )


def _is(column: str, term: Compare) -> Clause:
    """Whether a value is the one that is asked for, or contains it."""
    text_clause = (equals if term.operator == "=" else contains)(column, term.value)
    # A list is looked through item by item, a number only contains itself.
    is_text = f"typeof({column}) = 'text' AND NOT ({column} LIKE '[%' AND json_valid({column}))"
    clauses = [(f"({is_text} AND {text_clause[0]})", text_clause[1])]
    number = None if term.quoted else _TRUTH.get(term.value.lower(), quantities.number(term.value))
    if number is not None:
        clauses.append((f"(typeof({column}) <> 'text' AND ifnull({column} = ?, 0))", [number]))
    return join("OR", clauses)


RUNS = Language(
    word=search("r.search"),
    keys=KEYS,
    aliases=ALIASES,
    other=_other,
    more="cfg.NAME for a setting; eval.NAME for what evaluations measured; "
    "a metric's name, with .min, .max, .last, .step or @STEP",
)
