"""Every check there is: what it is called, how grave it is, what it costs, and what to do about it.

How a check costs points is told in `scoring`. `sentence` follows "12 of 474 rows " (and the second of two forms, after
a bar, follows "1 of 474 rows "); checks that look at the dataset as a whole bring their own.
"""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]

Cap = tuple[float, str]
"""From this share of rows on, no better grade than this."""


@dataclass(frozen=True, slots=True)
class CheckKind:
    """One entry of the catalogue. `cost` points are lost once `at` (a share) of the rows is concerned."""

    code: str
    level: Level
    title: str
    sentence: str
    fix: str
    cost: float = 0.0
    at: float = 1.0
    caps: tuple[Cap, ...] = ()


_UNUSABLE: tuple[Cap, ...] = ((0.0, "B"), (0.05, "C"), (0.25, "D"), (0.5, "F"))
_LEAKED: tuple[Cap, ...] = ((0.0, "B"), (0.02, "C"), (0.15, "D"), (0.5, "F"))

_KINDS: tuple[CheckKind, ...] = (
    # The dataset as a whole
    CheckKind(
        "too-few",
        "error",
        "Too few rows",
        "",
        "Collect more: 100 good examples are the least, 1,000 are good. With fewer, few-shot prompts or retrieval "
        "serve better.",
        cost=40,
        caps=((0.5, "D"), (1.0, "F")),
    ),
    CheckKind(
        "few",
        "warning",
        "Few rows",
        "",
        "Collect more: 100 good examples are the least, 1,000 are good. Until then mind that the model may memorise.",
        cost=24,
        caps=((1.0, "C"),),
    ),
    CheckKind(
        "no-validation",
        "warning",
        "Validation split",
        "",
        "Keep rows back with `finetui datasets split`: without them nobody sees when the model only memorises.",
        cost=8,
    ),
    CheckKind(
        "tiny-validation",
        "warning",
        "Validation split",
        "",
        "Keep more rows back with `finetui datasets split`: a loss over so few rows says little.",
        cost=4,
    ),
    CheckKind(
        "no-training",
        "error",
        "Training split",
        "",
        "Give some rows to training with `finetui datasets split`.",
        cost=50,
        caps=((0.0, "F"),),
    ),
    # Duplicates and leakage
    CheckKind(
        "leak-exact",
        "error",
        "Rows that training has too",
        "",
        "Split again with `finetui datasets split`, which keeps rows that ask the same together; or drop the rows.",
        cost=40,
        at=0.25,
        caps=_LEAKED,
    ),
    CheckKind(
        "leak-near",
        "warning",
        "Rows almost as in training",
        "",
        "Drop near-duplicates with `finetui datasets dedupe --near 0.9`, or split again.",
        cost=20,
        at=0.3,
    ),
    CheckKind(
        "duplicate",
        "warning",
        "Duplicates",
        "are duplicates of another row|is a duplicate of another row",
        "Drop them with `finetui datasets dedupe`.",
        cost=30,
        at=0.4,
    ),
    CheckKind(
        "near-duplicate",
        "warning",
        "Near-duplicates",
        "are almost the same as another row|is almost the same as another row",
        "Look at a few; drop them with `finetui datasets dedupe --near 0.9`.",
        cost=15,
        at=0.4,
    ),
    CheckKind(
        "contradiction",
        "warning",
        "Same prompt, other short answer",
        "ask what another row asks and are answered otherwise|asks what another row asks and is answered otherwise",
        "Decide which answer is right and drop the other: the model cannot learn both.",
        cost=15,
        at=0.2,
    ),
    CheckKind(
        "several-answers",
        "info",
        "Same prompt, other answer",
        "ask what another row asks, with an answer of their own|asks what another row asks, with an answer of its own",
        "Fine where variety is wanted; otherwise keep the better answer.",
    ),
    CheckKind(
        "same-answer",
        "warning",
        "One answer to many prompts",
        "",
        "Drop most of them, or the model will give this answer to everything.",
        cost=20,
        at=0.5,
    ),
    CheckKind(
        "copied-prompt",
        "warning",
        "Answers that repeat the prompt",
        "answer with the prompt itself|answers with the prompt itself",
        "Mend or drop them: they teach the model to echo.",
        cost=20,
        at=0.3,
    ),
    # Turns
    CheckKind(
        "no-answer",
        "error",
        "Nothing to learn",
        "have no answer to learn|has no answer to learn",
        "Drop these rows, or give them an answer.",
        cost=50,
        at=0.5,
        caps=_UNUSABLE,
    ),
    CheckKind(
        "empty-turn",
        "warning",
        "Empty turns",
        "have a turn without words|has a turn without words",
        "Mend or drop these rows.",
        cost=20,
        at=0.3,
    ),
    CheckKind(
        "no-question",
        "warning",
        "No user turn",
        "have an answer and no user turn|has an answer and no user turn",
        "Give the rows a prompt: most templates begin with the user.",
        cost=25,
        at=0.5,
    ),
    CheckKind(
        "assistant-first",
        "warning",
        "The assistant begins",
        "begin with the assistant|begins with the assistant",
        "Drop the first answer or add the prompt before it: many templates refuse such rows.",
        cost=20,
        at=0.3,
    ),
    CheckKind(
        "role-order",
        "warning",
        "Turns out of order",
        "have two turns of one role in a row|has two turns of one role in a row",
        "Join the turns, or drop the rows: many templates refuse them.",
        cost=20,
        at=0.3,
    ),
    CheckKind(
        "system-late",
        "warning",
        "System turn not first",
        "have a system turn that is not the first turn|has a system turn that is not the first turn",
        "Move it to the beginning: many templates ignore or refuse it elsewhere.",
        cost=15,
        at=0.3,
    ),
    CheckKind(
        "last-turn",
        "warning",
        "Ends without an answer",
        "end with a turn that is not the assistant's|ends with a turn that is not the assistant's",
        "Drop what follows the last answer: it costs tokens and teaches nothing.",
        cost=15,
        at=0.3,
    ),
    CheckKind(
        "tool-without-call",
        "warning",
        "Tool answer without a call",
        "have a tool's answer that nobody called for|has a tool's answer that nobody called for",
        "Add the call before it, or drop the rows.",
        cost=20,
        at=0.3,
    ),
    CheckKind(
        "call-without-answer",
        "warning",
        "Call without a tool's answer",
        "call a tool and go on without its answer|calls a tool and goes on without its answer",
        "Add the tool's answer, or drop the rows: they teach the model to invent results.",
        cost=15,
        at=0.3,
    ),
    CheckKind(
        "unknown-tool",
        "warning",
        "Call of a tool that is not offered",
        "call a tool that they do not offer|calls a tool that it does not offer",
        "Add the tool's definition to the row, or correct the call's name.",
        cost=15,
        at=0.3,
    ),
    # Text
    CheckKind(
        "control",
        "warning",
        "Control characters",
        "hold control characters|holds control characters",
        "Strip them at the source: they are no text, and the model would learn to print them.",
        cost=15,
        at=0.2,
    ),
    CheckKind(
        "escape",
        "warning",
        "Terminal escape sequences",
        "hold terminal escape sequences|holds terminal escape sequences",
        "Strip colours and cursor movements at the source.",
        cost=15,
        at=0.2,
    ),
    CheckKind(
        "replacement",
        "warning",
        "Lost characters",
        "hold U+FFFD, where a character was lost|holds U+FFFD, where a character was lost",
        "Read the source in its own encoding and import it again.",
        cost=20,
        at=0.2,
    ),
    CheckKind(
        "mojibake",
        "warning",
        "Wrongly decoded text",
        "hold text that was decoded wrongly|holds text that was decoded wrongly",
        "Read the source as UTF-8 and import it again, or mend it with ftfy.",
        cost=20,
        at=0.2,
    ),
    CheckKind(
        "entity",
        "warning",
        "HTML entities",
        "hold HTML entities left from a web page|holds HTML entities left from a web page",
        "Unescape them at the source (html.unescape).",
        cost=10,
        at=0.2,
    ),
    CheckKind(
        "hidden",
        "warning",
        "Hidden characters",
        "hold invisible characters|holds invisible characters",
        "Strip zero-width and direction characters: they can hide text, and split words for the tokenizer.",
        cost=15,
        at=0.2,
    ),
    CheckKind(
        "fence",
        "warning",
        "Unclosed code block",
        "open a code block and do not close it|opens a code block and does not close it",
        "Close the fences: the model would learn to leave them open.",
        cost=10,
        at=0.3,
    ),
    CheckKind(
        "leading-space",
        "warning",
        "White space before answers",
        "have an answer that begins with white space|has an answer that begins with white space",
        "Strip the answers: after a template the model would learn to begin with a space.",
        cost=8,
        at=0.5,
    ),
    CheckKind(
        "trailing-space",
        "info",
        "White space after answers",
        "have an answer that ends with white space|has an answer that ends with white space",
        "Strip the answers, so that every answer ends in the same way.",
    ),
    CheckKind(
        "cut-off",
        "info",
        "Answers that may be cut off",
        "have an answer that ends in the middle of a sentence|has an answer that ends in the middle of a sentence",
        "Look at a few: a limit on length at the source cuts answers, and the model learns to stop there.",
    ),
    CheckKind(
        "placeholder",
        "warning",
        "Placeholders",
        "hold a placeholder that was never filled in|holds a placeholder that was never filled in",
        "Fill them in or drop the rows: the model would say them as they are.",
        cost=15,
        at=0.2,
    ),
    CheckKind(
        "blank",
        "info",
        "Blanks to fill in",
        "hold a blank such as [Your Name]|holds a blank such as [Your Name]",
        "Fine in letters and templates; otherwise fill them in.",
    ),
    CheckKind(
        "boilerplate",
        "warning",
        "Talk of being an AI",
        "have an answer that speaks of being an AI|has an answer that speaks of being an AI",
        "Drop or rewrite them, unless the model should speak of itself so.",
        cost=10,
        at=0.2,
    ),
    CheckKind(
        "opening",
        "info",
        "Answers that begin alike",
        "",
        "Fine for a fixed form; otherwise vary the openings, or the model will use no other.",
    ),
    # Lengths
    CheckKind(
        "vague",
        "warning",
        "Rows of a few words",
        "have a prompt and an answer of a few words beside much longer ones|"
        "has a prompt and an answer of a few words beside much longer ones",
        "Write them out or drop them: they teach little, and to be curt.",
        cost=10,
        at=0.2,
    ),
    CheckKind(
        "short-answer",
        "info",
        "Answers of one or two words",
        "have an answer of one or two words beside long ones|has an answer of one or two words beside long ones",
        "Fine where the prompt asks for one word.",
    ),
    CheckKind(
        "length-outlier",
        "info",
        "Unusual lengths",
        "are much longer or shorter than the others|is much longer or shorter than the others",
        "Look at a few: two datasets may have been mixed, or rows joined or cut.",
    ),
    CheckKind(
        "giant",
        "warning",
        "Giant rows",
        "are more than four times as long as 99 % of the rows|is more than four times as long as 99 % of the rows",
        "Cut or drop them: they are truncated in training, and take memory until then.",
        cost=6,
        at=0.01,
    ),
    # Language
    CheckKind(
        "rare-language",
        "info",
        "Rows in another language",
        "are in a language that few rows are in|is in a language that few rows are in",
        "Drop them where the model should not speak it.",
    ),
    CheckKind(
        "language-switch",
        "warning",
        "Answer in another language",
        "are answered in another language than they ask in|is answered in another language than it asks in",
        "Look at a few: unless that is the task, the model learns to switch.",
        cost=15,
        at=0.3,
    ),
    # Preferences
    CheckKind(
        "same-pair",
        "error",
        "Chosen equals rejected",
        "have a chosen answer that equals the rejected one|has a chosen answer that equals the rejected one",
        "Drop these pairs: they prefer nothing.",
        cost=40,
        at=0.3,
        caps=_UNUSABLE,
    ),
    CheckKind(
        "length-bias",
        "warning",
        "Longer answers are preferred",
        "",
        "Add pairs in which the shorter answer is chosen, or the model learns that longer is better.",
        cost=12,
    ),
    CheckKind(
        "labels",
        "warning",
        "Verdicts out of balance",
        "",
        "Collect more of the rarer verdict, or weigh them in the recipe (desirable_weight, undesirable_weight).",
        cost=25,
    ),
    CheckKind(
        "one-label",
        "error",
        "Only one verdict",
        "",
        "KTO compares good with bad answers: add rows of the other verdict, or train on these as conversations.",
        cost=50,
        caps=((0.0, "D"),),
    ),
    CheckKind(
        "no-label",
        "error",
        "Rows without a verdict",
        "have no verdict|has no verdict",
        "Give them a label, or drop them.",
        cost=40,
        at=0.3,
        caps=_UNUSABLE,
    ),
    # Metadata
    CheckKind(
        "constant-metadata",
        "info",
        "Metadata that never varies",
        "",
        "Nothing to mend; a filter on it keeps all rows or none.",
    ),
    CheckKind(
        "sparse-metadata",
        "info",
        "Metadata that is mostly missing",
        "",
        "Nothing to mend; a filter on it leaves out the rows without it.",
    ),
)

CATALOGUE: dict[str, CheckKind] = {kind.code: kind for kind in _KINDS}
ORDER: dict[str, int] = {code: place for place, code in enumerate(CATALOGUE)}
LEVELS: tuple[Level, ...] = ("error", "warning", "info")
