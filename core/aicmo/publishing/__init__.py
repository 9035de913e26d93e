"""Phase 2: what is said, to whom, and what became of each message.

::

    Contents               the verbs of writing: versions, channels, approval, preview (writing/)
     └── channels/         each network's rules: what it shows, and how long that may be
    PublishingPipeline     the verbs of campaigns: create, check, approve, start ... (pipeline.py)
     ├── steering.py       what is done with one that has begun: pause, resume, cancel, retry, resolve
     ├── overview.py       what is known of them: the ledger, counts, what is due; agenda.py: the calendar
     ├── changing.py       what of a campaign can be changed, and until when
     ├── wording.py        what a message is built from; samples.py: previews and tests
     ├── preflight/        what must be right before a campaign goes
     ├── schedule.py       when it begins; beginning freezes the audience into the ledger
     ├── sequences/        messages that follow one another
     ├── variants.py       A/B: who gets which, and which one the rest gets
     ├── due.py            what time alone brings about, and when there is something to do next
     ├── sending/          the one sender: ledger -> chain -> ledger; what a mailbox shows of the unknown ones
     ├── inbox/            what comes back by mail
     └── email/            templates, text twin, headers, bytes
    moments.py, spans.py   points and spans of time as a person says them

The ledger itself, with the only table of a delivery's states, is ``aicmo.store.deliveries``.
"""

from aicmo.publishing.pipeline import PublishingPipeline
from aicmo.publishing.preflight import CheckReport, Problem
from aicmo.publishing.samples import Preview
from aicmo.publishing.writing.content_types import CONTENT_TYPES
from aicmo.publishing.writing.contents import FORMATS, Contents
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
    "Contents",
    "Counts",
    "Delivery",
    "Draft",
    "Preview",
    "Problem",
    "PublishingCampaign",
    "PublishingPipeline",
    "State",
]
