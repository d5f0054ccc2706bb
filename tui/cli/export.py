"""`finetui export`: what a run learnt, as files that others can use."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.export.spec import KINDS, Result
from tui.cli.command import Session, command
from tui.cli.output import fields
from tui.export_words import result_lines
from tui.format import fmt_bytes
from tui.text import clean, clean_line

if TYPE_CHECKING:
    from engine.export.plan import ExportPlan

app = typer.Typer()

KIND_LIST = "|".join(KINDS)
EXAMPLES = [
    "export emoji-r16 --to merged ~/models/emoji",
    "export emoji-r16 --to gguf ~/models/emoji.gguf --type q8_0",
    "export emoji-r16 --to ollama ~/models/emoji-ollama",
    "export emoji-r16 --to hub ~/models/emoji-adapter --repo me/emoji --push",
]


@command(app, "export", example=EXAMPLES)
def export(
    session: Session,
    run: Annotated[str, typer.Argument(metavar="R", help="Run: id, name, or the start of an id.")],
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder (for gguf: file) that is made.")],
    to: Annotated[str, typer.Option("--to", metavar="KIND", help=f"What is made: {KIND_LIST}.")],
    number_type: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="T",
            help="Number format: f32, f16 or bf16; q8_0 for gguf and ollama. Usually the base's own; f16 for gguf, "
            "q8_0 for ollama.",
            show_default=False,
        ),
    ] = "",
    original: Annotated[
        bool,
        typer.Option(
            "--original-base",
            help="After QLoRA, merge into the base's own weights, not into the quantised ones of training.",
        ),
    ] = False,
    repo: Annotated[
        str, typer.Option("--repo", metavar="OWNER/NAME", help="Where on the hub.", show_default=False)
    ] = "",
    push: Annotated[bool, typer.Option("--push", help="Upload it; without, say what would be uploaded.")] = False,
    public: Annotated[bool, typer.Option("--public", help="On the hub, for everybody to see.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier export left there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made and what it needs.")] = False,
) -> None:
    """Write a run's adapter, merged model, GGUF file or Ollama model; the merged one is compared with the adapter.

    Ctrl-C gives it up and leaves nothing behind.
    """
    from engine.export.plan import plan_export
    from engine.export.running import export_run
    from engine.runs.resolve import find_run

    plan = plan_export(
        session.home,
        find_run(session.current(), run),
        to,
        dest,
        type=number_type,
        base_weights="original" if original else "trained",
        repo=repo,
        push=push,
        private=not public,
        overwrite=overwrite,
    )
    if dry_run:
        session.answer(plan_document(plan), lambda: plan_text(plan))
        return
    with session.progress() as progress:
        result = export_run(session.home, plan, lambda doing, share: progress.update(doing, share))
    session.answer(document(result), lambda: "\n".join(clean(line) for line in result_lines(result)))


def document(result: Result) -> dict[str, Any]:
    """The result as JSON."""
    return result.to_json() | {"files": [{"name": name, "bytes": size} for name, size in result.files]}


def plan_document(plan: "ExportPlan") -> dict[str, Any]:
    spec = plan.spec
    return {
        "kind": spec.kind,
        "dest": spec.dest,
        "type": spec.type,
        "base": spec.source.base_name,
        "adapter": spec.source.adapter,
        "base_weights": spec.base_weights,
        "repo": spec.repo,
        "push": spec.push,
        "dest_bytes": plan.dest_bytes,
        "disk_bytes": plan.disk_bytes,
        "disk_free_bytes": plan.disk_free_bytes,
        "memory_bytes": plan.memory_bytes,
    }


def plan_text(plan: "ExportPlan") -> str:
    spec = plan.spec
    memory = fmt_bytes(plan.memory_bytes) if plan.memory_bytes else ""
    return fields(
        [
            ("would write", f"{spec.kind} to {clean_line(spec.dest)}"),
            ("type", spec.type),
            ("base", spec.source.base_name),
            ("adapter", spec.source.adapter),
            ("size", f"about {fmt_bytes(plan.dest_bytes)}"),
            ("disk needed", f"{fmt_bytes(plan.disk_bytes)} of {fmt_bytes(plan.disk_free_bytes)} free"),
            ("memory needed", memory),
            ("on the hub", spec.repo and f"{spec.repo}, {'private' if spec.private else 'public'}"),
        ]
    )
