"""The sender keeps its promises whatever servers, people, clocks and kills do: a state machine around all of it.

The ledger, the chain and the database are real; only the server is scripted. A kill leaves the outbox between any two
of its awaits and never comes back to it: what it had queued for the disk is written or lost, as a kill would have it.
Each change of state is noted by the database itself, so none escapes. That it can fail was seen with four defects put
in: a kill that queues again, an ambiguous answer that is tried again, and a body let go without a look at suppression,
or at the campaign.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aicmo.crm import CRMRepository
from aicmo.errors import IllegalTransition, NotFound
from aicmo.gateways import Applied, Attempt, HealthRegistry, Outcome, OutgoingMail, ProviderChain
from aicmo.gateways.mail import BeforeBody
from aicmo.publishing import Draft, PublishingPipeline, State
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.sending.outbox import LOOK_AGAIN_S, Outbox
from aicmo.publishing.writing.contents import Contents
from aicmo.store import Database, campaigns, deliveries, open_database, suppressions
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.deliveries import MOVES
from aicmo.store.suppressions import SuppressionReason
from aicmo.tasks import cut_off

PEOPLE = [f"p{number}@acme.example" for number in range(5)]
WHOM = [PEOPLE, *([each] for each in PEOPLE)]
SENDER = SenderIdentity("Ada Lovelace", "ada@example.com", "1 Analytical Way, London")
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files are quick; a real disk is slow, and no power fails here."""
MOST_TURNS = 1000
"""Of an event loop: no run takes more."""
A_MOMENT = 30
"""Turns: longer than whatever is done without waiting."""
WATCH = (
    "CREATE TABLE moved (delivery INTEGER, before TEXT, after TEXT)",
    """CREATE TRIGGER moves AFTER UPDATE OF state ON delivery WHEN old.state <> new.state
       BEGIN INSERT INTO moved VALUES (new.id, old.state, new.state); END""",
)

TURNS = (8, 60)
"""When something happens in the midst of a run: from its first claim to its last outcome."""
PERSON = ("pause", "resume", "cancel", "opt out", "retry", "sent", "failed", "queued")
"""What one may do; the last three say what became of an unknown delivery."""
MEANWHILE = ("pause", "opt out", "resume", "opt out", "retry", "cancel")
ANSWERS = {
    "ok": Attempt("", Outcome.OK, Applied.YES, "reply", "250", "queued"),
    "greylisted": Attempt("", Outcome.RECIPIENT, Applied.NO, "rcpt", "450 4.2.0", "later"),
    "no such user": Attempt("", Outcome.RECIPIENT, Applied.NO, "rcpt", "550 5.1.1", "nobody", permanent=True),
    "spam": Attempt("", Outcome.CONTENT, Applied.NO, "reply", "554 5.7.1", "spam", permanent=True),
    "cut before the dot": Attempt("", Outcome.TRANSIENT, Applied.NO, "body", "", "reset"),
    "cut after the dot": Attempt("", Outcome.AMBIGUOUS, Applied.UNKNOWN, "reply", "", "reset"),
    "lost": Attempt("", Outcome.AMBIGUOUS, Applied.UNKNOWN, "reply", "", "reset"),
    "unreachable": Attempt("", Outcome.TRANSIENT, Applied.NO, "connect", "", "refused"),
}
WITHOUT_BODY = ("greylisted", "no such user", "unreachable")
TAKEN = ("ok", "cut after the dot")


class HandClock:
    """Moves when told. Who looks again in a moment does so a few turns later; who sleeps longer is never woken."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # half an hour before a change of summer time
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        if seconds > LOOK_AGAIN_S:
            await asyncio.get_running_loop().create_future()
        for _ in range(A_MOMENT):
            await asyncio.sleep(0)


class AtOnce(ThreadPoolExecutor):
    """Does on the loop's own thread what is to be done on another, so that a turn of the loop is a turn."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        done: Future[object] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class World:
    """What outlives a kill: the servers, what they received, and what a person has said."""

    def __init__(self) -> None:
        self.script: list[str] = []
        self.received: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        """By recipient: bodies let go that may have been taken."""
        self.words: Counter[str] = Counter()
        """By recipient: how often a person asked for one more."""
        self.suppressed: set[str] = set()
        self.stopped = False
        """Whether the campaign is paused or cancelled."""
        self.complaints: list[str] = []


