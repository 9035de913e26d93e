"""A sequence on a real store, with a clock that the test moves and a sender that does as it is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aicmo.clock import SystemClock
from aicmo.config import Config
from aicmo.crm.lifecycle import record_event, set_stage
from aicmo.paths import Paths
from aicmo.publishing import Draft, State
from aicmo.publishing.sequences.advancing import advance
from aicmo.publishing.sequences.editing import Add
from aicmo.publishing.sequences.verbs import PlaceTold
from aicmo.publishing.variants import decide_due
from aicmo.store import claiming
from aicmo.store.claiming import Claimed, Verdict
from aicmo.store.events import Event
from aicmo.workspace import Workspace, open_workspace

SENDER = {"name": "Ada Lovelace", "email": "ada@example.com", "postal_address": "1 Analytical Way, London"}
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
IN_A_DAY = 24 * 60
"""Minutes."""


class MovedClock(SystemClock):
    """The date stands until the test moves it; waiting takes as long as it takes."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


class World:
    def __init__(self, workspace: Workspace, clock: MovedClock) -> None:
        self.workspace, self.clock, self.db = workspace, clock, workspace.db
        self.sequences, self.variants, self.publishing = workspace.sequences, workspace.variants, workspace.publishing

    # --- before the start

    def people(self, *names: str) -> None:
        for name in names:
            self.workspace.crm.add(f"{name}@acme.example")

    def content(self, words: str = "Hello") -> int:
        return self.workspace.contents.create("email", words, Draft(words, words)).id

    def campaign(self, audience: str = "") -> int:
        return self.publishing.create_campaign("News", self.content("Step 1"), audience).id

    def sequence(self, *waits: int, audience: str = "", only_if: str = "", joins: bool = False) -> int:
        """Not begun: a first step, and one more after each of the waits (minutes)."""
        campaign = self.campaign(audience)
        for number, wait in enumerate(waits, start=2):
            self.sequences.edit(campaign, Add(self.content(f"Step {number}"), wait, only_if))
        self.sequences.make(campaign, joins=joins or None)
        return campaign

    def start(self, campaign: int) -> int:
        self.publishing.start(campaign, approve=True)
        return campaign

    # --- as time goes by

    def tick(self, *, most: int = 500) -> None:
        def due(db: sqlite3.Connection) -> None:
            advance(db, self.clock.now(), most=most)
            decide_due(db, self.clock.now())

        self.db.write(due)

    def claim(self, campaign: int) -> list[Claimed]:
        return self.db.write(lambda db: claiming.claim(db, campaign, self.clock.now(), most=1000)).taken

    def settle(self, claimed: Claimed, state: State = State.SENT) -> None:
        """What the server said of one that was claimed."""
        now = self.clock.now()

        def work(db: sqlite3.Connection) -> None:
            assert claiming.let_go(db, claimed, f"<{claimed.id}@x>", "smtp-a", {}, now) is None
            claiming.settle(db, claimed, Verdict(state, "smtp-a", reason="so it was"), now)

        self.db.write(work)

    def send(self, campaign: int, state: State = State.SENT) -> list[tuple[str, int]]:
        """Everything that is due; who and which step."""
        claimed = self.claim(campaign)
        for each in claimed:
            self.settle(each, state)
        return sorted((each.email.partition("@")[0], each.step) for each in claimed)

    def later(self, span: timedelta = DAY) -> None:
        self.clock.at += span
        self.tick()

    def stage(self, name: str, stage: str) -> None:
        """Somebody is put there by hand, back as well."""

        def put(db: sqlite3.Connection) -> None:
            (number,) = db.execute("SELECT id FROM contact WHERE address = ?", (f"{name}@acme.example",)).fetchone()
            set_stage(db, number, stage, "said so by phone", "you", self.clock.now(), demote=True)

        self.db.write(put)

    def event(self, name: str, kind: str, *, human: bool | None = True, campaign: int | None = None) -> None:
        contact = self.workspace.crm.get(f"{name}@acme.example").id
        event = Event(contact, kind, self.clock.now(), channel="email", campaign_id=campaign, human=human)
        self.db.write(lambda db: record_event(db, event, self.clock.now()))

    # --- what came of it

    def ledger(self, campaign: int) -> list[tuple[str, int, str]]:
        rows = self.db.read(
            lambda db: db.execute(
                "SELECT address, step, state FROM delivery WHERE campaign_id = ? ORDER BY address, step", (campaign,)
            ).fetchall()
        )
        return [(row["address"].partition("@")[0], row["step"], row["state"]) for row in rows]

    def place(self, campaign: int, name: str) -> PlaceTold:
        return next(each for each in self.sequences.people(campaign) if each.place.email.startswith(f"{name}@"))

    def state(self, campaign: int, name: str) -> tuple[str, str]:
        place = self.place(campaign, name).place
        return place.state, place.cause


SECRET = bytes(range(32))


@contextmanager
def a_world(folder: Path) -> Iterator[World]:
    config = Config.model_validate(
        {
            "sender": SENDER,
            "chains": {"email_sending": ["smtp-a"]},
            "providers": {"smtp-a": {"kind": "smtp", "host": "127.0.0.1", "port": 9, "security": "none"}},
        }
    )
    clock = MovedClock()
    with open_workspace(Paths(folder / "config.toml", folder / "data"), config, clock=clock) as workspace:
        # Lots are drawn by the database's own secret: with a known one, every run draws the same.
        workspace.db.write(lambda db: db.execute("UPDATE meta SET value = ? WHERE name = 'secret'", (SECRET,)))
        yield World(workspace, clock)
