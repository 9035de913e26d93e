"""What must be right before a campaign goes: every mistake that can be known beforehand, with the people concerned.

::

    Preflight           one configuration's checks (checking.py)
     ├── words.py       a message as it arrives: subject.py, links.py, colours.py, what page.py reads
     ├── sender.py      who it comes from, who reads the answers
     ├── audience.py    who lacks what the message asks for, who should not be among them
     ├── pace.py        how long it takes, when it would begin
     ├── domain/        SPF, DKIM, DMARC and MX, by DNS
     └── reaching.py    whether links lead anywhere; cards.py: what a network shows of the first

An ``error`` stops the start; a ``warning`` is said; ``report.KINDS`` is the table of both. Whatever asks the network is
a coroutine of its own and only warns.
"""

from aicmo.publishing.preflight.checking import RUN_LEASE, Preflight, Question
from aicmo.publishing.preflight.report import KINDS, TOPICS, CheckReport, Look, Problem, Status, joined
from aicmo.publishing.preflight.sender import Setting

__all__ = [
    "KINDS",
    "RUN_LEASE",
    "TOPICS",
    "CheckReport",
    "Look",
    "Preflight",
    "Problem",
    "Question",
    "Setting",
    "Status",
    "joined",
]