class ScriptedServer:
    connections = 1
    limits: Mapping[str, int] = {"minute": 4}
    warm_up: tuple[int, ...] = ()

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self._world = world

    def fingerprint(self) -> str:
        return "key"

    async def send(self, mail: OutgoingMail, *, before_body: BeforeBody) -> Attempt:
        world, to = self._world, mail.recipient
        answer = world.script.pop(0) if world.script else "ok"
        attempt = ANSWERS[answer]
        attempt = Attempt(
            self.name, attempt.outcome, attempt.applied, attempt.phase, attempt.code, attempt.detail, attempt.permanent
        )
        await asyncio.sleep(0)
        if answer in WITHOUT_BODY:
            return attempt
        for forbidden in ["suppressed"] * (to in world.suppressed) + ["stopped"] * world.stopped:
            await before_body()
            world.complaints.append(f"{to} was {forbidden} and its body was let go")
        await before_body()
        world.bodies[to] += 1
        if world.bodies[to] > 1 + world.words[to]:
            world.complaints.append(f"a second body to {to}, and nobody asked for it")
        await asyncio.sleep(0)
        if answer in TAKEN:
            world.received[to] += 1
        await asyncio.sleep(0)
        if attempt.applied is Applied.NO:
            world.bodies[to] -= 1
        return attempt


def chain_to(world: World, clock: HandClock) -> ProviderChain[ScriptedServer]:
    servers = [ScriptedServer(name, world) for name in ("smtp-a", "smtp-b")]
    return ProviderChain("email_sending", servers, HealthRegistry(clock=clock), clock=clock)


def pipeline_on(db: Database, lock: Path, world: World, clock: HandClock) -> PublishingPipeline:
    return PublishingPipeline(db, SENDER, chain_to(world, clock), lock, accounts=lambda: None, clock=clock)


def begin(file: Path) -> int:
    """In ``file`` a campaign that has just begun, each change of state being noted; its id."""
    clock = HandClock()
    with contextlib.closing(open_database(file, clock=clock)) as db:
        for email in PEOPLE:
            CRMRepository(db).add(email)
        content = Contents(db, SENDER, clock=clock).create("email", "News", Draft("Hi", "Hello"))
        pipeline = pipeline_on(db, file.with_suffix(".lock"), World(), clock)
        campaign = pipeline.create_campaign("News", content.id, "")
        db.write(lambda each: [each.execute(statement) for statement in WATCH])
        pipeline.start(campaign.id, approve=True)
        return campaign.id


