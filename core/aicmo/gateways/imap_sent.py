"""Whether mail of ours has gone, as an account shows it: the copy in Sent, or a mail in INBOX that answers it.

A search only narrows down where to look, because servers match parts of words; what decides is the header field itself,
compared whole. Nothing is read but the few header fields that hold a Message-ID.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

from aicmo.gateways.imap_session import AT_ONCE, ImapSession, Mailbox, quoted
from aicmo.gateways.inbound import Evidence, Trace, Traces
from aicmo.text import one_line

USUAL_NAMES = frozenset(
    """sent|sent items|sent mail|sent messages|sent-mail|gesendet|gesendete objekte|gesendete elemente
    |envoyés|messages envoyés|éléments envoyés|enviados|elementos enviados|mensajes enviados|itens enviados
    |posta inviata|inviata|verzonden|verzonden items|skickat|sendt|wysłane|отправленные""".replace("\n", "").split("|")
)
"""What mail programs call the mailbox for sent mail, where the server does not say which it is."""
MOST_SENT_MAILBOXES = 3
MOST_HITS = 20
"""Mails that a search for one Message-ID may find before the rest, the older ones, are left alone."""
LONGEST_NAME = 80
"""Characters of a mailbox's name, where it is shown."""
OTHER_ZONES = timedelta(days=1)
"""A server compares dates in its own zone."""

_FOLD = re.compile(r"\r?\n(?=[ \t])")
_IN_BRACKETS = re.compile(r"<([^<>]*)>")
_COMPARABLE = re.compile(r"[\x21-\x7e]{1,900}")
"""What a Message-ID consists of (RFC 5322 3.6.4), short enough for a command."""


async def find_traces(
    session: ImapSession,
    message_ids: Sequence[str],
    since: datetime,
    *,
    sent_mailbox: str = "",
    entering: Callable[[str], None] = lambda _: None,
) -> Traces:
    """Look for mails that were let go at ``since`` or later. ``sent_mailbox``: where copies lie; else it is found out.

    ``entering`` is told each step's name before it is taken. Raises what ``ImapSession`` raises.
    """
    asked = {key: message_id for message_id in message_ids if (key := _key(message_id))}
    day = (since.astimezone(UTC) - OTHER_ZONES).date()
    entering("list")
    sent = [sent_mailbox] if sent_mailbox else await _sent_mailboxes(session)
    looks: list[tuple[str, Evidence, tuple[str, ...]]] = [
        *((mailbox, Evidence.COPY, ("MESSAGE-ID",)) for mailbox in sent),
        ("INBOX", Evidence.ANSWER, ("IN-REPLY-TO", "REFERENCES")),
    ]
    found: dict[str, Trace] = {}
    looked_in: list[str] = []
    for mailbox, evidence, fields in looks:
        if open_keys := asked.keys() - found.keys():
            entering("examine")
            await session.examine(mailbox)
            named = await _named(session, open_keys, fields, day, entering)
            looked_in.append(one_line(mailbox, limit=LONGEST_NAME))
            found |= dict.fromkeys(named, Trace(evidence, looked_in[-1]))
    return Traces({asked[key]: trace for key, trace in found.items()}, tuple(looked_in))


async def _sent_mailboxes(session: ImapSession) -> list[str]:
    """Those the server marks (RFC 6154), else those that are called so."""
    known = await session.mailboxes()
    marked = [box for box in known if "\\sent" in box.attributes]
    if not marked and {"SPECIAL-USE", "LIST-EXTENDED"} <= await session.offers():
        marked = [box for box in await session.mailboxes(selected_by="SPECIAL-USE") if "\\sent" in box.attributes]
    chosen = marked or [box for box in known if _is_usual(box)]
    return [box.name for box in chosen if not {"\\noselect", "\\nonexistent"} & box.attributes][:MOST_SENT_MAILBOXES]


def _is_usual(box: Mailbox) -> bool:
    last = box.name.rpartition(box.separator)[2] if box.separator else box.name
    return last.casefold() in USUAL_NAMES


async def _named(
    session: ImapSession, keys: Collection[str], fields: Sequence[str], day: date, entering: Callable[[str], None]
) -> set[str]:
    """Which of ``keys`` are named by one of the ``fields`` of a mail in the open mailbox."""
    entering("search")
    uids = await session.uids_since(day)
    if len(uids) > AT_ONCE * len(keys):  # then to search for each takes fewer questions than to read them all
        hits = [(await session.uids_since(day, _criteria(fields, key)))[-MOST_HITS:] for key in sorted(keys)]
        uids = sorted({uid for each in hits for uid in each})
    entering("fetch")
    headers = await session.headers(uids, fields)
    return set(keys) & {key for raw in headers.values() for key in _keys_in(raw, fields)}


def _criteria(fields: Sequence[str], key: str) -> str:
    *others, last = (f"HEADER {field} {quoted(key)}" for field in fields)
    return " ".join((*(f"OR {each}" for each in others), last))


def _keys_in(raw: bytes, fields: Sequence[str]) -> Iterator[str]:
    for line in _FOLD.sub("", raw.decode("ascii", "replace")).split("\n"):
        name, _, value = line.partition(":")
        if name.strip().upper() in fields:  # a server that gives more than it was asked for proves nothing
            yield from map(_key, _IN_BRACKETS.findall(value) or value.split())


def _key(message_id: str) -> str:
    """What two spellings of a Message-ID have in common; empty when it is none.

    Brackets and spaces around it, and the case of its domain, mean nothing; the part before the @ is taken as it is.
    """
    left, at, domain = re.sub(r"\s", "", message_id).removeprefix("<").removesuffix(">").rpartition("@")
    key = f"{left}{at}{domain.lower()}"
    return key if _COMPARABLE.fullmatch(key) else ""
