"""Mail as it was found in a mailbox, unread and unjudged; and the traces that mail of ours has left there.

A mail provider fetches it, the inbox judges it; both import it from here. The cursor is (mailbox, ``uid_validity``,
``last_uid``); whoever keeps it advances it only after everything in the batch is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FetchedMail:
    uid: int
    received_at: datetime | None
    """When the server took it in (UTC); ``None`` when the server does not say."""
    raw: bytes
    """The whole message as it lies there. Nothing in it is to be trusted."""


@dataclass(frozen=True, slots=True)
class SkippedMail:
    """A mail that was not read, and why: a person may want to look at it."""

    uid: int
    size_bytes: int
    """What the server says; 0 when it does not."""
    reason: str
    """One plain sentence."""


@dataclass(frozen=True, slots=True)
class MailBatch:
    mailbox: str
    uid_validity: int
    """UIDs mean something only together with this number."""
    rescan: bool
    """The server has renumbered the mailbox since the cursor was kept: this batch begins at the first mail again, and
    what was seen before has to be recognised by its content."""
    mails: tuple[FetchedMail, ...]
    """By UID, ascending."""
    skipped: tuple[SkippedMail, ...]
    last_uid: int
    """Everything up to here is in this batch, skipped, or gone from the mailbox."""
    more: bool
    """There is more to fetch after ``last_uid``."""


class Evidence(StrEnum):
    """What shows that a mail of ours has gone."""

    COPY = "copy"
    """A mailbox for sent mail holds it: many servers file there what they took."""
    ANSWER = "answer"
    """A mail names it in In-Reply-To or References; nobody else knows its Message-ID."""


@dataclass(frozen=True, slots=True)
class Trace:
    evidence: Evidence
    mailbox: str


@dataclass(frozen=True, slots=True)
class Traces:
    """What an account knows of mails of ours. One that is not ``found`` may have gone all the same."""

    found: Mapping[str, Trace]
    """By Message-ID, as it was asked for."""
    looked_in: tuple[str, ...]
    """Mailboxes, in order. The next is only looked into for what the last did not show."""
