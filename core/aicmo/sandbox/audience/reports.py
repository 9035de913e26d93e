"""The mails that machines on the way send back: delivery reports (RFC 3464) and complaints (RFC 5965).

The wordings differ as those of real servers do, in who signs, in the subject, in whether the whole mail comes back or
its head alone; what the standards ask for is in every one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from hashlib import blake2b

from aicmo.sandbox.audience.answers import Answer, Writing, head, text_part

_Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Server:
    """How one kind of mail server words a delivery report. ``{to}`` is the address, ``{host}`` the server."""

    signs: str
    subject: str
    says: str
    hard: str
    """The reply that it passes on (RFC 3464 2.3.6)."""
    soft: str
    diagnostic_type: str = "smtp"
    whole: bool = False
    """Whether the mail comes back entire rather than its head alone."""
    auto_submitted: str = "auto-replied"
    names_failed: bool = False
    """Whether it names the address in X-Failed-Recipients too."""


_SERVERS: Mapping[str, _Server] = {
    "postfix": _Server(
        signs="MAILER-DAEMON@{host} (Mail Delivery System)",
        subject="Undelivered Mail Returned to Sender",
        says="The mail system at {host} has a message of yours that it could not deliver.\n\n<{to}>: {reply}",
        hard="550 5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table",
        soft="452 4.2.2 <{to}>: Recipient address rejected: over quota",
        whole=True,
    ),
    "gmail": _Server(
        signs="Mail Delivery Subsystem <mailer-daemon@{host}>",
        subject="Delivery Status Notification (Failure)",
        says="** Message not delivered **\n\nYour message did not reach {to}. The remote server said:\n\n{reply}",
        hard="550 5.1.1 The email account that you tried to reach does not exist.",
        soft="452 4.2.2 The recipient's inbox is out of storage space.",
        names_failed=True,
        whole=True,
    ),
    "exchange": _Server(
        signs="Mail Server <postmaster@{host}>",
        subject="Undeliverable: {subject}",
        says="{to} could not be reached.\n\nFor administrators\nGenerating server: {host}\n{to}\n#{reply}",
        hard="550 5.1.1 RESOLVER.ADR.RecipNotFound; not found",
        soft="452 4.2.2 STOREDRV.Deliver; mailbox full",
    ),
    "sendmail": _Server(
        signs="Mail Delivery Subsystem <MAILER-DAEMON@{host}>",
        subject="Returned mail: see transcript for details",
        says="   ----- Addresses with lasting errors -----\n<{to}>\n\n   ----- Transcript, {host} -----\n<<< {reply}",
        hard="550 5.1.1 <{to}>... User unknown",
        soft="452 4.2.2 <{to}>... Mailbox full",
        diagnostic_type="SMTP",
        auto_submitted="auto-generated (failure)",
    ),
    "exim": _Server(
        signs="Mail Delivery System <Mailer-Daemon@{host}>",
        subject="Mail delivery failed: returning message to sender",
        says="A message that you sent came back because of this address:\n\n  {to}\n    {host}: {reply}",
        hard="550 5.1.1 No such person at this address",
        soft="452 4.2.2 mailbox is full: retry timeout exceeded",
        names_failed=True,
    ),
}
_HEAD_END = re.compile(rb"\r?\n\r?\n")


def bounce(writing: Writing, *, hard: bool) -> Answer:
    """A report that nobody lives at the address (5.1.1), or that the mailbox stayed full (4.2.2)."""
    how = writing.dice.choice(tuple(_SERVERS))
    server, letter = _SERVERS[how], writing.letter
    host = f"mx.{letter.domain}"
    known = {"to": letter.recipient, "host": host, "subject": letter.header("Subject")}
    reply = (server.hard if hard else server.soft).format(**known)
    about_mail = [("Reporting-MTA", f"dns; {host}"), ("Arrival-Date", format_datetime(writing.at))]
    about_recipient = [
        ("Final-Recipient", f"rfc822; {letter.recipient}"),
        ("Action", "failed"),
        ("Status", "5.1.1" if hard else "4.2.2"),
        ("Remote-MTA", f"dns; {host}"),
        ("Diagnostic-Code", f"{server.diagnostic_type}; {reply}"),
    ]
    more = [("Auto-Submitted", server.auto_submitted)]
    if server.names_failed:
        more.append(("X-Failed-Recipients", letter.recipient))
    report = _report(
        writing,
        signs=server.signs.format(**known),
        subject=server.subject.format(**known),
        says=server.says.format(**known, reply=reply),
        kind="delivery-status",
        facts=[about_mail, about_recipient],
        more=more,
        returned=letter.raw if server.whole else _HEAD_END.split(letter.raw, 1)[0] + b"\r\n",
        whole=server.whole,
    )
    return Answer(report, how)


def complaint(writing: Writing) -> Answer:
    """A report that somebody pressed "this is spam"; some mail providers keep to themselves who it was."""
    letter = writing.letter
    named = writing.dice.random() < 0.5
    returned = letter.raw
    if not named:
        returned = returned.replace(letter.recipient.encode(), f"redacted@{letter.domain}".encode())
    facts = [
        ("Feedback-Type", "abuse"),
        ("User-Agent", "SandboxFeedbackLoop/1.0"),
        ("Version", "1"),
        ("Original-Mail-From", f"<{letter.mail_from}>"),
        ("Arrival-Date", format_datetime(writing.at)),
        ("Source-IP", "127.0.0.1"),
        ("Reported-Domain", letter.mail_from.rpartition("@")[2]),
    ]
    if named:
        facts.insert(4, ("Original-Rcpt-To", f"<{letter.recipient}>"))
    report = _report(
        writing,
        signs=f"Feedback Loop <complaints@fbl.{letter.domain}>",
        subject=f"FW: {letter.header('Subject')}",
        says="This is an email abuse report for a message that one of our users received from you.",
        kind="feedback-report",
        facts=[facts],
        more=[],
        returned=returned,
        whole=True,
    )
    return Answer(report, "named" if named else "redacted")


def _report(
    writing: Writing,
    *,
    signs: str,
    subject: str,
    says: str,
    kind: str,
    facts: Sequence[_Fields],
    more: _Fields,
    returned: bytes,
    whole: bool,
) -> bytes:
    """The three parts of RFC 6522: for people, for machines, and what it is about; from nobody one could answer."""
    boundary = f"=_{blake2b(returned + writing.message_id.encode(), digest_size=12).hexdigest()}"
    fields = [
        ("Return-Path", "<>"),
        ("From", signs),
        ("To", writing.letter.mail_from),
        ("Subject", subject),
        ("Date", format_datetime(writing.at)),
        ("Message-ID", writing.message_id),
        *more,
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/report; report-type={kind}; boundary="{boundary}"'),
    ]
    described, said = text_part(says)
    about = [
        ("Content-Type", "message/rfc822" if whole else "text/rfc822-headers"),
        ("Content-Transfer-Encoding", "7bit" if returned.isascii() else "8bit"),
    ]
    # The empty line that ends the last group of facts is the line end that a boundary begins with (RFC 2046 5.1.1).
    opening = f"--{boundary}\r\n".encode()
    return b"".join(
        (
            head(fields),
            opening + head(described) + said,
            b"\r\n" + opening + head([("Content-Type", f"message/{kind}")]) + b"".join(map(head, facts)),
            opening + head(about) + returned,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
