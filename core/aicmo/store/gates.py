"""What keeps a delivery back although its turn has come: hours, caps of a domain, how often somebody is written to.

A closed gate names the moment it opens, and that moment becomes the row's ``retry_at``: so a row is looked at about
once, however many wait with it. Behind a cap each waits for a slot of its own, the next one that the caps leave free.
All is counted from the ledger, in the transaction that claims a delivery or lets its body go, so it holds over restarts
and processes. Where no gate is set, none is looked at.
"""

from __future__ import annotations

import sqlite3
from bisect import insort
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.hours import Hours, zone_label, zone_of
from aicmo.store.campaign_options import CampaignOptions
from aicmo.store.deliveries import State

LIMIT_WINDOWS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
Limits = Mapping[str, int]
"""Window -> how many messages may leave in any span of that length."""
EVERY_OTHER = "*"
HOLD = timedelta(minutes=5)
"""How long a domain that asks for less, and names no time, is left alone at first; doubled up to ``LONGEST_HOLD``."""
LONGEST_HOLD = timedelta(hours=4)
FIRST_BACK = timedelta(seconds=10)
"""After a hold one goes alone, to see; the others follow so much later,"""
BACK_APART = timedelta(milliseconds=100)
"""so far apart."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """At most ``most`` messages to the same person in any ``days`` days, of all campaigns together."""

    most: int
    days: int


@dataclass(slots=True)
class Hold:
    """A receiving domain that asked for less: nothing goes there for a while."""

    until: datetime
    waiting: int = 0
    """How many were sent to wait for its end."""


@dataclass(slots=True)
class Gates:
    """What the configuration and the receiving side ask for."""

    zone: tzinfo = UTC
    """Ours: the business zone."""
    domains: Mapping[str, Limits] = field(default_factory=dict)
    """By receiving domain; ``*`` is each other one."""
    frequency: Frequency | None = None
    holds: dict[str, Hold] = field(default_factory=dict)
    """Domains that asked for less. Written by the sender alone, and so known to it without asking."""

    @property
    def open(self) -> bool:
        """Whether nobody is kept back by any of them."""
        return not self.domains and self.frequency is None and not self.holds

    def caps(self, domain: str) -> Limits:
        """How many messages may go to a receiving domain in each span of time; empty: as many as there are."""
        return self.domains.get(domain) or self.domains.get(EVERY_OTHER) or {}


class Held(NamedTuple):
    """Why a delivery stays where it is, and until when."""

    state: State
    cause: str
    reason: str
    until: datetime | None


class Gatekeeper:
    """The gates of one campaign at one moment, in one transaction."""

    def __init__(
        self, db: sqlite3.Connection, gates: Gates, options: CampaignOptions, *, is_sequence: bool, now: datetime
    ) -> None:
        self._db = db
        self._gates = gates
        self._hours: Hours | None = options.window
        self._whose = options.zone
        self._is_sequence = is_sequence
        self._now = now
        self._slots = Slots(db, gates, now)
        self._passed: Counter[int] = Counter()

    def held(self, row: sqlite3.Row, fields: Mapping[str, str]) -> Held | None:
        """Why the row may not be claimed now; ``None`` when it may, and then it counts for those after it."""
        domain = row["goes_to"]
        held = self._too_often(row) or self._outside_hours(fields, self._now) or self._on_hold(domain)
        if held is None and (slot := self._slots.take(domain, anew=row["state"] == State.QUEUED)) is not None:
            full = Held(State.DEFERRED, "limit", f"as many as may go to {domain} have gone", slot)
            held = self._outside_hours(fields, slot) or full  # a slot in the night is asked for anew in the morning
        if held is None:
            self._passed[row["contact_id"]] += 1
        return held

    def _outside_hours(self, fields: Mapping[str, str], at: datetime) -> Held | None:
        if self._hours is None:
            return None
        zone = zone_of(fields, self._gates.zone) if self._whose == "recipient" else self._gates.zone
        opens = self._hours.opening(zone, at)
        if opens is None:
            return None
        there = opens.astimezone(zone)
        reason = f"opens {there:%a %Y-%m-%d %H:%M} {zone_label(zone, opens)}"
        return Held(State.DEFERRED, "hours", reason, opens)

    def _on_hold(self, domain: str) -> Held | None:
        hold = self._gates.holds.get(domain)
        if hold is None:
            return None
        if hold.until <= self._now:
            del self._gates.holds[domain]
            return None
        until = hold.until + (FIRST_BACK + hold.waiting * BACK_APART if hold.waiting else timedelta())
        hold.waiting += 1
        return Held(State.DEFERRED, "throttled", f"{domain} asked for less, until {hold.until:%H:%M} UTC", until)

    def _too_often(self, row: sqlite3.Row) -> Held | None:
        cap = self._gates.frequency
        if cap is None:
            return None
        span = timedelta(days=cap.days)
        had = self._db.execute(
            """SELECT coalesce(CASE WHEN state <> 'claimed' THEN sending_at END, ?) AS had_at FROM delivery
               WHERE contact_id = ? AND id <> ? AND (
                   state = 'claimed' OR (state IN ('sending', 'sent', 'unknown', 'bounced') AND sending_at > ?))
               ORDER BY had_at DESC LIMIT ?""",
            (rfc3339(self._now), row["contact_id"], row["id"], rfc3339(self._now - span), cap.most),
        ).fetchall()
        times = [rfc3339(self._now)] * self._passed[row["contact_id"]] + [each["had_at"] for each in had]
        if len(times) < cap.most:
            return None
        days = "day" if cap.days == 1 else f"{cap.days} days"
        reason = f"had {cap.most} message{'s' if cap.most > 1 else ''} in {days}"
        if not self._is_sequence:
            return Held(State.SUPPRESSED, "frequency", reason, None)
        return Held(State.DEFERRED, "frequency", reason, parse_rfc3339(times[cap.most - 1]) + span)


class Slots:
    """When the caps let the next message go to a domain.

    Where there is room now, it goes now. Else who comes anew takes the slot after all that are taken, and whose slot
    has come takes the next room there is: the slots ahead were given to others who come after it.
    """

    def __init__(self, db: sqlite3.Connection, gates: Gates, now: datetime) -> None:
        self._db = db
        self._gates = gates
        self._now = now
        self._gone: dict[str, list[str]] = {}
        """When messages went there, or are about to; as many as any cap looks back on."""
        self._ahead: dict[str, list[str]] = {}
        """The slots that are taken."""

    def take(self, domain: str, *, anew: bool) -> datetime | None:
        """``None``: now. Else the slot that is now taken."""
        caps = self._gates.caps(domain)
        if not caps:
            return None
        if domain not in self._gone:
            self._load(domain, caps)
        gone, ahead = self._gone[domain], self._ahead[domain]
        room_at = self._room_at(gone, caps)
        if room_at <= self._now or not anew:
            insort(gone, rfc3339(room_at))
            return room_at if room_at > self._now else None
        slot = self._room_at([*gone, *ahead], caps)
        insort(ahead, rfc3339(slot))
        return slot

    def _room_at(self, before: Sequence[str], caps: Limits) -> datetime:
        """When one more may follow those at these moments, which are in order; now at the soonest."""
        at = self._now
        for window, most in caps.items():
            if len(before) >= most:
                at = max(at, parse_rfc3339(before[-most]) + LIMIT_WINDOWS[window])
        return at

    def _load(self, domain: str, caps: Limits) -> None:
        most, longest = max(caps.values()), max(LIMIT_WINDOWS[window] for window in caps)
        now = rfc3339(self._now)
        went = self._db.execute(
            "SELECT sending_at FROM delivery WHERE domain = ? AND sending_at > ? ORDER BY sending_at DESC LIMIT ?",
            (domain, rfc3339(self._now - longest), most),
        ).fetchall()
        about_to = self._db.execute(
            """SELECT count(*) FROM delivery
               WHERE campaign_id IN (SELECT id FROM campaign) AND state = 'claimed' AND domain = ?""",
            (domain,),
        ).fetchone()[0]
        slots = self._db.execute(
            """SELECT retry_at FROM delivery
               WHERE domain = ? AND state = 'deferred' AND cause = 'limit' AND retry_at > ?
               ORDER BY retry_at DESC LIMIT ?""",
            (domain, now, most),
        ).fetchall()
        self._gone[domain] = [*(row[0] for row in reversed(went)), *[now] * about_to]
        self._ahead[domain] = [row[0] for row in reversed(slots)]


# --- domains that asked for less --------------------------------------------------------------------------------------


def holds(db: sqlite3.Connection, now: datetime) -> dict[str, Hold]:
    """The domains that are still on hold; one that behaved for as long as it waited is forgotten."""
    db.execute("DELETE FROM domain_hold WHERE unixepoch(until) + wait_s < unixepoch(?)", (rfc3339(now),))
    rows = db.execute("SELECT domain, until FROM domain_hold WHERE until > ?", (rfc3339(now),))
    return {row["domain"]: Hold(parse_rfc3339(row["until"])) for row in rows}


def hold(db: sqlite3.Connection, gates: Gates, domain: str, asked: datetime | None, now: datetime) -> datetime:
    """A receiving domain asked for less, until ``asked`` if it named a time; until when nothing goes there.

    Asked again soon after, it waits twice as long.
    """
    before = db.execute("SELECT until, wait_s FROM domain_hold WHERE domain = ?", (domain,)).fetchone()
    wait = HOLD
    if before:
        until, waited = parse_rfc3339(before["until"]), timedelta(seconds=before["wait_s"])
        if now < until:  # said while messages were on their way: the same request
            return until
        if now < until + waited:
            wait = min(2 * waited, LONGEST_HOLD)
    until = max(asked or now, now + wait)
    db.execute(
        """INSERT INTO domain_hold VALUES (?, ?, ?)
           ON CONFLICT (domain) DO UPDATE SET until = excluded.until, wait_s = excluded.wait_s""",
        (domain, rfc3339(until), int(wait.total_seconds())),
    )
    gates.holds[domain] = Hold(until)
    return until