@pytest.fixture(scope="module", autouse=True)
def beginning() -> Iterator[None]:
    """Made once: it takes longer than what is told of it."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        Sender.beginning = Path(folder, "aicmo.db")
        Sender.campaign = begin(Sender.beginning)
        yield


class Sender(RuleBasedStateMachine):
    beginning: ClassVar[Path]
    """Where the campaign has just begun; every story goes on with a copy of it."""
    campaign: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.clock, self.world = HandClock(), World()
        shutil.copy(self.beginning, self.folder)
        self.db = open_database(self.folder / "aicmo.db", clock=self.clock)
        self.begun: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[object]]] = []
        self.lives = 0
        self.seen = 0

    def teardown(self) -> None:
        try:
            self.bring_to_an_end()
        finally:
            self.db.close()
            for loop, task in self.begun:  # nothing of the killed may reach the disk: their database is closed
                # More than once, if need be: one cancellation can be lost, see ``cut_off``.
                killed = {*asyncio.all_tasks(loop), task}
                loop.run_until_complete(cut_off(killed))
                for each in killed:
                    each.cancelled() or each.exception()  # whatever the closed database told it
                loop.run_until_complete(loop.shutdown_default_executor())
                loop.close()
            shutil.rmtree(self.folder)

    @property
    def pipeline(self) -> PublishingPipeline:
        return pipeline_on(self.db, self.folder / "sender.lock", self.world, self.clock)

    # --- the sender ---------------------------------------------------------------------------------------------------

    @rule(
        script=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=6),
        meanwhile=st.dictionaries(st.integers(*TURNS), st.sampled_from(MEANWHILE), max_size=4),
        whom=st.sampled_from(WHOM),
    )
    def send(self, script: list[str], meanwhile: dict[int, str], whom: list[str]) -> None:
        self.world.script = script
        loop, task = self.start_outbox()
        for turn in range(MOST_TURNS):
            if task.done():
                break
            self.turn(loop)
            if turn in meanwhile:
                self.person(what=meanwhile[turn], whom=whom)
        assert task.done(), "it hangs"
        task.result()

    @rule(
        script=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=6),
        turns=st.integers(*TURNS),
        loses_what_is_queued=st.booleans(),
    )
    def send_and_be_killed(self, script: list[str], turns: int, loses_what_is_queued: bool) -> None:
        self.world.script = script
        loop, _ = self.start_outbox()
        for _ in range(turns):
            self.turn(loop)
        if loses_what_is_queued:
            loop.call_soon(loop.stop)
            loop.run_forever()  # it asks for more, and dies before that is written
            while not self.db._jobs.empty():
                self.db._jobs.get()
        self.db.close()
        self.lives += 1
        self.db = open_database(self.folder / "aicmo.db", clock=self.clock)

    def start_outbox(self) -> tuple[asyncio.AbstractEventLoop, asyncio.Task[object]]:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(AtOnce())
        lock = self.folder / f"sender-{self.lives}.lock"  # the operating system frees the lock of who was killed
        outbox = Outbox(self.db, chain_to(self.world, self.clock), lock, clock=self.clock)
        self.begun.append((loop, loop.create_task(outbox.run(for_room_s=0))))
        return self.begun[-1]

    def turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """One turn of the loop, and all that it asked of the disk."""
        loop.call_soon(loop.stop)
        loop.run_forever()
        for _ in range(2):  # the first may be answered in the same commit as what the loop asked for
            self.db.write(lambda _: None)
        self.db._reader_pool().submit(lambda: None).result()

    # --- people and clocks --------------------------------------------------------------------------------------------

    @rule(what=st.sampled_from(PERSON), whom=st.sampled_from(WHOM))
    def person(self, what: str, whom: list[str]) -> None:
        for email in whom:
            with contextlib.suppress(IllegalTransition, NotFound):
                self.one_word(what, email)
        self.world.stopped = self.status() in (CampaignStatus.PAUSED, CampaignStatus.CANCELLED)

    def one_word(self, what: str, email: str) -> None:
        now = self.clock.now()
        match what:
            case "opt out":
                self.db.write(lambda db: suppressions.add(db, email, SuppressionReason.UNSUBSCRIBED, "test", now))
                self.world.suppressed.add(email)
            case "pause" | "resume" | "cancel" | "retry":
                getattr(self.pipeline, what)(self.campaign)
            case _:  # what became of an unknown one; of one that failed, more may be tried
                self.pipeline.resolve(self.campaign, State(what), email=email)
                self.world.words[email] += what != State.SENT

    @rule(seconds=st.sampled_from([-3600, -1, 1, 59, 301, 3600, 8 * 3600, 2 * 86400]))
    def clock_moves(self, seconds: int) -> None:
        """By itself, by a person, or over the sleep of a laptop."""
        self.clock.at += timedelta(seconds=seconds)
        self.clock.seconds += max(0, seconds)

    # --- what holds ---------------------------------------------------------------------------------------------------

    def status(self) -> CampaignStatus:
        return self.db.read(lambda db: campaigns.get(db, self.campaign)).status

    @invariant()
    def nothing_to_complain_of(self) -> None:
        assert self.world.complaints == []
        for who, times in self.world.received.items():
            assert times <= 1 + self.world.words[who], f"{who} received {times}"

    @invariant()
    def counts_add_up_and_nobody_is_there_twice(self) -> None:
        parts = self.db.read(lambda db: deliveries.counts(db, self.campaign)).as_dict()
        assert parts.pop("audience") == len(PEOPLE) == sum(parts.values())
        listed = self.db.read(lambda db: [each.email for each in deliveries.listed(db, self.campaign)])
        assert sorted(listed) == PEOPLE

    @invariant()
    def every_move_was_allowed(self) -> None:
        moved = self.db.read(lambda db: db.execute("SELECT before, after FROM moved").fetchall())
        for before, after in moved[self.seen :]:
            assert State(after) in MOVES[State(before)], (before, after)
            if before == State.SENDING:
                assert after in (State.SENT, State.DEFERRED, State.FAILED, State.UNKNOWN)
        self.seen = len(moved)

    def bring_to_an_end(self) -> None:
        """All goes well at last: then everybody's row says what the server knows."""
        self.person(what="resume", whom=PEOPLE[:1])
        for _ in range(30):
            self.send(script=[], meanwhile={}, whom=PEOPLE[:1])
            counts = self.db.read(lambda db: deliveries.counts(db, self.campaign))
            if not counts.open or self.world.stopped:
                break
            self.clock_moves(3600)
        self.nothing_to_complain_of()
        self.every_move_was_allowed()
        for each in self.db.read(lambda db: deliveries.listed(db, self.campaign)):
            received = self.world.received[each.email]
            if each.state is State.SENT and each.reason != "a person said so":
                assert received, f"{each.email} is sent and was not received"
            if each.state in (State.QUEUED, State.DEFERRED, State.SUPPRESSED, State.CANCELLED):
                assert received <= self.world.words[each.email], f"{each.email} is {each.state} and was received"
        if not self.world.stopped:
            assert not counts.open, counts


Sender.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=10,
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to look for a shorter story takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
TestSender = Sender.TestCase
