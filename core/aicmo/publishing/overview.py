"""What is known of campaigns: how far each has come, who got it, and what would be done next. It only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import InvalidInput
from aicmo.store import Database, campaigns, claiming, deliveries, unknown, whereabouts
from aicmo.store.campaigns import Campaign
from aicmo.store.deliveries import CAUSES, Counts, Delivery, State
from aicmo.text import shown

if TYPE_CHECKING:
    import sqlite3

    from aicmo.publishing.sending.evidence import Doubt


class Overview:
    """What is known of campaigns. All block: the caller chooses the thread."""

    def __init__(self, db: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db = db
        self._clock = clock

    def campaigns(self) -> list[Campaign]:
        """The newest first."""
        return self._db.read(campaigns.listed)

    def campaign(self, campaign_id: int) -> Campaign:
        """Raises ``NotFound``."""
        return self._db.read(lambda db: campaigns.get(db, campaign_id))

    def counts(self, campaign_id: int) -> Counts:
        """Zeros before the start, when nobody is frozen yet. Raises ``NotFound``."""
        self.campaign(campaign_id)
        return self._db.read(lambda db: deliveries.counts(db, campaign_id))

    def counted(self) -> list[tuple[Campaign, Counts]]:
        """Every campaign, the newest first, and its counts, all of one moment."""

        def look(db: sqlite3.Connection) -> list[tuple[Campaign, Counts]]:
            found = deliveries.counts_of_all(db)
            return [(campaign, found.get(campaign.id, Counts())) for campaign in campaigns.listed(db)]

        return self._db.read(look)

    def reached(self, campaign_id: int) -> int:
        """How many people got something of it: of a sequence, each counts once, whatever steps they got."""
        return self._db.read(lambda db: deliveries.reached(db, campaign_id))

    def deliveries(
        self,
        campaign_id: int,
        *,
        state: State | None = None,
        cause: str = "",
        address: str = "",
        offset: int = 0,
        limit: int = -1,
    ) -> list[Delivery]:
        """The ledger of a campaign, in the audience's order; ``address`` may be a part of one. Raises ``NotFound``, and
        ``InvalidInput`` for a cause that is none of ``CAUSES``."""
        self.campaign(campaign_id)
        refuse_no_cause(cause)
        return self._db.read(
            lambda db: deliveries.listed(
                db, campaign_id, state=state, cause=cause, address=address, offset=offset, limit=limit
            )
        )

    def deliveries_count(
        self, campaign_id: int, *, state: State | None = None, cause: str = "", address: str = ""
    ) -> int:
        """How many ``deliveries`` would give."""
        return self._db.read(lambda db: deliveries.counted(db, campaign_id, state=state, cause=cause, address=address))

    def causes(self, campaign_id: int, state: State | None = None) -> dict[str, int]:
        """Why deliveries are where they are: how many have which of ``CAUSES``, the most frequent first."""
        return self._db.read(lambda db: deliveries.causes(db, campaign_id, state))

    def unknown_total(self) -> int:
        """Over all campaigns: the deliveries that await a person's decision."""
        return self._db.read(unknown.oldest_unknown)[0]

    def doubt(self, campaign_id: int) -> Doubt | None:
        """How it stands with the campaign's unknown deliveries; ``None`` when it has none."""
        from aicmo.publishing.sending.evidence import doubt_about

        now = self._clock.now()
        return self._db.read(lambda db: doubt_about(db, campaign_id, now))

    def due_now(self) -> tuple[int, int]:
        """How many deliveries a sender would take now, and how many scheduled campaigns it would begin."""
        now = self._clock.now()
        return self._db.read(lambda db: (claiming.due_now(db, now), len(campaigns.due_ids(db, now))))

    def looks_copied(self) -> str:
        """That a sender would pause campaigns now, because this database was copied or restored; else nothing."""
        why = self._db.read(lambda db: whereabouts.finding(db, self._db.path))
        return f"This database was copied or restored ({why}): a sender would pause what runs here." if why else ""

    def looks_due(self) -> int:
        """How many unknown deliveries would be looked for now."""
        from aicmo.publishing.sending.evidence import due_looks

        now = self._clock.now()
        return self._db.read(lambda db: len(due_looks(unknown.in_doubt(db), unknown.seen_to(db), now)))


def refuse_no_cause(cause: str) -> None:
    """Raises ``InvalidInput`` for a word that is none of ``CAUSES``."""
    if cause and cause not in CAUSES:
        raise InvalidInput(f"{shown(cause)} is no cause.", hint=f"There are: {', '.join(CAUSES)}.")
