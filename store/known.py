"""What the runs of a store have: names and values to choose from while a filter is typed."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from store.connection import Database
from store.evaluations import METRICS
from store.query import Names

Value = tuple[str, str]
"""A value as it is typed, and what to say of it."""

MOST = 200
"""So many values of one key are looked at, the most frequent ones."""

NEWEST = 2000
"""So many runs are looked at for where runs stand with a metric, the newest ones."""

T = TypeVar("T")


class KnownRuns:
    """Read anew when the store has changed; a few milliseconds where it has ten thousand runs."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version = -1
        self._read: dict[object, Any] = {}

    def names(self) -> Names:
        return self._once("names", self._names)

    def values(self, key: str, part: str = "") -> list[Value]:
        """What runs have for a key of the language, the most frequent first; names and ids only those with `part`."""
        match key:
            case "tag":
                return self._once(key, lambda: self._counted("SELECT tag, count(*) FROM tags GROUP BY tag"))
            case "finding":
                sql = "SELECT code, count(*) FROM findings WHERE dismissed IS NULL GROUP BY code"
                return self._once(key, lambda: self._counted(sql))
            case "sweep":
                sql = "SELECT name FROM sweeps ORDER BY created DESC LIMIT ?"
                return self._once(key, lambda: [(name, "a sweep") for (name,) in self._database.all(sql, (MOST,))])
            case "parent":
                sql = (
                    "SELECT p.name, count(*) FROM runs r JOIN runs p ON p.id = r.parent WHERE r.parent <> '' "
                    "GROUP BY p.name"
                )
                return self._once(key, lambda: self._counted(sql))
            case "name":
                sql = "SELECT name FROM runs WHERE instr(casefold(name), ?) > 0 ORDER BY created DESC LIMIT ?"
                return [(name, "a run") for (name,) in self._database.all(sql, (part.casefold(), MOST))]
            case "id":
                sql = "SELECT id, name FROM runs WHERE substr(id, 1, length(?1)) = ?1 ORDER BY created DESC LIMIT ?2"
                return [(run_id, name) for run_id, name in self._database.all(sql, (part.lower(), MOST))]
            case "model" | "dataset" | "method" | "source" | "failure":
                sql = f"SELECT {key}, count(*) FROM runs WHERE {key} <> '' GROUP BY {key}"
                return self._once(key, lambda: self._counted(sql))
        return []

    def setting(self, name: str) -> list[Value]:
        """The values of a setting, the items of lists each for itself, the most frequent first."""
        return self._once(("setting", name), lambda: self._setting(name))

    def figures(self, metric: str, column: str) -> list[Value]:
        """Where the runs stand with a metric: the lowest, the quarters, the highest. `column` is one of `PARTS`."""
        return self._once(("figures", metric, column), lambda: self._figures(metric, column))

    # reading

    def _once(self, what: object, read: Callable[[], T]) -> T:
        version = self._database.data_version()
        if version != self._version:
            self._version, self._read = version, {}
        kept = self._read
        if what not in kept:
            kept[what] = read()
        found: T = kept[what]
        return found

    def _names(self) -> Names:
        metrics, settings, figures = (
            [str(name) for (name,) in self._database.all(sql)]
            for sql in (
                "SELECT name FROM metric_names ORDER BY name",
                "SELECT name FROM setting_names ORDER BY name",
                METRICS,
            )
        )
        return Names(dict.fromkeys(metrics), dict.fromkeys(settings), dict.fromkeys(figures))

    def _counted(self, sql: str) -> list[Value]:
        return _most(Counter(dict(self._database.all(sql))))

    def _setting(self, name: str) -> list[Value]:
        counts: Counter[str] = Counter()
        rows = self._database.all(
            "SELECT value, count(*) FROM settings WHERE name = (SELECT key FROM setting_names WHERE name = ?) "
            "GROUP BY value ORDER BY count(*) DESC LIMIT ?",
            (name, MOST),
        )
        switch = all(value in (0, 1, None) for value, _ in rows) and self._is_switch(name)
        for value, count in rows:
            for item in _items(value):
                counts[_typed(bool(item) if switch and item is not None else item)] += count
        return _most(counts)

    def _is_switch(self, name: str) -> bool:
        """Whether a setting of 1 and 0 is yes and no: the recipe itself says so."""
        row = self._database.one(
            "SELECT json_type(c.body, '$.' || json_quote(?1)) FROM settings s JOIN recipes c ON c.run = s.run "
            "WHERE s.name = (SELECT key FROM setting_names WHERE name = ?1) AND s.value IS NOT NULL LIMIT 1",
            (name,),
        )
        return row is not None and row[0] in ("true", "false")

    def _figures(self, metric: str, column: str) -> list[Value]:
        values = sorted(
            value
            for (value,) in self._database.all(
                f"SELECT {column} FROM (SELECT r.key FROM runs r ORDER BY r.created DESC LIMIT ?) r "
                "CROSS JOIN latest l ON l.run = r.key AND l.step >= 0 "
                "AND l.metric = (SELECT key FROM metric_names WHERE name = ?)",
                (NEWEST, metric),
            )
            if value is not None
        )
        if not values:
            return []
        last = len(values) - 1
        of_which = f" of the newest {NEWEST:,}" if len(values) == NEWEST else ""
        places = (
            ("the lowest", 0),
            ("a quarter of the runs is below", last // 4),
            ("half of the runs is below", last // 2),
            ("a quarter of the runs is above", last * 3 // 4),
            ("the highest", last),
        )
        found: dict[str, str] = {}
        for words, place in places:
            found.setdefault(f"{values[place]:.4g}", words + of_which)
        return list(found.items())


def _items(value: Any) -> list[Any]:
    if isinstance(value, str) and value.startswith("["):
        try:
            found = json.loads(value)
        except ValueError:
            return [value]
        return found if isinstance(found, list) else [value]
    return [value]


def _typed(value: Any) -> str:
    """A setting as it is typed in a filter."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _most(counts: Counter[str]) -> list[Value]:
    return [(value, f"{count:,} run{'s' * (count != 1)}") for value, count in counts.most_common(MOST)]
