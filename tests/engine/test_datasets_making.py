"""Versions made from others: what is in them, what their cards say, and what is refused. A real store and library."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.datasets.library import DatasetLibrary
from engine.datasets.making import Diff, Made, dedupe, diff, edit, mix, mix_counts, resplit, stage, subset
from engine.datasets.making.diverse import farthest_first
from engine.datasets.rows import Row, Turn
from engine.datasets.similarity import near_between
from engine.errors import BadInput, Cancelled
from engine.home import Home
from store import open_store
from store.records import Dataset
from tests.engine.test_datasets_library import pair, written

Import = Callable[..., Dataset]


@pytest.fixture
def library(home: Home) -> Iterator[DatasetLibrary]:
    store = open_store(home.ensure().db)
    library = DatasetLibrary(home, store)
    yield library
    library.close()
    store.close()


@pytest.fixture
def imported(library: DatasetLibrary, tmp_path: Path) -> Import:
    def make(rows: Sequence[Any], name: str = "pairs", **options: Any) -> Dataset:
        return library.import_file(written(tmp_path, list(rows), f"{name}.jsonl"), **options)

    return make


def operation(library: DatasetLibrary, made: Made) -> dict[str, Any]:
    found = library.card(made.dataset.id)["operation"]
    assert isinstance(found, dict)
    return found


def prompts(library: DatasetLibrary, dataset: Dataset, split: str | None = None) -> list[str]:
    return [row.messages[0].content for row in library.iterate(dataset.id) if split in (None, row.split)]


# Duplicates


def test_dedupe_keeps_the_first_and_the_order(library: DatasetLibrary, imported: Import) -> None:
    rows = [pair(1), pair(2), {**pair(1), "number": 99}, pair(3), pair(2), pair(1)]
    dataset = imported(rows, validation=0.0)
    made = dedupe(library, dataset)
    assert (made.before, made.after, made.new) == (6, 3, True)
    assert [row.metadata["number"] for row in library.iterate(made.dataset.id)] == [1, 2, 3]
    assert (made.dataset.name, made.dataset.version, made.dataset.parent) == ("pairs", 2, dataset.id)
    found = operation(library, made)
    assert found == {
        "kind": "dedupe", "near": None, "groups": 2, "removed": 3, "straddling": 0, "before": 6, "after": 3,
    }  # fmt: skip
    assert library.count(dataset.id) == 6
    again = dedupe(library, dataset)
    assert (again.dataset.id, again.new) == (made.dataset.id, False)


def test_dedupe_near_takes_the_copy_out_of_validation(library: DatasetLibrary, imported: Import) -> None:
    text = " ".join(f"word{index}" for index in range(60))
    rows = [
        {"prompt": "Say it.", "response": text + "  ", "split": "validation"},
        {"prompt": "Say it!", "response": text.upper(), "split": "train"},
        {"prompt": "Something else", "response": "altogether", "split": "train"},
    ]
    dataset = imported(rows)
    assert dataset.splits == {"train": 2, "validation": 1}
    made = dedupe(library, dataset, near=0.8)
    assert prompts(library, made.dataset) == ["Say it!", "Something else"]
    assert (operation(library, made)["near"], operation(library, made)["straddling"]) == (0.8, 1)
    assert not dedupe(library, dataset).new
    with pytest.raises(BadInput, match="no likeness"):
        dedupe(library, dataset, near=7)


def test_nothing_to_change_makes_no_version(library: DatasetLibrary, imported: Import) -> None:
    dataset = imported([pair(index) for index in range(10)])
    splits = resplit(library, dataset, train=0.5, validation=0.5, test=0).dataset
    for made in (
        dedupe(library, dataset),
        dedupe(library, dataset, near=1.0),
        subset(library, dataset, 10),
        edit(library, dataset, changed={3: library.take(dataset.id, [3])[0]}),
    ):
        assert made == Made(dataset, 10, 10, False)
    assert resplit(library, splits, train=0.5, validation=0.5, test=0) == Made(splits, 10, 10, False)
    assert len(library.list()) == 2


# A subset


def test_a_subset_covers_what_a_random_one_misses(library: DatasetLibrary, imported: Import) -> None:
    """Twenty topics, one of them with nearly all rows: the subset has all topics, and its rows lie farther apart."""
    generator = random.Random(1)
    topics = [[f"topic{topic}word{index}" for index in range(30)] for topic in range(20)]
    rows = []
    for index in range(300):
        topic = 0 if index % 12 else index // 12 % 20
        answer = " ".join(generator.sample(topics[topic], 25))
        rows.append({"prompt": f"question {index}", "response": answer, "topic": topic})
    dataset = imported(rows, validation=0.2)
    made = subset(library, dataset, 50)
    assert made.after == 50
    assert made.dataset.splits == {"train": 40, "validation": 10}
    numbers = [int(row.messages[0].content.split()[1]) for row in library.iterate(made.dataset.id)]
    assert numbers == sorted(numbers)

    words = [set(f"{row['prompt']} {row['response']}".split()) for row in rows]

    def spread(places: Sequence[int]) -> float:
        """The mean Jaccard distance of a row to its nearest neighbour."""
        nearest = [max(len(words[a] & words[b]) / len(words[a] | words[b]) for b in places if b != a) for a in places]
        return 1 - sum(nearest) / len(nearest)

    assert spread(numbers) > 0.05 + max(spread(random.Random(seed).sample(range(300), 50)) for seed in range(10))
    topics_of = {row.metadata["topic"] for row in library.iterate(made.dataset.id)}
    assert len(topics_of) == len({row["topic"] for row in rows})
    assert subset(library, dataset, 50).dataset.id == made.dataset.id
    assert subset(library, dataset, 50, seed=1).dataset.id != made.dataset.id


def test_copies_are_chosen_last_and_parts_keep_the_work_within_bounds() -> None:
    import numpy as np

    generator = np.random.default_rng(1)
    digests = generator.integers(0, 256, (60, 128)).astype(np.uint8)
    digests[20:] = digests[3]
    chosen = farthest_first(digests, 20, 5)
    assert len({tuple(digests[place]) for place in chosen}) == 20
    assert sorted(farthest_first(digests, 60, 5)) == list(range(60))
    parts = farthest_first(digests, 20, 5, most=300)
    assert len(set(parts)) == 20
    assert parts == farthest_first(digests, 20, 5, most=300)
    assert parts != chosen


@pytest.mark.parametrize("size", [0, 11, -1])
def test_a_subset_of_no_size_is_refused(library: DatasetLibrary, imported: Import, size: int) -> None:
    with pytest.raises(BadInput, match=f"cannot have {size} rows") as error:
        subset(library, imported([pair(index) for index in range(10)]), size)
    assert error.value.fix == "Give 1 to 10."


# Splits


def test_resplit_moves_rows_and_keeps_what_asks_the_same_together(library: DatasetLibrary, imported: Import) -> None:
    rows = [pair(index // 2, f"answer {index % 2}") for index in range(200)]
    dataset = imported(rows, validation=0.1)
    made = resplit(library, dataset, train=0.8, validation=0.1, test=0.1)
    assert made.dataset.splits == {"train": 160, "validation": 20, "test": 20}
    assert prompts(library, made.dataset) == prompts(library, dataset)
    sides = {(row.messages[0].content, row.split) for row in library.iterate(made.dataset.id)}
    assert len(sides) == 100
    found = operation(library, made)
    assert found["shares"] == {"train": 0.8, "validation": 0.1, "test": 0.1}
    before = [row.split for row in library.iterate(dataset.id)]
    assert (
        found["moved"] == sum(a != b.split for a, b in zip(before, library.iterate(made.dataset.id), strict=True)) > 0
    )


def test_resplit_by_a_field_gives_each_value_its_share(library: DatasetLibrary, imported: Import) -> None:
    rows = [{**pair(index), "meta": {"topic": "rare" if index % 10 == 0 else "usual"}} for index in range(200)]
    rows += [pair(index) for index in range(200, 220)]
    dataset = imported(rows)
    made = resplit(library, dataset, train=0.5, validation=0.25, test=0.25, by="metadata.meta.topic")
    found = Counter((row.metadata.get("meta", {}).get("topic"), row.split) for row in library.iterate(made.dataset.id))
    assert [found["rare", split] for split in ("train", "validation", "test")] == [10, 5, 5]
    assert [found["usual", split] for split in ("train", "validation", "test")] == [90, 45, 45]
    assert [found[None, split] for split in ("train", "validation", "test")] == [10, 5, 5]
    with pytest.raises(BadInput, match="No row of pairs v1 has the field") as error:
        resplit(library, dataset, train=0.5, validation=0.5, test=0, by="origin")
    assert "meta.topic" in error.value.why
    assert "number" in error.value.why


def test_resplit_near_lets_no_copy_leak(library: DatasetLibrary, imported: Import) -> None:
    generator = random.Random(4)
    rows = []
    for index in range(60):
        words = [f"word{generator.randrange(3_000)}" for _ in range(60)]
        rows += [
            {"prompt": f"{again} {index}", "response": " ".join([*words[:-1], f"end{again}"])} for again in range(3)
        ]
    dataset = imported(rows)
    plain = resplit(library, dataset, train=0.6, validation=0.2, test=0.2)
    assert near_between(library, plain.dataset, 0.8)
    made = resplit(library, dataset, train=0.6, validation=0.2, test=0.2, near=0.8)
    assert not near_between(library, made.dataset, 0.8)
    assert made.dataset.splits == {"train": 108, "validation": 36, "test": 36}


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.8, 0.1, 0.2), "add up to 1.1"),
        ((1.2, -0.2, 0), "are no shares"),
        ((float("nan"), 0.5, 0.5), "are no shares"),
    ],
)
def test_shares_that_are_none_are_refused(
    library: DatasetLibrary, imported: Import, shares: tuple[float, float, float], said: str
) -> None:
    dataset = imported([pair(index) for index in range(10)])
    with pytest.raises(BadInput, match=said):
        resplit(library, dataset, train=shares[0], validation=shares[1], test=shares[2])


def test_what_cannot_be_divided_says_why(library: DatasetLibrary, imported: Import) -> None:
    same = imported([{"prompt": "the same", "response": f"answer {index}"} for index in range(10)], "same")
    with pytest.raises(BadInput, match="nothing would be left for validation and test") as error:
        resplit(library, same, train=0.8, validation=0.1, test=0.1)
    assert error.value.why == "Rows that ask the same stay together: of its 10 rows all do."
    suite = imported([{"prompt": f"question {index}"} for index in range(10)], "suite", shape="prompts")
    with pytest.raises(BadInput, match="prompt suite"):
        resplit(library, suite, train=0.8, validation=0.1, test=0.1)


# Mixes and stages


def test_a_mix_takes_rows_by_weight_and_says_where_they_are_from(library: DatasetLibrary, imported: Import) -> None:
    general = imported([pair(index) for index in range(40)], "general", validation=0.25)
    task = imported([{**pair(100 + index), "dataset": "mine"} for index in range(10)], "task", validation=0.2)
    made = mix(library, [(general, 0.5), (task, 2)], name="blend")
    assert (made.before, made.after) == (50, 40)
    assert (made.dataset.name, made.dataset.parent) == ("blend", general.id)
    assert made.dataset.splits == {"train": 31, "validation": 9}
    rows = list(library.iterate(made.dataset.id))
    assert Counter(row.metadata.get("mixed_from", row.metadata["dataset"]) for row in rows) == {
        "general": 20,
        "task": 20,
    }
    assert {row.metadata["dataset"] for row in rows if "mixed_from" in row.metadata} == {"mine"}
    assert Counter(row.messages[0].content for row in rows if "mixed_from" in row.metadata).most_common()[-1][1] == 2
    found = operation(library, made)
    assert found["weights"] == {"general@1": 0.5, "task@1": 2}
    assert (found["repeated"], found["leaks"]) == (10, 0)
    assert [one["rows"] for one in found["rows"]] == [20, 20]
    assert [one["id"] for one in library.card(made.dataset.id)["parents"]] == [general.id, task.id]
    firsts = [row.metadata.get("mixed_from", row.metadata["dataset"]) for row in rows[:10]]
    assert Counter(firsts) == {"general": 5, "task": 5}
    assert mix(library, [(general, 0.5), (task, 2)], name="blend").dataset.id == made.dataset.id
    assert mix(library, [(general, 0.5), (task, 2)], name="blend", seed=2).dataset.id != made.dataset.id
    counts = mix_counts([general, task], [0.5, 2])
    assert counts == [{"train": 15, "validation": 5}, {"train": 16, "validation": 4}]


def test_a_mix_of_a_size_repeats_only_what_is_too_small(library: DatasetLibrary, imported: Import) -> None:
    general = imported([pair(index) for index in range(100)], "general", validation=0.0)
    task = imported([pair(100 + index) for index in range(10)], "task", validation=0.0)
    made = mix(library, [(general, 3), (task, 1)], name="blend", size=60)
    times = Counter(prompts(library, made.dataset))
    assert made.after == 60
    assert Counter(times[f"question {index}"] for index in range(100)) == {1: 45, 0: 55}
    assert Counter(times[f"question {index}"] for index in range(100, 110)) == {1: 5, 2: 5}
    assert operation(library, made)["repeated"] == 5


def test_what_one_part_evaluates_is_not_learnt_from_another(library: DatasetLibrary, imported: Import) -> None:
    one = imported([pair(index) for index in range(20)], "one", validation=0.0)
    rows = [{**pair(index, "otherwise"), "split": "validation" if index < 5 else "train"} for index in range(12)]
    other = imported(rows, "other")
    made = mix(library, [(one, 1), (other, 1)], name="blend")
    assert operation(library, made)["leaks"] == 5
    assert made.dataset.splits == {"train": 22, "validation": 5}
    assert not set(prompts(library, made.dataset, "train")) & set(prompts(library, made.dataset, "validation"))
    staged = stage(library, [one, other], name="steps")
    assert operation(library, staged)["leaks"] == 5
    assert not set(prompts(library, staged.dataset, "train")) & set(prompts(library, staged.dataset, "validation"))


def test_stages_keep_their_order_and_their_number(library: DatasetLibrary, imported: Import) -> None:
    parts = [
        imported([{**pair(10 * place + index), "stage": "mine"} for index in range(4)], name, validation=0.25)
        for place, name in enumerate(("general", "domain", "task"))
    ]
    made = stage(library, [parts[2], parts[0], parts[1]], name="curriculum")
    rows = list(library.iterate(made.dataset.id))
    assert [row.metadata["stage"] for row in rows] == [1] * 4 + [2] * 4 + [3] * 4
    assert {row.metadata["own_stage"] for row in rows} == {"mine"}
    assert rows[0].messages[0].content == "question 20"
    assert made.dataset.splits == {"train": 9, "validation": 3}
    found = operation(library, made)
    assert found["kind"] == "stage"
    assert found["stages"][0] == {"id": parts[2].id, "name": "task", "version": 1, "rows": 4}


def test_parts_that_do_not_fit_are_refused(library: DatasetLibrary, imported: Import) -> None:
    talk = imported([pair(index) for index in range(4)], "talk")
    text = imported([{"text": f"some text {index}"} for index in range(4)], "text", shape="text")
    with pytest.raises(BadInput, match="cannot be mixed") as error:
        mix(library, [(talk, 1), (text, 1)], name="blend")
    assert "kind conversation" in error.value.why
    with pytest.raises(BadInput, match="cannot be put in stages"):
        stage(library, [talk, text], name="blend")
    with pytest.raises(BadInput, match="given twice"):
        mix(library, [(talk, 1), (talk, 1)], name="blend")
    with pytest.raises(BadInput, match="No dataset"):
        mix(library, [], name="blend")
    with pytest.raises(BadInput, match="makes no stages"):
        stage(library, [talk], name="blend")
    for weight in (0, -1, float("inf"), 1e9):
        with pytest.raises(BadInput, match="no weight"):
            mix(library, [(talk, weight)], name="blend")


# Edits


def test_an_edit_changes_and_drops_rows(library: DatasetLibrary, imported: Import) -> None:
    dataset = imported([pair(index) for index in range(10)])
    row = library.take(dataset.id, [4])[0]
    better = replace(row, messages=(row.messages[0], Turn("assistant", "a better answer")))
    made = edit(library, dataset, changed={4: better, 7: row}, dropped=[0, 7])
    rows = list(library.iterate(made.dataset.id))
    assert [one.metadata["number"] for one in rows] == [1, 2, 3, 4, 5, 6, 8, 9]
    assert rows[3].messages[1].content == "a better answer"
    found = operation(library, made)
    assert (found["changed"], found["dropped"], found["rows"]) == (1, 2, [1, 5, 8])
    assert library.take(dataset.id, [4]) == [row]
    alone = edit(library, dataset, dropped={2})
    assert (alone.after, operation(library, alone)["rows"]) == (9, [3])
    with pytest.raises(BadInput, match="No row would be left"):
        edit(library, dataset, dropped=range(10))
    with pytest.raises(BadInput, match="no row 11"):
        edit(library, dataset, dropped=[10])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"messages": ()}, "messages is empty"),
        ({"messages": (Turn("user", "hi"),)}, "no assistant turn"),
        ({"messages": (Turn("assistant", "hi"), Turn("user", "hi"))}, "ends with a user turn"),
        ({"messages": (Turn("user", "hi"), Turn("assistant", " \n"))}, r"messages\[1\].content is only white space"),
        ({"messages": (Turn("user", "a\0b"), Turn("assistant", "hi"))}, "NUL"),
        ({"messages": (Turn("user", "\ud800"), Turn("assistant", "hi"))}, "half a character"),
        ({"messages": (Turn("boss", "hi"), Turn("assistant", "hi"))}, "known roles"),
        ({"messages": (Turn("user", "hi"), Turn("assistant", "", "not JSON"))}, "calls is not a JSON list"),
        ({"messages": (Turn("user", "hi", '[{"name": "f"}]'), Turn("assistant", "hi"))}, "only the assistant can"),
        ({"split": "elsewhere"}, "split is 'elsewhere'"),
        ({"metadata": {"at": object()}}, "metadata cannot be kept"),
    ],
)
def test_an_edit_refuses_what_no_import_would_take(
    library: DatasetLibrary, imported: Import, change: dict[str, Any], said: str
) -> None:
    dataset = imported([pair(index) for index in range(10)])
    row = library.take(dataset.id, [4])[0]
    with pytest.raises(BadInput, match=said) as error:
        edit(library, dataset, changed={4: replace(row, **change)})
    assert "row 5" in error.value.why
    assert len(library.list()) == 1


def test_edits_of_other_kinds_are_checked_by_their_own_rules(library: DatasetLibrary, imported: Import) -> None:
    pairs = imported(
        [{"prompt": f"q {index}", "chosen": "good", "rejected": "bad"} for index in range(4)], "preferences"
    )
    row = library.take(pairs.id, [1])[0]
    better = replace(row, chosen=(Turn("assistant", "better"),))
    assert library.take(edit(library, pairs, changed={1: better}).dataset.id, [1])[0].chosen[0].content == "better"
    with pytest.raises(BadInput, match="rejected is empty"):
        edit(library, pairs, changed={1: replace(row, rejected=())})
    verdicts = imported(
        [{"prompt": f"q {index}", "completion": "a", "label": index % 2 == 0} for index in range(4)], "verdicts"
    )
    with pytest.raises(BadInput, match="label is missing"):
        edit(library, verdicts, changed={0: replace(library.take(verdicts.id, [0])[0], label=None)})
    texts = imported([{"text": f"text {index}"} for index in range(4)], "texts", shape="text")
    with pytest.raises(BadInput, match="known roles are text"):
        edit(library, texts, changed={0: Row(0, "train", (Turn("user", "hi"),), {})})


# What differs


def test_a_diff_tells_what_came_went_and_changed(library: DatasetLibrary, imported: Import) -> None:
    dataset = imported([pair(index) for index in range(12)])
    rows = library.take(dataset.id, range(12))
    answer = replace(rows[3], messages=(rows[3].messages[0], Turn("assistant", "another answer")))
    question = replace(rows[6], messages=(Turn("user", "another question"), rows[6].messages[1]))
    made = edit(library, dataset, changed={3: answer, 6: question}, dropped=[9])
    assert diff(library, dataset, made.dataset) == Diff(9, [], [9], [(3, 3), (6, 6)])
    assert diff(library, made.dataset, dataset) == Diff(9, [9], [], [(3, 3), (6, 6)])
    assert diff(library, dataset, dataset) == Diff(12, [], [], [])


def test_a_diff_counts_copies_and_sees_rows_move(library: DatasetLibrary, imported: Import) -> None:
    one = imported([pair(1), pair(1), pair(2), pair(3)], "one", validation=0.0)
    other = imported([pair(3), pair(1), pair(4), pair(5)], "other", validation=0.0)
    assert diff(library, one, other) == Diff(2, [2, 3], [1, 2], [])
    split = resplit(library, one, train=0.5, validation=0.5, test=0).dataset
    found = diff(library, one, split)
    places = [row.index for row in library.iterate(split.id) if row.split == "validation"]
    assert (found.same, found.changed, found.added, found.removed) == (4, [], [], [])
    assert found.moved == [(place, place) for place in places]


def test_every_operation_tells_how_far_it_is_and_can_be_given_up(library: DatasetLibrary, imported: Import) -> None:
    dataset = imported([pair(index // 2) for index in range(60)])
    other = imported([pair(index) for index in range(60, 80)], "other")
    row = replace(library.take(dataset.id, [0])[0], metadata={"new": 1})
    operations: list[Callable[..., object]] = [
        lambda **how: dedupe(library, dataset, **how),
        lambda **how: dedupe(library, dataset, near=0.9, **how),
        lambda **how: subset(library, dataset, 20, **how),
        lambda **how: resplit(library, dataset, train=0.8, validation=0.1, test=0.1, near=0.9, **how),
        lambda **how: mix(library, [(dataset, 1), (other, 1)], name="m", **how),
        lambda **how: stage(library, [dataset, other], name="s", **how),
        lambda **how: edit(library, dataset, changed={0: row}, **how),
        lambda **how: diff(library, dataset, other, **how),
    ]
    before = len(library.list())
    for operate in operations:
        with pytest.raises(Cancelled):
            operate(cancelled=lambda: True)
        assert len(library.list()) == before
        heard: list[float] = []
        operate(progress=heard.append)
        assert heard == sorted(heard)
        assert heard[-1] == 1.0
        before = len(library.list())
    assert json.dumps(library.card(library.list()[0].id)["operation"])
