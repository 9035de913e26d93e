"""A/B: which variant somebody gets, and which one the rest of the audience gets.

Who gets what is drawn from the campaign and the address alone. A winner is named only when people (machines left out)
clicked or answered so much more that chance does not explain it; otherwise the first one goes to the rest and the
figures say that nobody won, or a person is asked. Nothing is decided twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aicmo.clock import SYSTEM_CLOCK, Clock, parse_rfc3339
from aicmo.errors import IllegalTransition, InvalidInput, NotFound, VerbHint
from aicmo.proportions import holm, z_test, z_test_holds
from aicmo.publishing.spans import told_span
from aicmo.publishing.writing.content_types import CONTENT_TYPES
from aicmo.publishing.writing.contents import checked_line
from aicmo.store import Database, campaigns, contents, messages
from aicmo.store import variants as store
from aicmo.store.contents import Draft
from aicmo.store.deliveries import EVERYBODY, Band, State
from aicmo.store.messages import Message
from aicmo.store.variants import Figures, Trial
from aicmo.text import shown

LETTERS = "ABCDE"
GOALS = ("clicks", "replies")
UNCLEAR = ("first", "ask")
RELEASED_AT_ONCE = 20_000
"""Messages that are queued in one transaction; some tenths of a second, so that the sender's writes go on between."""
SURE = 0.05
"""The p-value, corrected for the number of comparisons, below which a difference is called real."""


# --- who gets which --------------------------------------------------------------------------------------------------


def bands(variants: Sequence[Message], test: Trial | None, started_at: datetime) -> list[Band]:
    """What a lot comes to. Without a test every variant goes to an even part of all; once one is decided, newcomers get
    the winner."""
    held_out = test.holdout_percent / 100 if test else 0.0
    tried = min(test.sample_percent / 100 if test else 1.0, 1 - held_out)
    drawn = [Band(held_out, "", State.SUPPRESSED, "holdout")] if held_out else []
    if test and test.decided_at:
        return [*drawn, Band(1.0, test.winner, State.QUEUED)]
    for number, each in enumerate(variants, start=1):
        below = held_out + tried * number / len(variants)
        if each.wait_minutes:
            goes_at = started_at + timedelta(minutes=each.wait_minutes)
            drawn.append(Band(below, each.variant, State.DEFERRED, "variant", goes_at))
        else:
            drawn.append(Band(below, each.variant, State.QUEUED))
    rest = Band(1.0, "", State.DEFERRED, "winner")
    if held_out + tried < 1:
        return [*drawn, rest]
    last = drawn[-1]
    return [*drawn[:-1], Band(1.0, last.variant, last.state, last.cause, last.retry_at)]


def drawn_among(db: sqlite3.Connection, campaign_id: int, now: datetime) -> Sequence[Band]:
    """What those who are frozen now draw among: their variant, where there are several, or being held out."""
    variants, test = messages.variants(db, campaign_id), store.trial(db, campaign_id)
    return bands(variants, test, now) if len(variants) > 1 or test is not None else EVERYBODY


# --- which one the rest gets -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the figures of a test say."""

    winner: str
    """Empty: nobody has clearly won."""
    because: str
    """The figures, and what they come to, in a sentence."""


def judge(tried: Sequence[Figures], goal: str, least: int) -> Judgement:
    """Whether one of at least two variants is better than every other, by people over messages that arrived.

    Compared by the pooled two-proportion z-test at 5 %, corrected by Holm's method for more than two variants.
    """
    told = ", ".join(_told(each, goal) for each in tried)
    few = min(tried, key=lambda each: each.sent)
    if few.sent < least:
        return Judgement("", f"{told}; too few to tell: {least - few.sent:,} more of {few.variant} were asked for")
    counts, totals = [each.of(goal) for each in tried], [each.sent for each in tried]
    if not all(totals) or not z_test_holds(counts, totals):
        return Judgement("", f"{told}; too few {goal} to tell")
    best = max(tried, key=lambda each: each.of(goal) / each.sent)
    others = [each for each in tried if each is not best]
    p = max(holm([z_test(each.of(goal), each.sent, best.of(goal), best.sent)[1] for each in others]))
    if p >= SURE:
        return Judgement("", f"{told}; no clear winner ({_chance(p)})")
    return Judgement(best.variant, f"{told}; {best.variant} is better ({_chance(p)})")


