"""What a person does with a campaign that was let go: pause it, go on, cancel it, try the failed ones again, and say
what became of the unknown ones.

None of it takes anything out of the ledger: whoever got the message stays listed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.address import normalise
from aicmo.errors import ApprovalNeeded, IllegalTransition, NotFound, VerbHint
from aicmo.publishing.overview import Overview, refuse_no_cause
from aicmo.publishing.schedule import begin
from aicmo.store import Database, campaigns, deliveries, sequences, whereabouts
from aicmo.store.campaigns import Campaign, CampaignStatus
from aicmo.store.deliveries import State
from aicmo.store.whereabouts import Stopped

if TYPE_CHECKING:
    from aicmo.gateways import ProviderChain
    from aicmo.publishing.inbox.optouts import OptOuts
    from aicmo.publishing.sending.evidence import EvidenceReport, EvidenceSearch, MailReader


class Steering(Overview):
    """What only looks for mail, in mailboxes, is a coroutine; the rest blocks."""

    def __init__(
        self, db: Database, *, accounts: Callable[[], ProviderChain[MailReader]], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``accounts`` gives the chain that reads mail; it is asked for when something has to be looked for there."""
        super().__init__(db, clock=clock)
        self._accounts = accounts

    def pause(self, campaign_id: int) -> Campaign:
        """Takes effect within one message. Raises ``IllegalTransition``."""
        return self._moved(campaign_id, CampaignStatus.PAUSED)

    def stopped_as_copy(self, campaign_id: int) -> Stopped | None:
        """What showed that the database was copied or restored, if a person has not said yet that this goes on."""
        found = self._db.read(whereabouts.stopped)
        return found if found and campaign_id in found.campaigns else None

    async def look_for_waiting(self, campaign_id: int) -> EvidenceReport:
        """Look in the mailboxes for what waits here and may have gone from another copy of this database."""
        return await self.evidence().look_for_waiting(campaign_id)

    def resume(self, campaign_id: int, *, sure: bool = False) -> Campaign:
        """Go on; one that was paused before it began begins now.

        Raises ``IllegalTransition``, and ``ApprovalNeeded`` when the database was copied or restored, unless ``sure``.
        """
        now = self._clock.now()

        def go_on(db: sqlite3.Connection) -> Campaign:
            campaign = campaigns.get(db, campaign_id)
            if campaign.status is not CampaignStatus.PAUSED:
                raise IllegalTransition(f"Campaign {campaign_id} is {campaign.status.told}, not paused.")
            if not sure:
                refuse_copy(db, campaign_id)
            whereabouts.dealt_with(db, campaign_id)
            if campaigns.has_begun(db, campaign_id):
                campaigns.move(db, campaign_id, CampaignStatus.RUNNING)
            else:
                campaigns.set_schedule(db, campaign_id, now)  # what the calendar says it went at
                begin(db, campaign_id, now)
            campaigns.resumed(db, campaign_id, now)
            return campaigns.get(db, campaign_id)

        return self._db.write(go_on)

    def cancel(self, campaign_id: int) -> Campaign:
        """Nobody else gets it; what is on its way settles by itself. Raises ``IllegalTransition``."""
        now = self._clock.now()

        def stop(db: sqlite3.Connection) -> Campaign:
            campaigns.move(db, campaign_id, CampaignStatus.CANCELLED)
            whereabouts.dealt_with(db, campaign_id)
            deliveries.cancel_open(db, campaign_id, now)
            sequences.cancel(db, campaign_id, now)
            return campaigns.get(db, campaign_id)

        return self._db.write(stop)

    def retry(self, campaign_id: int, *, cause: str = "") -> int:
        """Queue the failed deliveries again, and only those; with a ``cause`` (one of ``CAUSES``), those that failed
        for it. How many. Raises ``IllegalTransition`` when it was cancelled."""
        now = self._clock.now()
        refuse_no_cause(cause)

        def again(db: sqlite3.Connection) -> int:
            campaigns.refuse_cancelled(campaigns.get(db, campaign_id), "nothing of it is sent again")
            sequences.take_back_failed(db, campaign_id, now)
            return deliveries.retry_failed(db, campaign_id, now, cause=cause)

        return self._db.write(again)

    def resolve(self, campaign_id: int, to: State, *, email: str = "") -> int:
        """A person's word on unknown deliveries (all, or one person's); how many. See ``deliveries.resolve``.

        Raises ``IllegalTransition`` also for a resend in a cancelled campaign, which nobody would carry out.
        """
        address, now = normalise(email).address if email else "", self._clock.now()

        def settle(db: sqlite3.Connection) -> int:
            campaign = campaigns.get(db, campaign_id)
            if to is State.QUEUED and campaign.status is CampaignStatus.CANCELLED:
                raise IllegalTransition(
                    f"Campaign {campaign_id} is cancelled; nothing of it is sent again.", hint="Say sent or failed."
                )
            return deliveries.resolve(db, campaign_id, address, to, now)

        return self._db.write(settle)

    async def resolve_by_evidence(self, campaign_id: int, *, email: str = "") -> EvidenceReport:
        """Look for traces of the campaign's unknown deliveries (all, or one person's) now; see ``EvidenceSearch``.

        Raises ``NotFound`` when ``email`` has no unknown delivery in it.
        """
        address = normalise(email).address if email else ""
        await self._db.aread(lambda db: campaigns.get(db, campaign_id))
        report = await self.evidence().look_for(campaign_id, address=address)
        if email and not report.settled and not report.left:
            raise NotFound(f"Campaign {campaign_id} has no unknown delivery to that address.")
        return report

    def _moved(self, campaign_id: int, to: CampaignStatus) -> Campaign:
        def move(db: sqlite3.Connection) -> Campaign:
            campaigns.move(db, campaign_id, to)
            return campaigns.get(db, campaign_id)

        return self._db.write(move)

    def evidence(self) -> EvidenceSearch:
        """Looks for traces of unknown deliveries, of all campaigns, when it is time to."""
        from aicmo.publishing.sending.evidence import EvidenceSearch

        return EvidenceSearch(self._db, self._accounts, clock=self._clock)

    def opt_outs(self) -> OptOuts:
        """Reads the mailboxes for people who want no more mail."""
        from aicmo.publishing.inbox.optouts import OptOuts

        return OptOuts(self._db, self._accounts, clock=self._clock)


def refuse_copy(db: sqlite3.Connection, campaign_id: int) -> None:
    """Raises ``ApprovalNeeded`` for a campaign that another copy of the database may have sent."""
    found = whereabouts.stopped(db)
    if found and campaign_id in found.campaigns:
        raise ApprovalNeeded(
            f"Another copy of this database may have sent campaign {campaign_id} ({found.why}).",
            hint=VerbHint("When you are sure that it has not", f"campaign resume {campaign_id}"),
        )
