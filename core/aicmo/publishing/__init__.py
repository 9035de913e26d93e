"""Phase 2: what is said, to whom, and what became of each message.

::

    Contents               the verbs of writing: versions, channels, approval, preview (writing.py)
     ├── content_types.py  what can be written, and where it fits
     ├── comparing.py      what differs between two versions
     ├── fitness.py        whether a text could go out on a channel
     └── channels/         each network's rules: what it shows, and how long that may be
    Reviews                notes among those who write, which nothing above ever reads (reviewing.py)
    PublishingPipeline     the verbs of campaigns: create, check, approve, start ... (pipeline.py)
     ├── steering.py       what is done with one that has begun: pause, resume, cancel, retry, resolve
     ├── overview.py       what is known of them: the ledger, counts, what is due
     ├── changing.py       what of a campaign can be changed, and until when
     ├── wording.py        what a message is built from; samples.py: previews and tests
     ├── preflight/        what must be right before a campaign goes
     ├── schedule.py       when it begins; beginning freezes the audience into the ledger
     ├── advancing.py      how people go through a sequence; sequences.py has the verbs, sequence_edit.py the edits
     ├── variants.py       A/B: who gets which, and which one the rest gets
     ├── due.py            what time alone brings about, and when there is something to do next
     ├── outbox.py         the one sender: ledger -> chain -> ledger
     │    ├── ledger.py        its writes, those of all workers in one transaction
     │    ├── whereabouts.py   whether this is still the database that last sent
     │    ├── rules.py         what the configuration says about when, how much, how often
     │    ├── verdicts.py      what a server's answer means for a delivery
     │    ├── watching.py      when a campaign pauses itself
     │    └── sender_lock.py   one sender per database
     ├── evidence.py       what a mailbox shows of messages whose outcome is unknown
     └── email/            templates, text twin, headers, bytes

The ledger itself, with the only table of a delivery's states, is ``aicmo.store.deliveries``.
"""

from aicmo.publishing.content_types import CONTENT_TYPES
from aicmo.publishing.pipeline import PublishingPipeline
from aicmo.publishing.preflight import CheckReport, Problem
from aicmo.publishing.samples import Preview
from aicmo.publishing.writing import FORMATS, Contents
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
