"""A sequence under random answers, outcomes, kills and times of looking comes to what a slow reference says."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from aicmo.publishing import State
from aicmo.publishing.sequences.advancing import advance
from aicmo.publishing.sequences.editing import Add
from aicmo.store.claiming import Claimed

from .sequence_world import IN_A_DAY, World, a_world

NAMES = ("ann", "bob", "cy", "di", "ed")
STEPS = {2: (IN_A_DAY, ""), 3: (0, "not_clicked"), 4: (2 * IN_A_DAY, "")}
OUTCOMES = (State.SENT,) * 5 + (State.FAILED, State.UNKNOWN)


@dataclass
class Person:
    step: int = 1
    state: str = "queued"
    """Of the delivery of ``step``; empty: it was passed over."""
    since: datetime | None = None
    """When it went, or was passed over."""
    stopped: bool = False
    left: bool = False
    clicked: bool = False
    over: bool = False
    ledger: dict[int, str] = field(default_factory=lambda: {1: "queued"})

    def becomes(self, state: str) -> None:
        self.state = self.ledger[self.step] = state


class Reference:
    """Looks at everybody, every time, and remembers nothing but what happened."""

    def __init__(self) -> None:
        self.people = {name: Person() for name in NAMES}

    def look(self, now: datetime) -> None:
        for each in self.people.values():
            while self._one(each, now):
                pass

    def _one(self, each: Person, now: datetime) -> bool:
        """Whether there may be more to do at this moment."""
        if each.left or each.over:
            return False
        if each.stopped or each.state == "failed":
            each.left = True
            if each.state == "queued":
                each.becomes("cancelled")
            return False
        following = each.step + 1
        if each.state in ("queued", "unknown"):
            return False
        if following not in STEPS:
            each.over = True
            return False
        wait, condition = STEPS[following]
        assert each.since is not None
        due = each.since + timedelta(minutes=wait)
        if due > now:
            return False
        each.step = following
        if condition and each.clicked:
            each.state, each.since = "", due
            return True
        each.becomes("queued")
        each.since = None
        return False


def drain(world: World, chance: Random) -> None:
    """Look until nothing more comes of it, in batches of any size; sometimes the program is killed halfway."""

    def killed(db: sqlite3.Connection) -> None:
        advance(db, world.clock.now(), most=chance.randint(1, 5))
        raise KeyboardInterrupt

    for _ in range(3 * len(NAMES)):
        if chance.random() < 0.2:
            with pytest.raises(KeyboardInterrupt):
                world.db.write(killed)
        world.tick(most=chance.randint(1, 5))
    for _ in range(len(STEPS) * len(NAMES)):
        world.tick()


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_and_whenever_one_looks_the_outcome_is_the_references(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    with a_world(tmp_path) as world:
        world.people(*NAMES)
        campaign = world.campaign()
        for wait, condition in STEPS.values():
            world.sequences.edit(campaign, Add(world.content(f"{wait}{condition}"), wait, condition))
        world.start(campaign)
        expected = Reference()
        for _ in range(40):
            name = chance.choice(NAMES)
            person = expected.people[name]
            match chance.randint(0, 9):
                case 0 | 1 | 2 | 3:
                    world.clock.at += timedelta(minutes=chance.choice((1, 600, IN_A_DAY, 3 * IN_A_DAY)))
                case 4:
                    world.event(name, "replied", human=chance.choice((True, None)), campaign=campaign)
                    person.stopped = True
                case 5:
                    world.event(name, "auto_replied", human=False, campaign=campaign)
                case 6:
                    world.event(name, "clicked", campaign=campaign)
                    person.clicked = True
                case 7:
                    for each in world.claim(campaign):
                        settle(world, expected, each.email.partition("@")[0], each, chance.choice(OUTCOMES))
                    for other in expected.people.values():  # at the claim, what an answer came before stays here
                        if other.state == "queued" and other.stopped:
                            other.becomes("cancelled")
                case 8 if person.state == "unknown":
                    world.publishing.resolve(campaign, State.SENT, email=f"{name}@acme.example")
                    person.becomes("sent")
                case _:
                    drain(world, chance)
                    expected.look(world.clock.now())
                    compare(world, campaign, expected)
        drain(world, chance)
        expected.look(world.clock.now())
        compare(world, campaign, expected)


def settle(world: World, expected: Reference, name: str, claimed: Claimed, outcome: State) -> None:
    person = expected.people[name]
    assert person.state == "queued" and person.step == claimed.step and not person.stopped
    world.settle(claimed, outcome)
    person.becomes(outcome.value)
    person.since = world.clock.now()


def compare(world: World, campaign: int, expected: Reference) -> None:
    assert world.ledger(campaign) == [
        (name, step, state)
        for name, each in sorted(expected.people.items())
        for step, state in sorted(each.ledger.items())
    ]
    states = {each.place.email.partition("@")[0]: each.place.state for each in world.sequences.people(campaign)}
    assert states == {
        name: "stopped" if each.left else "done" if each.over else "active" for name, each in expected.people.items()
    }
