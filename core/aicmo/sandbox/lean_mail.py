"""Mail that lies in the mailbox as its bytes alone.

pymap keeps the parsed tree of every message, 30 to 70 KB for one of 2 KB, and takes up to a millisecond to make it. An
audience writes thousands, of which few are ever looked at; theirs are parsed when somebody fetches them.

This module imports pymap (extra ``demo``): only the sandbox's own process imports it.
"""

from __future__ import annotations

from datetime import datetime

from pymap.backend.dict.mailbox import LoadedMessage, MailboxData, Message
from pymap.message import BaseMessage
from pymap.mime import MessageContent
from pymap.parsing.message import AppendMessage
from pymap.parsing.specials import FetchRequirement, ObjectId


async def append_lean(mailbox: MailboxData, mail: bytes, at: datetime) -> None:
    """Let ``mail`` arrive; whoever has the mailbox selected hears of it."""
    taken = await mailbox.append(AppendMessage(b"", at))
    mailbox._messages[taken.uid] = _LeanMail(taken, mail)  # Before anybody has a turn to look at the empty one.


class _LeanMail(Message):
    __slots__ = ["_mail"]

    def __init__(self, taken: Message, mail: bytes) -> None:
        BaseMessage.__init__(
            self,
            taken.uid,
            taken.internal_date,
            taken.permanent_flags,
            email_id=ObjectId.random_email_id(),
            thread_id=ObjectId.random_thread_id(),
        )
        self._recent = taken.recent
        self._mail = mail

    @property
    def _content(self) -> MessageContent:  # type: ignore[override]  # read only by pymap too, to make a copy
        return MessageContent.parse(self._mail)

    async def load_content(self, requirement: FetchRequirement) -> LoadedMessage:
        wants_flags_only = requirement.has_none(FetchRequirement.CONTENT)
        return LoadedMessage(self, requirement, None if wants_flags_only else self._content)
