"""Why a message was not sent, as an ``Attempt``: how far it got decides whether another server may try it.

Whoever speaks with the server raises; here, once, it is judged. Before the final dot nothing can have been delivered,
whatever went wrong; after it, only the server's own word says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import aiosmtplib

from aicmo.errors import AicmoError
from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.smtp_reply import Reply, asked_to_wait_until, judge
from aicmo.gateways.tls import tls_problem

_PORTS = "Port 587 takes security starttls, port 465 takes tls."


@dataclass(slots=True)
class Way:
    """How far a message got."""

    phase: str = "check"
    """The step under way, as the rules of ``smtp_reply`` name it."""
    dot_sent: bool = False


class Refused(Exception):
    """The server answered, and not with what the step needs."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.codes)
        self.reply = reply


class Unsendable(Exception):
    """Known from our side: it cannot be sent like this."""

    def __init__(self, outcome: Outcome, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.permanent = permanent


FAILURES = (Refused, Unsendable, AicmoError, aiosmtplib.SMTPException, OSError)
"""What ``failed`` can explain; anything else is a fault of the program."""


def failed(
    error: Exception,
    way: Way,
    *,
    provider: str,
    host: str,
    read: Callable[[int, str], Reply],
    now: datetime,
    latency_s: float,
) -> Attempt:
    """What ``error``, one of ``FAILURES``, means where ``way`` had got to. ``read`` masks our secrets in what is told;
    ``now`` is UTC."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        error = Refused(read(error.code, error.message))
    reply = error.reply if isinstance(error, Refused) else None
    outcome, applied, permanent, detail = Outcome.TRANSIENT, Applied.NO, False, ""
    if reply is not None and 400 <= reply.code < 600:
        outcome, permanent = judge(way.phase, reply)
    elif way.dot_sent or (reply is not None and way.phase == "body" and 200 <= reply.code < 300):
        # Either no answer, or one that no server should give: a message it calls accepted before it ended.
        outcome, applied = Outcome.AMBIGUOUS, Applied.UNKNOWN
    elif isinstance(error, Unsendable):
        outcome, permanent, detail = error.outcome, error.permanent, error.detail
    elif isinstance(error, AicmoError):
        outcome, detail = (Outcome.TRANSIENT if error.retryable else Outcome.AUTH), error.message
    elif certificate := tls_problem(error, ports=_PORTS):
        outcome, detail = Outcome.AUTH, f"{host}: {certificate}"
    detail = detail or (reply.text if reply else str(error) or "The server did not answer in time.")
    return Attempt(
        provider,
        outcome,
        applied,
        way.phase,
        reply.codes if reply and reply.code > 0 else "",
        read(0, detail).text,
        permanent,
        asked_to_wait_until(reply.text, now) if reply else None,
        latency_s,
    )