def _chance(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.001 else "p < 0.001"


def _told(each: Figures, goal: str) -> str:
    share = f" ({each.of(goal) / each.sent:.1%})" if each.sent else ""
    return f"{each.variant} {each.of(goal):,} {goal} of {each.sent:,}{share}"


def decide_due(db: sqlite3.Connection, now: datetime) -> None:
    """Decide the tests of running campaigns whose time has come, or ask; and let some of the rest go."""
    for test in store.undecided(db):
        at = store.decision_at(db, test)
        if at is None or at > now:
            continue
        variants = messages.variants(db, test.campaign_id)
        within = timedelta(minutes=test.wait_minutes)
        known = {each.variant: each for each in store.figures(db, test.campaign_id, within)}
        tried = [known.get(each.variant, Figures(each.variant, 0, 0)) for each in variants]
        if len(tried) < 2:  # only a holdout
            continue
        judgement = judge(tried, test.goal, test.least)
        if not judgement.winner and test.unclear == "ask":
            store.note(db, test.campaign_id, judgement.because)
            continue
        first = "" if judgement.winner else f"; {tried[0].variant}, the first, goes to the rest"
        store.decide(db, test.campaign_id, judgement.winner or tried[0].variant, judgement.because + first, now)
    for test in store.unreleased(db):
        winner = messages.get(db, test.campaign_id, messages.FIRST_STEP, test.winner)
        store.release(db, test, now, timedelta(minutes=winner.wait_minutes), most=RELEASED_AT_ONCE)


def next_decision_at(db: sqlite3.Connection, now: datetime) -> datetime | None:
    """When the next test of a running campaign is decided, as far as is known, or more of a rest is let go; ``None``
    for never."""
    if store.unreleased(db):
        return now
    times = (store.decision_at(db, test) for test in store.undecided(db) if _is_a_contest(db, test))
    return min((at for at in times if at is not None), default=None)


def _is_a_contest(db: sqlite3.Connection, test: Trial) -> bool:
    return len(messages.variants(db, test.campaign_id)) > 1


# --- the verbs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """How the variants of a campaign stand."""

    messages: tuple[Message, ...]
    """A first. One alone where there is nothing to compare but a holdout."""
    subjects: tuple[str, ...]
    """Of each of them."""
    figures: tuple[Figures, ...]
    """Of each of them, since its message went; where there is a test, of its sample alone."""
    holdout: Figures | None
    test: Trial | None
    decision_at: datetime | None
    """When the test is decided; ``None`` also while some of its messages are to go."""
    waiting: int
    """How many wait for the better variant."""
    rest: Figures | None = None
    """Of those to whom the winner went after it had won; ``None`` before that, and where nobody was left."""


class Variants:
    """The verbs over variants and tests. All block: the caller chooses the thread."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def add(
        self, campaign_id: int, *, content_id: int | None = None, subject: str = "", wait_minutes: int = 0
    ) -> Message:
        """Another first message: other content, another subject, a later hour, or several of these.

        Raises ``NotFound``, ``IllegalTransition`` once the campaign is fixed, and ``InvalidInput`` when it would be
        no different, when there are enough, for content that is no e-mail, or a subject that cannot be filled in.
        """
        from aicmo.publishing.email.templates import MessageTemplate  # loads the template language

        subject = checked_line(subject, "subject")
        MessageTemplate(Draft(subject, ""))
        if content_id is None and not subject and not wait_minutes:
            raise InvalidInput(
                "The variant is no different.", hint="Give it another message, another subject or a later hour."
            )

        def work(db: sqlite3.Connection) -> Message:
            refuse_fixed(db, campaign_id)
            there = messages.variants(db, campaign_id)
            if len(there) == len(LETTERS):
                raise InvalidInput(f"There are {len(LETTERS)} variants already.", hint="Remove one first.")
            letter = next(each for each in LETTERS[1:] if each not in [other.variant for other in there])
            said = there[0].content_id if content_id is None else content_id
            refuse_unsendable(db, said)
            message = Message(campaign_id, messages.FIRST_STEP, letter, said, subject=subject,
                              wait_minutes=wait_minutes)  # fmt: skip
            messages.put(db, message)
            return message

        return self._db.write(work)

    def remove(self, campaign_id: int, letter: str) -> None:
        """Raises ``NotFound``, ``IllegalTransition`` once the campaign is fixed, ``InvalidInput`` for A."""

        def work(db: sqlite3.Connection) -> None:
            refuse_fixed(db, campaign_id)
            if letter == LETTERS[0]:
                raise InvalidInput("A is the campaign's own message.", hint="Remove the others, or change the content.")
            messages.delete(db, messages.get(db, campaign_id, messages.FIRST_STEP, letter))

        self._db.write(work)

    def set_test(self, test: Trial) -> None:
        """Try the variants on a sample first, hold some people out, or both. Raises ``InvalidInput`` for what makes no
        sense, ``IllegalTransition`` once the campaign is fixed, ``NotFound``."""
        _check(test)

        def work(db: sqlite3.Connection) -> None:
            refuse_fixed(db, test.campaign_id)
            if campaigns.get(db, test.campaign_id).joins_at is not None:
                raise InvalidInput(
                    "A campaign that newcomers join is never through with its test.",
                    hint="Variants without a test go to even parts of all: that works here.",
                )
            store.put_trial(db, test)

        self._db.write(work)

    def drop_test(self, campaign_id: int) -> None:
        """All variants to even parts of all. Raises ``NotFound``, ``IllegalTransition`` once the campaign is fixed."""

        def work(db: sqlite3.Connection) -> None:
            refuse_fixed(db, campaign_id)
            if not store.delete_trial(db, campaign_id):
                raise NotFound(f"Campaign {campaign_id} has no test.")

        self._db.write(work)

    def choose(self, campaign_id: int, letter: str) -> int:
        """A person's word on which variant the rest gets, also before its time; how many they are.

        Raises ``NotFound``, and ``IllegalTransition`` before the start, when it is decided, or when all is over.
        """
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> int:
            campaign = campaigns.get(db, campaign_id)
            test = store.trial(db, campaign_id)
            if test is None:
                raise NotFound(
                    f"Campaign {campaign_id} has no test.", hint=VerbHint("See", f"campaign show {campaign_id}")
                )
            chosen = messages.get(db, campaign_id, messages.FIRST_STEP, letter)
            campaigns.refuse_ended(campaign, "nobody waits for the better variant")
            if not campaigns.has_begun(db, campaign.id):
                raise IllegalTransition(
                    f"Campaign {campaign_id} has not begun.", hint="There is nothing to choose yet."
                )
            if test.decided_at:
                raise IllegalTransition(f"It is decided: {test.winner} won, {test.because}.")
            said = ", ".join(_told(each, test.goal) for each in store.figures(db, campaign_id) if each.variant)
            store.decide(db, campaign_id, chosen.variant, f"a person chose {chosen.variant}; {said}", now)
            return store.waiting(db, campaign_id)

        return self._db.write(work)

    def compares(self, campaign_id: int) -> bool:
        """Whether the campaign has variants, or a test. Raises ``NotFound``."""
        return self._db.read(
            lambda db: len(messages.variants(db, campaign_id)) > 1 or store.trial(db, campaign_id) is not None
        )

    def unclear(self) -> list[int]:
        """The running campaigns whose test has no clear winner, and waits for a person's word."""
        return self._db.read(store.unclear)

    def doubt(self, campaign_id: int, people: int) -> str:
        """Why nobody can win with an audience of so many; empty where somebody can, or there is no test."""
        standing = self.standing(campaign_id)
        if (test := standing.test) is None:
            return ""
        each = people * test.sample_percent // (100 * len(standing.messages))
        if each >= test.least:
            return ""
        return f"Each variant goes to about {each:,}, and a winner needs {test.least:,}: nobody can win."

    def standing(self, campaign_id: int) -> Standing:
        """Raises ``NotFound``."""

        def read(db: sqlite3.Connection) -> Standing:
            variants, test = messages.variants(db, campaign_id), store.trial(db, campaign_id)
            found = store.figures(db, campaign_id, decided=test if test and test.decided_at else None)
            known = {each.variant: each for each in found if not each.is_rest}
            return Standing(
                tuple(variants),
                tuple(messages.draft(db, each).subject for each in variants),
                tuple(known.get(each.variant, Figures(each.variant, 0, 0)) for each in variants),
                known.get("") or (Figures("", 0, 0) if test and test.holdout_percent else None),
                test,
                _decision_at(db, test),
                store.waiting(db, campaign_id),
                next((each for each in found if each.is_rest), None),
            )

        return self._db.read(read)


def _decision_at(db: sqlite3.Connection, test: Trial | None) -> datetime | None:
    if test is None or not campaigns.has_begun(db, test.campaign_id):
        return None
    return parse_rfc3339(test.decided_at) if test.decided_at else store.decision_at(db, test)


def _check(test: Trial) -> None:
    if test.goal not in GOALS:
        raise InvalidInput(f"{shown(test.goal)} is no goal.", hint=f"Choose one of: {', '.join(GOALS)}.")
    if test.unclear not in UNCLEAR:
        raise InvalidInput(f"{shown(test.unclear)} decides nothing.", hint=f"Choose one of: {', '.join(UNCLEAR)}.")
    if not 1 <= test.sample_percent <= 100:
        raise InvalidInput("The sample is between 1 and 100 percent of the audience.")
    if not 0 <= test.holdout_percent <= 50:
        raise InvalidInput("At most half of the audience can be held out.")
    if test.sample_percent < 100 < test.sample_percent + test.holdout_percent:
        raise InvalidInput(
            f"A sample of {test.sample_percent} % and {test.holdout_percent} % held out are more than everybody.",
            hint="Take a smaller sample, or hold out fewer; a sample of 100 is everybody who is not held out.",
        )
    if test.wait_minutes < 1 or test.least < 1:
        raise InvalidInput(
            f"A test that waits {told_span(test.wait_minutes)} and asks for {test.least} of each tells nothing.",
            hint="Wait 24h or longer, and for at least 100 of each.",
        )


def refuse_fixed(db: sqlite3.Connection, campaign_id: int) -> None:
    """What a campaign sends first is fixed when it is started or scheduled. Raises ``IllegalTransition``,
    ``NotFound``."""
    campaign = campaigns.get(db, campaign_id)
    campaigns.refuse_cancelled(campaign)
    if campaign.version_id is not None:
        raise IllegalTransition(
            f"Campaign {campaign_id} is {campaign.status}; what it sends is fixed.",
            hint="Make another campaign, or exclude with its query those whom this one reached.",
        )


def refuse_unsendable(db: sqlite3.Connection, content_id: int) -> None:
    """Raises ``NotFound``, or ``InvalidInput`` for content that is no e-mail."""
    content = contents.get(db, content_id)
    if CONTENT_TYPES[content.type].original != "email":
        raise InvalidInput(
            f"Content {content_id} is of type {content.type}, which is no e-mail.",
            hint=VerbHint("Create it with", "content create --type email"),
        )
