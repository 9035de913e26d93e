"""One mail on its way to one recipient, and the word for stopping it.

Publishing builds it, a mail provider carries it; both import it from here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

BeforeBody = Callable[[], Awaitable[None]]
"""The ledger's write: awaited when a recipient is accepted, done before the first byte of the body leaves."""


class NotNow(Exception):
    """Raised by ``before_body``: do not send this now. Nothing of the body has left, and nobody is at fault.

    It is a message between the ledger and the adapter, never shown to a person, so it is not an ``AicmoError``.
    """


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    mail_from: str
    """The envelope sender (bounces go there); empty is the null sender."""
    recipient: str
    """Exactly one: only then does one reply speak for one person."""
    raw: bytes
    """The whole message, every line ending CRLF, the last line included; dots are not yet doubled."""
