"""Names in the wild: of shapes, of the fields of a row, of columns and of roles."""

import re

SHAPES = (
    "auto",
    "messages",
    "sharegpt",
    "alpaca",
    "prompt-response",
    "input-output",
    "text",
    "preference",
    "kto",
    "prompts",
)
"""What `--shape` takes."""

FIELDS = ("messages", "system", "prompt", "context", "response", "text", "chosen", "rejected", "label", "tools")
"""What `--map FIELD=COLUMN` takes."""

TURNS = {
    "messages": "messages",
    "conversations": "sharegpt",
    "conversation": "sharegpt",
    "dialogue": "messages",
    "dialog": "messages",
    "chat": "messages",
    "turns": "messages",
    "chat_history": "messages",
    "conversation_history": "messages",
    "dialogue_history": "messages",
    "history": "messages",
}
"""Columns that hold whole conversations, in the order in which they are tried, and the shape each is of."""

EARLIER = ("history", "chat_history", "conversation_history", "dialogue_history")
"""Beside a prompt and its answer these are what was said before."""

ALPACA = (("instruction", "output"), ("instruction", "response"), ("instruction", "completion"))
INPUT_OUTPUT = (("input", "output"),)
PROMPT_RESPONSE = (
    ("prompt", "response"),
    ("prompt", "completion"),
    ("prompt", "answer"),
    ("prompt", "output"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("user", "assistant"),
    ("human", "assistant"),
    ("input", "response"),
)
PAIRS = {"alpaca": ALPACA, "prompt-response": PROMPT_RESPONSE, "input-output": INPUT_OUTPUT}
"""A prompt's column and its answer's, by shape, in the order in which they are tried."""

PROMPTS = ("turns", "prompt", "prompts", "question", "instruction", "query", "user")
"""Columns that are prompts even where there is no answer."""

ASKED = ("prompt", "question", "instruction", "query", "input", "user", "human")
"""What both answers of a preference pair answer to."""

CONTEXTS = ("input", "context")
LABELS = ("label", "kto_tag", "thumbs", "thumbs_up", "feedback")
SYSTEMS = ("system", "system_prompt", "system_message")
TOOLS = ("tools", "functions")

VERDICTS = {
    **dict.fromkeys(("true", "1", "yes", "up", "good", "desirable", "thumbsup", "👍"), True),
    **dict.fromkeys(("false", "0", "no", "down", "bad", "undesirable", "thumbsdown", "👎"), False),
}
"""Verdicts that are words, in lower case and without spaces, `-` and `_`."""

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
}
"""What a column `split` says, and the split each is."""

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "gpt4": "assistant",
    "gpt-4": "assistant",
    "bing": "assistant",
    "claude": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "agent": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "function-call": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "function-response": "tool",
    "tool_response": "tool",
    "ipython": "tool",
}
"""Role names in lower case, and the turn each is."""

CALLERS = frozenset({"function_call", "tool_call", "function-call"})
"""Roles whose text is a call of a tool."""

KNOWN = frozenset(
    [
        *TURNS,
        *(name for pairs in PAIRS.values() for pair in pairs for name in pair),
        *PROMPTS,
        *ASKED,
        *CONTEXTS,
        *LABELS,
        *SYSTEMS,
        *TOOLS,
        *("text", "chosen", "rejected", "split"),
    ]
)


def normal(name: str) -> str:
    """A column's name without case, spaces and signs: `Chat History` is `chathistory`."""
    return re.sub(r"[\W_]+", "", name).lower()


BY_NORMAL = {normal(name): name for name in sorted(KNOWN)}
