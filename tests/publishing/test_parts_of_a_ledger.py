"""A part of the ledger: by state, by cause, by a piece of an address; and how many there are of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from aicmo.errors import InvalidInput
from aicmo.publishing import State

from .sequence_world import World, a_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as world:
        yield world


@pytest.fixture
def campaign(world: World) -> int:
    """Ada's mailbox is full, nobody is at Bob's address, Adam waits for his hours, Eve is with a sender."""
    world.people("Ada", "bob", "adam", "eve")
    begun = world.start(world.campaign())
    told = (
        ("ada", "failed", "mailbox"),
        ("bob", "failed", "address"),
        ("adam", "deferred", "hours"),
        ("eve", "claimed", ""),
    )

    def settle(db: sqlite3.Connection) -> None:
        for name, state, cause in [*told, ("eve", "claimed", "")]:
            db.execute(
                "UPDATE delivery SET state = ?, cause = ? WHERE address = ?", (state, cause, f"{name}@acme.example")
            )

    world.db.write(settle)
    return begun


PARTS = [
    ({}, ["ada", "adam", "bob", "eve"]),
    ({"state": State.FAILED}, ["ada", "bob"]),
    ({"state": State.FAILED, "cause": "mailbox"}, ["ada"]),
    ({"cause": "hours"}, ["adam"]),
    ({"address": "ADA"}, ["ada", "adam"]),
    ({"address": "ada", "cause": "hours"}, ["adam"]),
    ({"address": "%"}, []),
    ({"state": State.QUEUED}, ["eve"]),
]


@pytest.mark.parametrize(("part", "names"), PARTS)
def test_it_holds_those_and_knows_how_many(world: World, campaign: int, part: dict[str, str], names: list[str]) -> None:
    found = world.publishing.deliveries(campaign, **part)  # type: ignore[arg-type]
    assert sorted(each.email.partition("@")[0].lower() for each in found) == names
    assert world.publishing.deliveries_count(campaign, **part) == len(names)  # type: ignore[arg-type]


def test_the_causes_are_counted_of_all_or_of_one_state(world: World, campaign: int) -> None:
    assert world.publishing.causes(campaign) == {"mailbox": 1, "address": 1, "hours": 1}
    assert world.publishing.causes(campaign, State.DEFERRED) == {"hours": 1}


def test_a_cause_that_is_none_is_refused(world: World, campaign: int) -> None:
    with pytest.raises(InvalidInput, match="no cause"):
        world.publishing.deliveries(campaign, cause="bogus")


def test_a_row_names_its_step_and_its_variant(world: World) -> None:
    world.people("ada")
    campaign = world.campaign()
    world.variants.add(campaign, subject="Another subject")
    world.start(campaign)
    (row,) = world.publishing.deliveries(campaign)
    assert row.step == 1 and row.variant in ("A", "B")
