"""What is offered while a filter is typed."""

from collections.abc import Iterator, Sequence

import pytest

from store import QueryError, Store, open_store
from store.completion import completed
from store.records import IngestBatch, Point, Status
from tests.store.builders import add_points, new_run


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(tmp_path_factory.mktemp("asked") / "finetui.db")
    for at in range(5):
        recipe = {"lora_r": 8 << at % 2, "packing": at > 1, "target_modules": ["q_proj", "v_proj"], "nodes": 1}
        tags = ("nightly",) if at else ("two words", 'a "quote"')
        model = "starter" if at else "Qwen/Qwen2.5-1.5B"
        store.runs.add(new_run(f"r{at}", f"support {at}", recipe=recipe, tags=tags, model=model))
        points: dict[str, Sequence[Point]] = {
            "eval/loss": [(1, 2.0, 1.0), (2, 1.0 + at, 2.0)],
            "train/loss": [(1, 1.0, 1.0)],
            "gpu0/busy": [(1, 1.0, 1.0)],
        }
        add_points(store, f"r{at}", points)
    store.runs.finish("r0", Status.FAILED, "", 5.0, "cuda_out_of_memory")
    store.runs.add_tag("r3", "Ärger")
    yield store
    store.close()


def offered(store: Store, text: str, kind: str = "") -> list[str]:
    """The filters that would be there with each completion taken. `|` in the text is the cursor."""
    cursor = text.find("|") if "|" in text else None
    found = store.runs.complete(text.replace("|", ""), cursor)
    return [completed(text.replace("|", ""), one)[0] for one in found if not kind or one.kind == kind]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("sta", ["status:", "started", "status:starting"]),
        ("status", ["status:", "status="]),
        ("-sta", ["-status:", "-started"]),
        ("(sta", ["(status:", "(started"]),
        ("emoji sta", ["emoji status:", "emoji started"]),
        ("eval", ["eval/loss", "status:evaluating"]),
        ("los", ["status:lost", "eval/loss", "train/loss"]),
        ("lora", ["cfg.lora_r"]),
        ("cfg.", ["cfg.lora_r", "cfg.nodes", "cfg.packing", "cfg.target_modules"]),
        ("night", ["tag:nightly"]),
        ("qwen", ["model:Qwen/Qwen2.5-1.5B"]),
        ("two", ['tag:"two words"']),
        ("status:f", ["status:failed"]),
        ("status:train", ["status:training"]),
        ("-status:failed status:st", ["-status:failed status:starting", "-status:failed status:stopping"]),
        ("is:im", ["is:imported"]),
        ("has:eval", ["has:eval/loss"]),
        ("tag:", ["tag:nightly", 'tag:"two words"', "tag:Ärger"]),
        ('tag:"two', ['tag:"two words"']),
        ("tag:är", ["tag:Ärger"]),
        ("model:", ["model:starter", "model:Qwen/Qwen2.5-1.5B"]),
        ("model:1.5", ["model:Qwen/Qwen2.5-1.5B"]),
        ("failure:", ["failure:cuda_out_of_memory"]),
        ("name:3", ['name:"support 3"']),
        ("id:r4", []),
        ("id:r", ["id:r4", "id:r3"]),
        ("cfg.lora_r=", ["cfg.lora_r=8", "cfg.lora_r=16"]),
        ("cfg.lora_r >= 1", ["cfg.lora_r >= 16"]),
        ("cfg.packing:", ["cfg.packing:true", "cfg.packing:false"]),
        ("cfg.nodes:", ["cfg.nodes:1"]),
        ("cfg.target_modules:v", ["cfg.target_modules:v_proj"]),
        ("eval/loss", ["eval/loss<", "eval/loss>"]),
        ("eval/loss.mi", ["eval/loss.min", "eval/loss.min_step"]),
        ("eval/loss.min", ["eval/loss.min_step", "eval/loss.min<"]),
        ("eval/loss@100", ["eval/loss@100<"]),
        ("eval/loss<", ["eval/loss<1", "eval/loss<2", "eval/loss<3", "eval/loss<4", "eval/loss<5"]),
        ("eval/loss.min<", ["eval/loss.min<1", "eval/loss.min<2"]),
        ("started>", ["started>1h", "started>1d", "started>7d"]),
        ("created:", ["created:today", "created:yesterday"]),
        ("created:>", ["created:>1h"]),
        ("peak>", ["peak>8GB"]),
        ("status:done A", ["status:done AND "]),
        ("A", ["attempt", "alerts"]),
        ("sta|:failed", ["status:failed", "started:failed"]),
        ("status:fa|il tag:x", ["status:failed tag:x"]),
        ("col:", []),
        ('"sta', []),
        ('tag:"nightly"', []),
    ],
)
def test_the_likeliest_comes_first(asked: Store, text: str, first: list[str]) -> None:
    found = offered(asked, text)
    assert found[: len(first)] == first
    assert first or not found


def test_what_is_offered_is_understood(asked: Store) -> None:
    """Whatever is taken, and whatever of what follows: no error but that of a value that is not typed yet."""
    texts = ["", "s", "e", "status:", "tag:", "cfg.", "started", "eval/loss", "eval/loss<", "peak>", "created:"]
    for text in texts:
        for whole in offered(asked, text):
            asked.runs.order(whole)
            for further in offered(asked, whole)[:6]:
                asked.runs.order(further)


def test_everything_that_can_be_asked_is_offered(asked: Store) -> None:
    from store.run_language import KEYS

    found = {one.rstrip(":") for one in offered(asked, "", "key")}
    assert set(KEYS) <= found
    assert {"eval/loss", "train/loss", "cfg."} <= found
    for key in KEYS.values():
        asked.runs.order(key.example)


def test_a_value_that_cannot_be_quoted_is_not_offered(asked: Store) -> None:
    assert not any("quote" in one for one in offered(asked, "tag:"))


def test_each_says_what_it_is(asked: Store) -> None:
    details = {one.insert: one.detail for text in ("", "tag:", "eval/loss<") for one in asked.runs.complete(text)}
    assert details["status:"] == "where it stands"
    assert details["nightly"] == "4 runs"
    assert details["1"] == "the lowest"
    assert all(details.values())


def test_new_values_are_seen_at_once(store: Store) -> None:
    store.runs.add(new_run("r1", tags=("first",)))
    assert offered(store, "tag:") == ["tag:first"]
    store.runs.add_tag("r1", "second")
    assert offered(store, "tag:se") == ["tag:second"]
    store.runs.ingest(IngestBatch("r1", 0, 1, points={("my/metric", 1): [(1, 1.0, 1.0)]}))
    assert "my/metric" in offered(store, "my")


def test_an_empty_store_offers_what_the_language_has(store: Store) -> None:
    assert "status:" in offered(store, "")
    assert offered(store, "tag:") == offered(store, "cfg.") == offered(store, "eval/loss<") == []
    with pytest.raises(QueryError):
        store.runs.order("nothing:here")
