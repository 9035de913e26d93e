"""A message as one of its readers would get it, outside the ledger: to look at, or to send to oneself as a test.

What builds a campaign's messages builds these too, so what is shown is what would go: but for the date, and the token,
which stands for no delivery.
"""

from __future__ import annotations

import shlex
import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime

from aicmo.crm.address import normalise
from aicmo.errors import NotFound, VerbHint
from aicmo.publishing.email.message import BuiltMessage, Recipient
from aicmo.publishing.wording import Wording
from aicmo.store import audiences
from aicmo.store.contents import Draft
from aicmo.store.selection import Selection

NO_TOKEN = "0.0.preview"


@dataclass(frozen=True, slots=True)
class Preview:
    """A message as one recipient would get it."""

    to: str
    subject: str
    text: str
    html: str
    source: str
    """The raw message, headers and all."""
    preheader: str = ""


def a_reader(db: sqlite3.Connection, chosen: Selection, email: str = "") -> sqlite3.Row | None:
    """The first of those who would be written to, ``None`` where nobody would; or whoever has the address.

    Raises ``NotFound`` for an address of nobody, or of somebody who is not written to.
    """
    where, params = ("contact.address = ?", [normalise(email).address]) if email else chosen.where()
    found = next(audiences.unsuppressed(db, where, params), None)
    if email and found is None:
        hint = VerbHint("See", f"contact why {shlex.quote(email)}")
        raise NotFound(f"There is no {email} who would be written to.", hint=hint)
    return found


def preview(of: Wording, reader: sqlite3.Row | None, now: datetime) -> Preview:
    """Raises ``TemplateInvalid`` for what the template asks and the reader lacks, ``NotFound`` when there is nobody."""
    if reader is None:
        raise NotFound("There is nobody to preview for.", hint="Import contacts first, or choose another audience.")
    recipient = Recipient(reader["email"], audiences.filled_values(reader), NO_TOKEN)
    return _shown(of, recipient, of.builder().build(recipient, now))


def build_test(of: Wording, to: str, reader: sqlite3.Row | None, now: datetime) -> BuiltMessage:
    """To ``to``, filled with the fields of ``reader``; what needs a field fails where nobody is to be had."""
    token = f"{of.campaign_id}.0.test-{now:%Y%m%d%H%M%S%f}"
    return of.marked().builder().build(_tester(to, reader, token), now)


def preview_test(of: Wording, to: str, reader: sqlite3.Row | None, now: datetime) -> Preview:
    """What ``build_test`` would send."""
    return _shown(of.marked(), _tester(to, reader, NO_TOKEN), build_test(of, to, reader, now))


def _tester(to: str, reader: sqlite3.Row | None, token: str) -> Recipient:
    return Recipient(normalise(to).email, audiences.filled_values(reader) if reader is not None else {}, token)


def _shown(of: Wording, recipient: Recipient, message: BuiltMessage) -> Preview:
    words, preheader = message.words, of.draft.preheader
    if "{" in preheader:
        preheader = replace(of, draft=Draft(preheader, "")).builder().fill(recipient).subject
    return Preview(recipient.email, words.subject, words.text, words.html, message.raw.decode("ascii"), preheader)
