"""What an export came to, in words: for the terminal and for the dialog alike."""

from collections.abc import Iterator

from engine.export.spec import Difference, Result
from tui.format import fmt_bytes


def result_lines(result: Result) -> Iterator[str]:
    """Lines for a person; not yet cleaned of what must not reach a terminal."""
    kind = f", {result.dtype}" if result.dtype else ""
    yield f"Wrote {result.path} ({fmt_bytes(result.bytes)}{kind})."
    if result.merged is not None:
        yield f"Merged into {result.base_weights}."
        yield f"Merged against adapter, in float32: {difference_words(result.merged)}."
    if result.saved is not None:
        in_gguf = " before it was written as GGUF" if result.gguf else ""
        yield f"What was saved{in_gguf}, against the adapter: {difference_words(result.saved)}."
    if result.trained is not None:
        yield f"Against the adapter on its quantised base, as in training: {difference_words(result.trained)}."
    for note in result.notes:
        yield f"Note: {note}"
    up = result.uploaded
    if up is not None and up.pushed:
        yield f"Pushed to {up.url or up.repo}."
    elif up is not None:
        seen = "private" if up.private else "public"
        yield f"Not pushed: --push would upload these to {up.repo} ({seen}):"
        yield from (f"  {name}  {fmt_bytes(size)}" for name, size in up.files)
        if not up.signed_in:
            yield "No token for the hub was found: run `hf auth login` first, or set HF_TOKEN."
    if result.commands:
        yield "To use it:"
        yield from (f"  {command}" for command in result.commands)


def difference_words(found: Difference) -> str:
    """`logits differ by 3.0e-07 of the largest, the same next token at 86 of 86 places`."""
    same = round(found.same_next * found.tokens)
    return (
        f"logits differ by {found.relative:.1e} of the largest, the same next token at {same} of {found.tokens} places"
    )
