"""A row as the model sees it, without the training libraries. What the trainer makes of it: tests/worker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.datasets.rows import Row, Turn
from engine.errors import BadInput
from engine.tokens import TemplateProblem, Tokenizer, render_row
from engine.tokens.messages import template_messages, template_tools
from engine.tokens.template import BUILT_IN, ChatTemplate, built_in_template
from tests.engine.tokenizers_made import CHATML, byte_level, prepared

CALL = json.dumps([{"name": "find", "arguments": {"q": "é", "n": [1, None]}}])


def row(*said: tuple[str, ...], **more: object) -> Row:
    return Row(0, "train", tuple(Turn(*one) for one in said), {}, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return prepared(tmp_path_factory.mktemp("tokenizers") / "k1")


HELLO = row(("user", "hi 🙂"), ("assistant", "日本語 ok"))


def test_the_assistants_words_are_trained_and_the_text_is_whole(tokenizer: Tokenizer) -> None:
    shown = render_row(HELLO, tokenizer)
    assert shown.text == "<|im_start|>user\nhi 🙂<|im_end|>\n<|im_start|>assistant\n日本語 ok<|im_end|>\n"
    assert "".join(token.text for token in shown.tokens) == shown.text
    assert "".join(token.text for token in shown.tokens if token.trained) == "日本語 ok<|im_end|>"
    assert [token.text for token in shown.tokens if token.special] == ["<|im_start|>", "<|im_end|>"] * 2
    assert (shown.total, shown.cut, shown.warnings) == (len(shown.tokens), 0, [])
    assert 0 < shown.trained == sum(token.trained for token in shown.tokens) < shown.total


def test_a_character_of_several_tokens_is_shown_once(tmp_path: Path) -> None:
    bytewise = prepared(tmp_path / "bytes", byte_level(["a"]))
    pieces = [token.text for token in render_row(HELLO, bytewise).tokens]
    assert pieces.count("🙂") == 1 and pieces[pieces.index("🙂") + 1 : pieces.index("🙂") + 4] == ["", "", ""]


@pytest.mark.parametrize(("limit", "said"), [(12, "begins beyond max_length"), (22, "answer is cut off"), (None, "")])
def test_what_is_cut_off_is_said(tmp_path: Path, limit: int | None, said: str) -> None:
    bytewise = prepared(tmp_path / "bytes", byte_level(["a"]))
    shown = render_row(row(("user", "q"), ("assistant", "a long answer")), bytewise, max_length=limit)
    assert shown.cut == sum(token.truncated for token in shown.tokens) == max(0, shown.total - (limit or shown.total))
    assert shown.trained == sum(token.trained and not token.truncated for token in shown.tokens)
    assert (said in shown.warnings[0]) if said else not shown.warnings


def test_rows_without_anything_to_learn_say_why(tokenizer: Tokenizer) -> None:
    asked = render_row(row(("user", "hi")), tokenizer)
    assert asked.text.endswith("<|im_start|>assistant\n") and not asked.trained
    assert "no answer" in asked.warnings[0]
    unwanted = render_row(row(("user", "hi"), ("assistant", "no"), label=False), tokenizer)
    assert unwanted.trained and "not wanted" in unwanted.warnings[0]
    whole = render_row(HELLO, tokenizer, assistant_only=False)
    assert whole.trained == whole.total and "Every token is trained" in whole.warnings[0]


def test_templates_that_would_teach_the_wrong_thing_are_noticed(tmp_path: Path) -> None:
    tokenizer = prepared(tmp_path / "k")

    def warned(template: str) -> str:
        file = tmp_path / "t.jinja"
        file.write_text("{% for m in messages %}" + template + "{% endfor %}")
        return " ".join(render_row(HELLO, tokenizer, template=str(file)).warnings)

    block = "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}"
    assert not warned("{% if m.role == 'assistant' %}" + block + "{% else %}{{ m.content }}\n{% endif %}")
    assert "learn to stop" in warned("{% if m.role == 'assistant' %}" + block.replace("<|im_end|>", "") + "{% endif %}")
    assert "does not mark" in warned("{{ m.content }}")
    assert "Every token is trained" in warned(block)
    macro = "{% macro say(m) %}: " + block + "{% endmacro %}{% if m.role == 'assistant' %}{{ say(m) }}{% endif %}"
    assert "within a macro" in warned(macro)
    joined = tmp_path / "joined.jinja"
    joined.write_text("the an" + block.replace("m.", "messages[1]."))  # " answer" is one token
    said = render_row(row(("user", "q"), ("assistant", "swer is")), tokenizer, template=str(joined)).warnings
    assert "holds a part of the question" in " ".join(said)


def test_every_template_of_finetui_marks_the_answer(tokenizer: Tokenizer) -> None:
    assert tokenizer.templates() == ["own", *BUILT_IN]
    talk = row(("system", "Be kind."), ("user", "q"), ("assistant", "first"), ("user", "r"), ("assistant", "second"))
    for name in BUILT_IN:
        shown = render_row(talk, tokenizer, template=name)
        assert shown.template == name and not [one for one in shown.warnings if "stop" not in one]
        trained = "".join(token.text for token in shown.tokens if token.trained)
        assert trained.startswith("first") and "second" in trained and "q" not in trained
    text = render_row(row(("user", "q"), ("assistant", "a")), tokenizer, template="alpaca").text
    assert text.startswith("Below is an instruction") and "### Instruction:\nq\n\n### Response:\na<|im_end|>" in text


def test_templates_that_are_not_there(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no template 'nope'"):
        tokenizer.template("nope")
    with pytest.raises(BadInput, match="cannot be read"):
        tokenizer.template(str(tmp_path / "gone.jinja"))
    (tmp_path / "broken.jinja").write_text("{% if %}")
    with pytest.raises(TemplateProblem, match="no Jinja template"):
        tokenizer.template(str(tmp_path / "broken.jinja"))
    without = prepared(tmp_path / "k", own=None)
    with pytest.raises(BadInput, match="no chat template"):
        render_row(HELLO, without)
    assert render_row(row(("text", "plain")), without).text == "plain<|im_end|>"


def test_the_family_template_is_taken_where_the_own_one_marks_nothing(tmp_path: Path) -> None:
    tokenizer = prepared(tmp_path / "k", own="{% for m in messages %}{{ m.content }}{% endfor %}", training=CHATML)
    assert tokenizer.templates()[:2] == ["own", "training"]
    assert render_row(HELLO, tokenizer).template == "training"
    assert render_row(HELLO, tokenizer, assistant_only=False).text == "hi 🙂日本語 ok"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].nothing.more }}", "UndefinedError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% set ns = namespace() %}{% set ns.__x = 1 %}", "namespace cannot hold"),
        ("{{ 'a' * 10000000000 }}", "repeated too often"),
        ("{{ 'a'.ljust(10000000000) }}", "a call with"),
        ("{% for i in range(99999) %}{{ 'aaaaaaaaaaaaaaaaaaaaaaaaaa' * 100 }}{% endfor %}", "characters"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
    ],
)
def test_what_a_template_says_or_does_becomes_words(source: str, said: str) -> None:
    with pytest.raises(TemplateProblem) as caught:
        ChatTemplate(source, {}).write([{"role": "user", "content": "x"}])
    assert said in caught.value.why and caught.value.fix


def test_a_template_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.tokens.template._MOST_S", 0.05)
    forever = "{% for a in range(99999) %}{% for b in range(999) %}{% endfor %}{% set x = range(3) %}{% endfor %}"
    with pytest.raises(TemplateProblem, match="does not come to an end"):
        ChatTemplate(forever, {}).write([])


def test_calls_of_tools_reach_a_template_as_it_takes_them() -> None:
    turns = [Turn("user", "q"), Turn("assistant", "wait", CALL), Turn("tool", "1"), Turn("tool", "2")]
    as_objects = template_messages(turns, "objects")
    function = as_objects[1]["tool_calls"][0]["function"]
    assert function == {"name": "find", "arguments": {"q": "é", "n": [1, None]}}
    assert as_objects[2] == {"role": "tool", "content": "1", "name": "find"} and "name" not in as_objects[3]
    as_text = template_messages(turns, "strings")[1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(as_text) == function["arguments"]
    in_words = template_messages(turns, "words")
    assert in_words[1]["content"].startswith("wait\n<tool_call>\n") and "é" in in_words[1]["content"]
    assert [one["role"] for one in in_words] == ["user", "assistant", "user"]
    assert in_words[2]["content"].count("<tool_response>") == 2


def test_tools_on_offer() -> None:
    bare = json.dumps([{"name": "find", "parameters": {}}, "no tool"])
    assert template_tools(bare, "objects") == [{"type": "function", "function": {"name": "find", "parameters": {}}}]
    assert template_tools(bare, "words") is None and template_tools("", "objects") is None
    assert template_tools("not json", "objects") is None
    assert ChatTemplate(CHATML, {}).call_style == "words"
    takes = "{% for m in messages %}{{ m.content }}{{ m.tool_calls | tojson if m.tool_calls }}{% endfor %}"
    assert ChatTemplate(takes, {}).call_style == "objects"
    text_only = takes.replace(
        "m.tool_calls | tojson", "'%s' % (m.tool_calls[0].function.name + m.tool_calls[0].function.arguments)"
    )
    assert ChatTemplate(text_only, {}).call_style == "strings"


def test_tools_that_a_template_does_not_take_are_mentioned(tokenizer: Tokenizer) -> None:
    shown = render_row(row(("user", "q"), ("assistant", "", CALL), tools='[{"name": "find"}]'), tokenizer)
    assert '<tool_call>\n{"name": "find"' in shown.text
    assert "left out" in shown.warnings[0]


def test_no_heavy_library_is_needed(tmp_path: Path) -> None:
    program = (
        "import sys, engine.tokens; heavy = {'torch', 'transformers', 'trl', 'datasets', 'numpy', 'tokenizers', "
        "'pyarrow', 'tiktoken'} & set(sys.modules); sys.exit(' '.join(heavy) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert all(built_in_template(name) for name in BUILT_IN)
