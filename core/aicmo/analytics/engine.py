"""What the ledger knows of each campaign, as counts and honest rates."""

from __future__ import annotations

from dataclasses import dataclass

from aicmo.analytics.rates import Rate
from aicmo.store import Database, campaigns, deliveries
from aicmo.store.campaigns import Campaign
from aicmo.store.deliveries import Counts


@dataclass(frozen=True, slots=True)
class CampaignAnalytics:
    campaign: Campaign
    counts: Counts

    @property
    def accepted(self) -> Rate:
        """Of those who were tried and whose outcome is known: the share whose server took the message and kept it."""
        counts = self.counts
        return Rate(counts.sent, counts.sent + counts.failed + counts.bounced)

    @property
    def reached(self) -> Rate:
        """Of the whole audience: the share whose server took the message."""
        return Rate(self.counts.sent, self.counts.audience)


class AnalyticsEngine:
    def __init__(self, db: Database) -> None:
        self._db = db

    def campaigns(self) -> list[CampaignAnalytics]:
        """Every campaign that has begun, the newest first."""
        return self._db.read(
            lambda db: [
                CampaignAnalytics(campaign, deliveries.counts(db, campaign.id))
                for campaign in campaigns.listed(db)
                if campaign.started_at
            ]
        )
