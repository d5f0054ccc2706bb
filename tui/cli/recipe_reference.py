"""`docs/recipe.md`, written from the recipe itself: `python -m tui.cli.recipe_reference > docs/recipe.md`."""

import sys
from typing import Any

from engine.recipe import SHORT_NAMES, Group, Recipe

HEAD = """# The recipe

A recipe is everything that decides what a run does. It is TOML on disk, a form in the app, and `--set key=value` on the
command line. Fields are named as in TRL, PEFT and Transformers; those left out take their default. A run's own, with
everything resolved, lies in its folder as `recipe.toml`.

This page is made from the recipe: `python -m tui.cli.recipe_reference > docs/recipe.md`.
"""


def reference() -> str:
    """The whole page as Markdown."""
    sections = [HEAD]
    properties = Recipe.model_json_schema()["properties"]
    for group in Group:
        rows = [_row(name, schema) for name, schema in properties.items() if schema["group"] == group.value]
        sections.append(
            f"## {group.value.capitalize()}\n\n| field | default | allowed | what it does |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    short = ", ".join(f"`{short}` = `{name}`" for short, name in SHORT_NAMES.items())
    sections.append(f"## Short names\n\n`--set` also takes {short}.\n")
    return "\n".join(sections)


def _row(name: str, schema: dict[str, Any]) -> str:
    default = schema.get("default")
    shown = "–" if default in (None, "", []) else f"`{str(default).lower() if isinstance(default, bool) else default}`"
    return f"| `{name}` | {shown} | {_allowed(schema)} | {schema['description']} |"


def _allowed(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(
            dict.fromkeys(_allowed(option) for option in schema["anyOf"] if option.get("type") != "null")
        )
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    if schema.get("type") == "array":
        return (
            f"list of {_allowed(schema['items'])}s"
            if "type" in schema["items"]
            else f"list of {_allowed(schema['items'])}"
        )
    kind = words[schema["type"]]
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = " ".join(f"{sign} {schema[key]:,}" for key, sign in signs.items() if key in schema)
    return f"{kind} {limits}".strip()


if __name__ == "__main__":
    sys.stdout.write(reference())
