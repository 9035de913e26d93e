"""Two senders at once, two hundred times over: everybody gets it once, and one of the two is locked or does nothing."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from aicmo.paths import Paths
from aicmo.publishing import Draft
from bench.mailing import furnish, open_house
from bench.sink import start_sink

RACES = 200
PEOPLE = 3
CONNECTIONS = 2
LATEST_S = 0.004
"""By so much one may begin after the other: from before the other holds the lock until after it has sent."""


def race(paths: Paths, orders: Connection) -> None:
    """A process that runs its outbox whenever it is told to, so many seconds later, and tells what came of it."""

    async def run() -> None:
        async with open_house(paths) as workspace:
            while (wait_s := await asyncio.to_thread(orders.recv)) is not None:
                time.sleep(wait_s)  # noqa: ASYNC251  # nothing else runs here, and it is exact
                report = await workspace.publishing.outbox().run()
                orders.send((report.status, dict(report.counts)))

    asyncio.run(run())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory where that can be: no power fails here, and a busy disk would only make the races slow."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as name:
        yield Path(name)


def test_two_runs_at_once_send_once_two_hundred_times(folder: Path) -> None:
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")  # pytest shows it when the promise is broken
    chance, spawn, statuses = random.Random(seed), multiprocessing.get_context("spawn"), Counter[str]()
    with start_sink(folder / "received.tsv") as sink:
        paths = furnish(folder, sink.ports, connections=CONNECTIONS, people=PEOPLE)
        pipes = [spawn.Pipe() for _ in range(2)]
        racers = [spawn.Process(target=race, args=(paths, theirs)) for _, theirs in pipes]
        for each in racers:
            each.start()
        orders = [ours for ours, _ in pipes]
        with open_house(paths) as workspace:
            content = workspace.contents.create("email", "Race", Draft("Race", "Hello"))  # a start checks every word
            for number in range(RACES):
                campaign = workspace.publishing.create_campaign(f"Race {number}", content.id, "").id
                workspace.publishing.start(campaign, approve=True)
                waits = [0.0, chance.uniform(0, LATEST_S)]
                chance.shuffle(waits)
                for pipe, wait_s in zip(orders, waits, strict=True):
                    pipe.send(wait_s)
                reports = [pipe.recv() for pipe in orders]
                busy = [counts for status, counts in reports if counts]
                assert busy == [{"sent": PEOPLE}], f"race {number}: {reports}"
                assert {status for status, _ in reports} <= {"done", "locked"}, f"race {number}: {reports}"
                statuses.update(status for status, _ in reports)
                assert workspace.publishing.counts(campaign).sent == PEOPLE
        for pipe in orders:
            pipe.send(None)
        for each in racers:
            each.join()
            each.close()
        copies = Counter(mail.message_id for mail in sink.received())
    assert len(copies) == RACES * PEOPLE and set(copies.values()) == {1}
    assert statuses["locked"] > 0, "no two of them ever met"
