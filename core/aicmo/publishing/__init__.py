"""Phase 2: what is said, to whom, and what became of each message.

::

    PublishingPipeline     the verbs: content, campaigns, preview, check, start, pause ... (pipeline.py)
     ├── preflight.py      what must be right before a campaign goes
     ├── schedule.py       when it begins; beginning freezes the audience into the ledger
     ├── outbox.py         the one sender: ledger -> chain -> ledger
     │    ├── verdicts.py      what a server's answer means for a delivery
     │    └── sender_lock.py   one sender per database
     ├── evidence.py       what a mailbox shows of messages whose outcome is unknown
     └── email/            templates, text twin, headers, bytes

The ledger itself, with the only table of a delivery's states, is ``aicmo.store.deliveries``.
"""

from aicmo.publishing.pipeline import CONTENT_TYPES, FORMATS, Preview, PublishingPipeline
from aicmo.publishing.preflight import CheckReport, Problem
from aicmo.store.audiences import Audience
from aicmo.store.campaigns import Campaign as PublishingCampaign
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.contents import Content, Draft
from aicmo.store.deliveries import Counts, Delivery, State

__all__ = [
    "CONTENT_TYPES",
    "FORMATS",
    "Audience",
    "CampaignStatus",
    "CheckReport",
    "Content",
    "Counts",
    "Delivery",
    "Draft",
    "Preview",
    "Problem",
    "PublishingCampaign",
    "PublishingPipeline",
    "State",
]
