"""Watches how a campaign fares, and says when to pause it before it harms the sender's name.

Four things count: how many of the last messages came back, how many people called it spam, how many in a row were
refused for what we say or who we are, and how many in a row could not even be built. What happened before a person last
let the campaign go on is settled, and pauses it no more. Nothing is asked of the database while all goes well.
"""

from __future__ import annotations

import sqlite3
from collections import deque

from aicmo.clock import Clock
from aicmo.gateways import Attempt
from aicmo.publishing.sending.rules import PauseRules
from aicmo.publishing.sending.verdicts import is_sender_fault
from aicmo.store import Database, campaigns, outcomes
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.claiming import Verdict
from aicmo.store.deliveries import State
from aicmo.store.outcomes import LOST, REFUSED, WELL

LOOKED_BACK = 100
"""Messages whose outcome counts for the rate of bounces."""
FEWEST_BOUNCES = 5
FEWEST_COMPLAINTS = 2
"""Fewer prove nothing, however high the rate."""
UNBUILT_IN_A_ROW = 5
"""Messages that could not be built: it is no single person's fault any more."""


class Watch:
    """For the campaigns of one run of the sender."""

    def __init__(self, db: Database, rules: PauseRules, clock: Clock) -> None:
        self._db = db
        self._rules = rules
        self._clock = clock
        self._began_at = clock.now()
        self._seen: dict[int, deque[str]] = {}
        """Campaign -> its last outcomes in this run, and before it once one of them was bad."""
        self._asked_about: set[int] = set()
        """Campaigns whose outcomes before this run are known too."""
        self._bounced: dict[int, int] = {}
        """Campaign -> how many had come back when it was last looked at."""
        self._unbuilt: dict[int, int] = {}
        """Campaign -> how many of its messages in a row could not be built; none of them is not kept."""

    def built(self, campaign_id: int) -> None:
        """A message of the campaign could be built."""
        if self._unbuilt:
            self._unbuilt.pop(campaign_id, None)

    def unbuilt(self, campaign_id: int, problem: str) -> str:
        """Why to pause the campaign now that a message of it could not be built; empty for no reason."""
        in_a_row = self._unbuilt[campaign_id] = self._unbuilt.get(campaign_id, 0) + 1
        if in_a_row < UNBUILT_IN_A_ROW:
            return ""
        del self._unbuilt[campaign_id]
        return f"{in_a_row} messages in a row could not be built: {problem}"

    async def after(self, campaign_id: int, final: Attempt, verdict: Verdict) -> str:
        """Why to pause the campaign now that this is what became of a message of it; empty for no reason."""
        kind = _kind(final, verdict)
        if not kind:
            return ""
        seen = self._seen.setdefault(campaign_id, deque(maxlen=LOOKED_BACK))
        seen.append(kind)
        if kind == WELL:
            return ""
        if campaign_id not in self._asked_about:
            self._asked_about.add(campaign_id)
            before = await self._db.aread(lambda db: outcomes.before(db, campaign_id, self._began_at, LOOKED_BACK))
            seen.extendleft(before[: LOOKED_BACK - len(seen)])
        why = self._judged(seen, f"{final.code} {final.detail}".strip())
        if why:
            seen.clear()  # a person looks at it now
        return why

    def _judged(self, seen: deque[str], last_words: str) -> str:
        refusals = 0
        for kind in reversed(seen):
            if kind != REFUSED:
                break
            refusals += 1
        if refusals >= self._rules.refusals:
            times = f"{refusals} refusals" if refusals > 1 else "a refusal"
            return f"{times} of the content in a row: {last_words}"
        return self._too_many(seen.count(LOST), len(seen), last_words)

    def _too_many(self, lost: int, of: int, last_words: str = "") -> str:
        if lost < FEWEST_BOUNCES or lost * 100 <= self._rules.bounce_percent * of:
            return ""
        last = f"; the last: {last_words}" if last_words else ""
        return f"{lost} of the last {of} came back, more than {self._rules.bounce_percent:g} %{last}"

    async def look(self) -> None:
        """Pause the running campaigns of which too much came back after it was sent: bounces, complaints."""
        for campaign_id, why in await self._db.aread(self._found_later):
            await self._db.awrite(lambda db, each=campaign_id, why=why: _pause(db, each, why))  # type: ignore[misc]

    def _found_later(self, db: sqlite3.Connection) -> list[tuple[int, str]]:
        found = []
        for campaign_id in campaigns.running_ids(db):
            why = self._complained(db, campaign_id) or self._came_back(db, campaign_id)
            if why:
                found.append((campaign_id, why))
        return found

    def _complained(self, db: sqlite3.Connection, campaign_id: int) -> str:
        complaints = outcomes.complaints(db, campaign_id)
        if complaints < FEWEST_COMPLAINTS:
            return ""
        sent = outcomes.sent(db, campaign_id)
        if complaints * 100 <= self._rules.complaint_percent * sent:
            return ""
        return f"{complaints} of {sent:,} sent were reported as spam, more than {self._rules.complaint_percent:g} %"

    def _came_back(self, db: sqlite3.Connection, campaign_id: int) -> str:
        bounced = outcomes.bounced(db, campaign_id)
        if bounced < FEWEST_BOUNCES or bounced == self._bounced.get(campaign_id):
            return ""
        self._bounced[campaign_id] = bounced
        return self._too_many(*outcomes.lost_of_the_last(db, campaign_id, LOOKED_BACK))


def _kind(final: Attempt, verdict: Verdict) -> str:
    """How the message counts; empty: not at all, or not yet."""
    if is_sender_fault(final):
        return REFUSED
    if verdict.state is State.FAILED and verdict.cause in outcomes.LOST_CAUSES:
        return LOST
    return WELL if verdict.state in (State.SENT, State.UNKNOWN) else ""


def _pause(db: sqlite3.Connection, campaign_id: int, why: str) -> None:
    if campaigns.get(db, campaign_id).status is CampaignStatus.RUNNING:
        campaigns.move(db, campaign_id, CampaignStatus.PAUSED, pause_reason=why)
