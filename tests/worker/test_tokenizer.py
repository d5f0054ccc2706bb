"""What the app shows of a row against what the real trainer makes of it: token for token, template by template."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.parquet import RowWriter
from engine.datasets.rows import Row, Turn
from engine.errors import BadInput, FinetuiError
from engine.home import Home
from engine.runs.rundir import write_json
from engine.tokens import Rendered, Tokenizer, model_tokenizer, render_row
from engine.tokens import prepare as preparing
from engine.worker import starter
from engine.worker.data import load_data
from engine.worker.tokenizer import write_tokenizer
from tests.worker.conftest import TinyModel

pytestmark = pytest.mark.train

MAX_LENGTH = 256
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<end_of_turn>"]
SPECIALS += ["<start_of_turn>", "<|end|>", "<|user|>", "<|assistant|>", "</s>"]
CALL = json.dumps(
    [{"name": "find", "arguments": {"x": 48.858093, "y": [1, {"z": None}], "big": 12345678901234567890123, "u": "é🙂"}}]
)
TWO_CALLS = json.dumps([{"name": "other", "arguments": {"q": "x"}}, {"name": "find", "arguments": {}}])
TOOLS = json.dumps([{"name": "find", "description": "finds", "parameters": {"type": "object", "properties": {}}}])


def turns(*said: tuple[str, ...]) -> tuple[Turn, ...]:
    return tuple(Turn(*one) for one in said)


PLAIN = [
    turns(("user", "hi"), ("assistant", "the answer is on its way")),
    turns(("user", "  leading white 日本語"), ("assistant", "  🙂 émoji 한국어 \u202e ok\n\n")),
    turns(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d  \n\n e<|im_end|>f")),
    turns(("user", "x" * 30), ("assistant", "y the answer 🙂 " * 40)),  # cut off within the answer
    turns(("user", "long " * 120), ("assistant", "cut")),  # cut off before it
    turns(("user", "no answer")),
]
SYSTEM = [turns(("system", "You are terse."), ("user", "q"), ("assistant", "a"))]
CALLED = [
    (turns(("user", "find"), ("assistant", "", CALL), ("tool", '{"ok": 1}'), ("assistant", "done 🙂")), TOOLS),
    (turns(("user", "find"), ("assistant", "wait", TWO_CALLS), ("tool", "1"), ("tool", "2"), ("assistant", "end")), ""),
]


def rows_for(*, system: bool = True, calls: int = 2) -> list[Row]:
    plain = [Row(0, "train", messages, {}) for messages in PLAIN + (SYSTEM if system else [])]
    return plain + [Row(0, "train", messages, {}, tools=tools) for messages, tools in CALLED[:calls]]


def write_rows(folder: Path, rows: Sequence[Row]) -> Path:
    folder.mkdir(parents=True)
    with RowWriter(folder / "data.parquet") as writer:
        for row in rows:
            writer.write_row(row)
    return folder


class Trainer:
    """TRL's own trainer, with the tiny model and no step taken."""

    def __init__(self, model: TinyModel, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        self._base = model.base
        self._model = AutoModelForCausalLM.from_pretrained(model.base)
        self._folder = folder
        self._count = 0

    def tokenizer(self, template: str | dict[str, str] | None) -> Any:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self._base)
        tokenizer.add_special_tokens({"additional_special_tokens": SPECIALS})
        tokenizer.bos_token = "<|endoftext|>"
        tokenizer.chat_template = template
        return tokenizer

    def prepared(self, tokenizer: Any) -> Tokenizer:
        """The tokenizer as the app has it."""
        self._count += 1
        write_tokenizer(tokenizer, self._folder / f"tokenizer-{self._count}")
        return Tokenizer(self._folder / f"tokenizer-{self._count}", "tiny")

    def labels(
        self, tokenizer: Any, rows: Sequence[Row], *, assistant_only: bool = True
    ) -> list[tuple[list[int], list[int]]]:
        """Ids and labels of the rows that are trained, as the real trainer has them."""
        from trl import SFTConfig, SFTTrainer

        self._count += 1
        data = load_data(
            write_rows(self._folder / f"data-{self._count}", rows), tokenizer, assistant_only=assistant_only
        )
        trainer = SFTTrainer(
            model=self._model,
            args=SFTConfig(
                output_dir=str(self._folder / "out"),
                max_length=MAX_LENGTH,
                assistant_only_loss=assistant_only and data.conversational,
                report_to="none",
                use_cpu=True,
                bf16=False,
                disable_tqdm=True,
            ),
            train_dataset=data.train,
            processing_class=tokenizer,
        )
        prepared = trainer.train_dataset
        return list(zip(prepared["input_ids"], prepared["labels"], strict=True))


