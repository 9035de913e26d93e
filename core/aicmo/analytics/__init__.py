"""Phase 3: what worked. Every number comes with its numerator, denominator and interval; undefined is not zero."""

from aicmo.analytics.engine import AnalyticsEngine, CampaignAnalytics
from aicmo.analytics.rates import Rate

__all__ = ["AnalyticsEngine", "CampaignAnalytics", "Rate"]
