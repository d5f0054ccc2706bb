"""Registered names, their versions, and which of them is to be used."""

from dataclasses import replace

import pytest

from store import Store
from store.errors import StoreError
from store.evaluation_records import RegistryVersion
from store.registry import Promotion, RegisteredName

FIRST = RegistryVersion(
    "support", 1, 10.0, "r1", "starter", "", "d1", "for the help desk", ("help", "warm"), {"size_bytes": 12}
)
SECOND = replace(FIRST, version=2, created=20.0, run="r2", tags=())
OTHER = replace(FIRST, name="emoji", created=30.0, run="r1", revision="abc")


@pytest.fixture
def filled(store: Store) -> Store:
    for version in (FIRST, SECOND, OTHER):
        store.registry.add(version)
    return store


def test_what_was_put_in_comes_out(filled: Store) -> None:
    registry = filled.registry
    assert registry.get("support", 1) == FIRST and registry.get("support", 3) is None
    assert registry.versions("support") == [SECOND, FIRST] and registry.versions("nothing") == []
    assert registry.of_run("r1") == [OTHER, FIRST]
    assert registry.names() == [
        RegisteredName("emoji", 30.0, None, 1, 1),
        RegisteredName("support", 10.0, None, 2, 2),
    ]
    assert registry.name("nothing") is None
    with pytest.raises(StoreError, match="version 2 of support already"):
        registry.add(SECOND)


def test_the_promoted_version_is_the_current_one_and_the_past_is_kept(filled: Store) -> None:
    registry = filled.registry
    before = registry.name("support")
    assert before is not None and before.current == 2
    for t, version in ((40.0, 1), (50.0, 2), (60.0, 1)):
        registry.promote("support", Promotion(t, version, f"at {t:.0f}"))
    after = registry.name("support")
    assert after is not None and (after.promoted, after.current) == (1, 1)
    assert registry.promotions("support") == [
        Promotion(40.0, 1, "at 40"),
        Promotion(50.0, 2, "at 50"),
        Promotion(60.0, 1, "at 60"),
    ]
    assert registry.promotions("emoji") == []
    with pytest.raises(StoreError, match="no version 7"):
        registry.promote("support", Promotion(70.0, 7, ""))
    assert len(registry.promotions("support")) == 3


def test_words_about_a_version_change_and_its_origin_does_not(filled: Store) -> None:
    other = replace(FIRST, description="new", tags=("x",), info={"a": 1}, run="forged", base="forged")
    filled.registry.set_about(other)
    assert filled.registry.get("support", 1) == replace(FIRST, description="new", tags=("x",), info={"a": 1})
    assert filled.registry.get("support", 2) == SECOND
    with pytest.raises(StoreError, match="knows no version"):
        filled.registry.set_about(replace(FIRST, version=9))


def test_a_version_or_a_name_is_forgotten(filled: Store) -> None:
    registry = filled.registry
    registry.promote("support", Promotion(1.0, 1, ""))
    registry.delete("support", 2)
    assert registry.versions("support") == [FIRST]
    registry.delete("support")
    assert registry.name("support") is None and registry.promotions("support") == []
    assert registry.get("emoji", 1) == OTHER
    registry.add(replace(FIRST, created=99.0))
    assert registry.promotions("support") == [], "nothing of the former name comes back"


def test_a_name_is_entered_anew(filled: Store) -> None:
    third = replace(FIRST, version=3)
    filled.registry.replace("support", [FIRST, third], [Promotion(1.0, 3, "a"), Promotion(2.0, 2, "gone since")])
    assert filled.registry.versions("support") == [third, FIRST]
    assert filled.registry.promotions("support") == [Promotion(1.0, 3, "a")]
    found = filled.registry.name("support")
    assert found is not None and found.promoted == 3