@pytest.fixture(scope="module")
def trainer(tiny_model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    import datasets

    datasets.disable_progress_bars()
    return Trainer(tiny_model, tmp_path_factory.mktemp("trainer"))


def shown(rows: Sequence[Row], tokenizer: Tokenizer, *, assistant_only: bool = True) -> list[Rendered]:
    return [render_row(row, tokenizer, max_length=MAX_LENGTH, assistant_only=assistant_only) for row in rows]


def labels_shown(rendered: Sequence[Rendered]) -> list[tuple[list[int], list[int]]]:
    """Ids and labels by what is shown, of the rows that have something to learn."""
    found = []
    for one in rendered:
        kept = [token for token in one.tokens if not token.truncated]
        labels = [token.id if token.trained else -100 for token in kept]
        assert sum(label != -100 for label in labels) == one.trained
        if one.trained:
            found.append(([token.id for token in kept], labels))
    return found


def trl_template(name: str) -> str:
    from trl import chat_template_utils

    folder = Path(chat_template_utils.__file__).parent / "chat_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "system", "calls"),
    [
        ("starter", True, 2),
        ("qwen2_5", True, 2),
        ("qwen3", True, 2),
        ("llama3", True, 2),
        ("phi3", True, 2),
        ("gemma", False, 2),
        ("gemma3", True, 2),
        ("glm4moe", True, 2),
        ("deepseekv3", True, 2),
    ],
)
def test_labels_are_those_of_the_trainer(trainer: Trainer, name: str, system: bool, calls: int) -> None:
    from trl.chat_template_utils import supports_tool_calling

    tokenizer = trainer.tokenizer(starter.CHAT_TEMPLATE if name == "starter" else trl_template(name))
    rows = rows_for(system=system, calls=calls)
    prepared = trainer.prepared(tokenizer)
    rendered = shown(rows, prepared)
    trained = labels_shown(rendered)
    assert len(trained) >= 5 and any(-100 in labels for _, labels in trained)
    assert trained == trainer.labels(tokenizer, rows)
    for one in rendered:
        assert "".join(token.text for token in one.tokens) == one.text
    assert rendered[0].template == ("own" if name == "starter" else "training")
    used = prepared.template("own")
    tokenizer.chat_template = used.source
    assert (used.call_style != "words") == supports_tool_calling(tokenizer)


@pytest.mark.parametrize("name", ["llama3_1", "deepseekv3", "qwen3", "gemma3"])
def test_whole_conversations_too(trainer: Trainer, name: str) -> None:
    tokenizer = trainer.tokenizer(trl_template(name))
    rows = rows_for(calls=1)
    trained = labels_shown(shown(rows, trainer.prepared(tokenizer), assistant_only=False))
    assert all(ids == labels for ids, labels in trained)
    assert trained == trainer.labels(tokenizer, rows, assistant_only=False)


def test_a_template_of_its_own_for_tools(trainer: Trainer) -> None:
    used = []
    for other in ("qwen2_5_training", "llama3_training"):  # the second takes no tools after all
        tokenizer = trainer.tokenizer({"default": starter.CHAT_TEMPLATE, "tool_use": trl_template(other)})
        rows = [Row(0, "train", PLAIN[0], {}, tools=tools) for tools in ("", TOOLS)]
        rendered = shown(rows, trainer.prepared(tokenizer))
        assert labels_shown(rendered) == trainer.labels(tokenizer, rows)
        used.append(["find" in one.text for one in rendered])
    assert used == [[False, True], [False, False]]


def test_plain_text_ends_where_the_trainer_ends_it(trainer: Trainer) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = trainer.tokenizer(None)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A", special_tokens=[("<|endoftext|>", tokenizer.bos_token_id)]
    )
    texts = ["  once upon 日本語 🙂\n", "already ended<|im_end|>", "long " * 200]
    rows = [Row(0, "train", turns(("text", text)), {}) for text in texts]
    rendered = shown(rows, trainer.prepared(tokenizer))
    assert labels_shown(rendered) == trainer.labels(tokenizer, rows)
    assert [token.text for token in rendered[0].tokens if token.special] == ["<|endoftext|>", "<|im_end|>"]
    assert rendered[2].cut and rendered[2].warnings


