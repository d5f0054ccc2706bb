"""Registered adapters as JSON documents and as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.figures import fmt_bytes, fmt_cost, fmt_duration, fmt_energy, fmt_number, fmt_setting, fmt_when
from tui.cli.output import fields, table
from tui.text import clean_line

if TYPE_CHECKING:
    from engine.home import Home
    from engine.registry.comparing import FigurePair, VersionComparison
    from store.evaluation_records import RegistryVersion
    from store.registry import Promotion, RegisteredName


def label_of(version: "RegistryVersion") -> str:
    """`NAME@2`."""
    return f"{version.name}@{version.version}"


def name_document(one: "RegisteredName") -> dict[str, Any]:
    return {
        "name": one.name,
        "created": one.created,
        "promoted": one.promoted,
        "current": one.current or None,
        "versions": one.versions,
        "newest": one.newest or None,
    }


def promotion_document(one: "Promotion") -> dict[str, Any]:
    return {"t": one.t, "version": one.version, "note": one.note}


def version_document(home: "Home", version: "RegistryVersion") -> dict[str, Any]:
    """A version; `info` is what its model_info.json says."""
    from engine.registry.finding import folder_of

    return {
        "name": version.name,
        "version": version.version,
        "created": version.created,
        "run": version.run,
        "base": version.base,
        "revision": version.revision or None,
        "dataset": version.dataset or None,
        "description": version.description,
        "tags": list(version.tags),
        "dir": str(folder_of(home, version).path),
        "info": version.info,
    }


def name_text(
    registered: "RegisteredName", versions: "Sequence[RegistryVersion]", promotions: "Sequence[Promotion]"
) -> str:
    """A name's versions, newest first, and what it meant when."""
    from engine.registry.info import kept_loss

    rows = [
        (
            "★" if one.version == registered.promoted else "",
            one.version,
            one.info.get("run", {}).get("name") or one.run,
            one.base,
            fmt_number(kept_loss(one.info)),
            fmt_bytes(one.info.get("size_bytes")),
            fmt_when(one.created),
            ", ".join(one.tags),
        )
        for one in versions
    ]
    head = ("", "VERSION", "RUN", "BASE", "EVAL LOSS", "SIZE", "REGISTERED", "TAGS")
    why = "" if registered.promoted else ", the newest; none was promoted"
    parts = [
        f"{clean_line(registered.name)} means version {registered.current}{why}.",
        table(head, rows, right=("VERSION", "EVAL LOSS", "SIZE"), optional=("TAGS", "SIZE")),
    ]
    if promotions:
        past = [(fmt_when(one.t), f"version {one.version}", one.note) for one in promotions]
        parts.append(table(("WHEN", "PROMOTED", "WHY"), past))
    return "\n\n".join(parts)


def version_text(home: "Home", version: "RegistryVersion") -> str:
    """What is known about one version, on some lines."""
    from engine.registry.finding import folder_of
    from engine.registry.info import kept_loss

    info = version.info
    took, run, dataset = info.get("took", {}), info.get("run", {}), info.get("dataset", {})
    evaluations = [
        f"{one.get('data')} {one.get('split', '')}: {figure['metric']} {fmt_number(figure['value'])}"
        for one in info.get("evaluations") or ()
        for figure in one.get("figures") or ()
    ]
    return fields(
        [
            ("version", label_of(version)),
            ("about", version.description),
            ("tags", ", ".join(version.tags)),
            ("run", f"{run.get('name', '')} ({version.run})"),
            ("base", f"{version.base}{f' at {version.revision}' if version.revision else ''}"),
            (
                "dataset",
                f"{dataset.get('name', '')} v{dataset['version']}" if dataset.get("version") else version.dataset,
            ),
            ("eval loss", fmt_number(kept_loss(version.info))),
            ("evaluations", "\n".join(evaluations)),
            ("size", fmt_bytes(info["size_bytes"]) if info.get("size_bytes") else ""),
            ("time", fmt_duration(took["time_s"]) if took.get("time_s") is not None else ""),
            ("energy", fmt_energy(took["energy_j"]) if took.get("energy_j") is not None else ""),
            ("cost", f"{fmt_cost(took['cost'])} {took.get('currency', '')}" if took.get("cost") else ""),
            ("registered", fmt_when(version.created)),
            ("files", folder_of(home, version).path),
        ]
    )


def comparison_document(compared: "VersionComparison") -> dict[str, Any]:
    return {
        "name": compared.after.name,
        "before": compared.before.version,
        "after": compared.after.version,
        "sentence": compared.sentence,
        "settings": [{"name": one.name, "before": one.before, "after": one.after} for one in compared.settings],
        "figures": [_pair(one) for one in compared.figures],
        "took": [_pair(one) for one in compared.took],
    }


def comparison_text(compared: "VersionComparison") -> str:
    """What differs, in tables, under the sentence that sums it up."""
    from engine.registry.comparing import took_words

    columns = (f"V{compared.before.version}", f"V{compared.after.version}")
    parts = [clean_line(compared.sentence)]
    if compared.figures:
        rows = [
            (one.label, one.on, fmt_number(one.before), fmt_number(one.after), verdict(one)) for one in compared.figures
        ]
        parts.append(
            table(
                ("FIGURE", "ON", *columns, ""),
                rows,
                right=columns,
                style=lambda column, cell: _colour(cell) if column == 4 else None,
            )
        )
    if compared.settings:
        told = [(one.name, fmt_setting(one.before), fmt_setting(one.after)) for one in compared.settings]
        parts.append(table(("MADE WITH", *columns), told))
    if compared.took:
        parts.append(table(("TOOK", *columns), [(one.label, *took_words(one)) for one in compared.took], right=columns))
    return "\n\n".join(part for part in parts if part)


def verdict(one: "FigurePair") -> str:
    """Whether the later figure is better, and whether that is more than chance."""
    if one.better is None:
        return ""
    word = "better" if one.better else "worse"
    return word if one.apart is None else f"{word}, {'beyond' if one.apart else 'within'} the intervals"


def _colour(cell: str) -> str | None:
    return {"better": "green", "worse": "red"}.get(cell.partition(",")[0]) if "within" not in cell else "dim"


def _pair(one: "FigurePair") -> dict[str, Any]:
    return {
        "name": one.name,
        "on": one.on,
        "before": one.before,
        "after": one.after,
        "better": one.better,
        "apart": one.apart,
    }
