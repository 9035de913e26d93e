"""Asking others about people: who they are, and whether their address is good.

``EnrichmentPipeline`` is all that screens and the command line need. Beneath it: ``plan`` (who is asked about),
``asking`` (how one provider is asked), ``lanes`` (the people on their way past the providers), ``run`` (batch by
batch), ``applying`` (an answer into the store), ``facts`` (what is filled, and what is a conflict), ``result``.

Three things never happen: a question is put that is not on disk, an answer is paid for twice, a value that a person
knows is overwritten.
"""

from __future__ import annotations

from aicmo.crm.enrichment.facts import Conflict
from aicmo.crm.enrichment.pipeline import EnrichmentPipeline, Quote, Rules
from aicmo.crm.enrichment.plan import EMAIL_VERIFICATION, LEAD_ENRICHMENT, Plan, Wish
from aicmo.crm.enrichment.result import EnrichmentResult, Progress, ProviderCounts

__all__ = [
    "EMAIL_VERIFICATION",
    "LEAD_ENRICHMENT",
    "Conflict",
    "EnrichmentPipeline",
    "EnrichmentResult",
    "Plan",
    "Progress",
    "ProviderCounts",
    "Quote",
    "Rules",
    "Wish",
]