def test_tokenizers_that_are_not_of_bytes(trainer: Trainer, tiny_model: TinyModel) -> None:
    """As the Llama-2 and Gemma families have them: spaces are a character of their own, bytes fill the gaps."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Backend(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    backend.train_from_iterator(
        ["the answer is on its way"] * 4,
        trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", "<|im_start|>", *bytes_]),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", pad_token="</s>", bos_token="<s>")
    tokenizer.chat_template = starter.CHAT_TEMPLATE.replace("<|im_end|>", "</s>")
    rows = rows_for(calls=0)
    rendered = shown(rows, trainer.prepared(tokenizer))
    assert labels_shown(rendered) == trainer.labels(tokenizer, rows)
    assert all("".join(token.text for token in one.tokens) == one.text for one in rendered)


def test_pairs_teach_the_chosen_answer(trainer: Trainer) -> None:
    tokenizer = trainer.tokenizer(starter.CHAT_TEMPLATE)
    prompt, chosen, rejected = (turns(one) for one in (("user", "q"), ("assistant", "good"), ("assistant", "bad")))
    rows = [Row(0, "train", prompt, {}, chosen, rejected)]
    (rendered,) = shown(rows, trainer.prepared(tokenizer))
    assert labels_shown([rendered]) == trainer.labels(tokenizer, rows)
    assert "good" in rendered.text and rendered.rejected is not None and "bad" in rendered.rejected.text
    assert rendered.rejected.trained == 4  # three bytes, and the end of the turn


def test_the_app_has_it_ready_the_second_time(tiny_model: TinyModel, home: Home) -> None:
    home.ensure()
    said: list[str] = []
    with pytest.raises(FinetuiError, match="Cancelled"):
        model_tokenizer(home, str(tiny_model.base), cancelled=lambda: True)
    assert not list((home.root / "cache" / "tokenizers").iterdir())
    first = model_tokenizer(home, str(tiny_model.base), progress=said.append)
    assert len(said) == 1 and "once" in said[0]
    assert model_tokenizer(home, str(tiny_model.base), progress=said.append) is first and len(said) == 1
    assert first.templates()[0] == "own" and "training" not in first.templates()
    rendered = render_row(Row(0, "train", PLAIN[0], {}), first)
    assert "TRL has none for it" in rendered.warnings[0] and not rendered.trained


def test_tokenizers_that_cannot_be_used_are_explained(
    tiny_model: TinyModel, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.worker import loading, tokenizer
    from engine.worker.loading import LoadError

    class Slow:
        is_fast = False

    monkeypatch.setattr(loading, "load_tokenizer", lambda *_, **__: Slow())
    with pytest.raises(LoadError, match="Slow, which has no fast form"):
        tokenizer.prepare_tokenizer("m", tmp_path / "slow")
    with pytest.raises(BadInput, match="not built yet"):
        model_tokenizer(home.ensure(), "starter")
    monkeypatch.setattr(preparing, "find_spec", lambda _: None)
    with pytest.raises(FinetuiError, match=r"finetui\[train\]"):
        model_tokenizer(home, str(tiny_model.base))


def test_what_the_training_side_says_is_what_is_said(home: Home, tmp_path: Path) -> None:
    """A hub model without a network: the process ends with words, which become the error."""
    with pytest.raises(BadInput) as caught:
        model_tokenizer(home.ensure(), "nobody/has-this-model")
    assert "cannot be loaded" in caught.value.what and "not in the cache" in caught.value.why and caught.value.fix


def test_staged_rows_keep_their_stage(trainer: Trainer, tmp_path: Path) -> None:
    from engine.worker.stages import stage_sampler

    tokenizer = trainer.tokenizer(starter.CHAT_TEMPLATE)
    rows = [Row(0, "train", PLAIN[0], {"stage": index % 3}) for index in range(60)]
    folder = write_rows(tmp_path / "staged", rows)
    assert not load_data(folder, tokenizer).staged
    write_json(folder / "card.json", {"operation": {"kind": "stage"}})
    data = load_data(folder, tokenizer)
    sampler = stage_sampler(data.train, 42)
    assert data.staged and sampler is not None
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert sorted(order) == list(range(60)) and order == list(sampler)
        assert [data.train["stage"][index] for index in order] == sorted(data.train["stage"])
        orders.append(order)
    assert orders[0] != orders[1]
