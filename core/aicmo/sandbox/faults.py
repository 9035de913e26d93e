"""The fault script: what the servers of the sandbox do wrong, when, how often and to whom.

A script is an ordered list of ``Fault`` rules. Each time a connection or a request reaches a phase, the first rule that
fits happens and is counted; if none fits, the server behaves. One phase, one fault: rules never add up.

What each pair of phase and action means, where it is not plain. "Recorded" is in the mail log or the HTTP log, that is:
it took effect.

=========  ============  ===================================================================================
phase      action        what the client sees, and whether it took effect
=========  ============  ===================================================================================
connect    refuse        the port does not listen; connections that stand already are left alone
connect    reply         SMTP and IMAP: greeted with it (``421 …``, ``* BYE …``), then closed
=========  ============  ===================================================================================

SMTP:

=========  ============  ===================================================================================
data       drop          ``DATA`` was read, the connection dies before ``354``: not recorded
body       any           ``354`` was sent; it happens after ``body_bytes`` of the body, and always before the
                         final dot is heeded: not recorded (after ``slow`` the body is read on)
dot        drop, hang    the message is complete and recorded; the ``250`` never comes
dot        slow          recorded, then the wait, then the ``250``
dot        reply         4xx and 5xx: not recorded; 2xx: recorded
=========  ============  ===================================================================================

A reply that begins with 421 closes the connection in every phase, and so does any reply in the midst of a body.

HTTP (``apollo``, ``dropcontact``, ``airtable``, ``webhook``, ``site``, ``oauth``) and IMAP:

=========  ============  ===================================================================================
request    any           the request was read to its end and nothing was done: no effect (after ``slow`` it goes on)
response   any           the request was handled, with all its effects and its line in the log; then this in place of
                         the answer (after ``slow`` the answer itself)
response   cut           the head and ``body_bytes`` of the answer's body, never all of it, then the connection ends
request,   rubbish       ``200 OK``, ``application/json``, and a body that is a page of HTML
response   huge          ``200 OK`` and a JSON string of ``megabytes``, chunked, with no length given before
auth       reply         IMAP: what LOGIN or AUTHENTICATE is refused with, such as ``NO [UNAVAILABLE] later``
=========  ============  ===================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import InvalidInput
from aicmo.text import shown

SMTP_SERVERS = ("smtp-a", "smtp-b")
HTTP_SERVERS = ("apollo", "dropcontact", "airtable", "webhook", "site", "oauth")
SERVERS = (*SMTP_SERVERS, *HTTP_SERVERS, "imap")
_FAMILY = {**dict.fromkeys(SMTP_SERVERS, "smtp"), **dict.fromkeys(HTTP_SERVERS, "http"), "imap": "imap"}

_ANYWHERE = ("drop", "hang", "slow")
_CAN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "smtp": {
        "connect": (*_ANYWHERE, "reply", "refuse"),
        **dict.fromkeys(("ehlo", "auth", "mail", "rcpt", "data", "body", "dot"), (*_ANYWHERE, "reply")),
    },
    "http": {
        "connect": (*_ANYWHERE, "refuse"),
        "request": (*_ANYWHERE, "reply", "rubbish", "huge"),
        "response": (*_ANYWHERE, "reply", "rubbish", "huge", "cut"),
    },
    "imap": {"connect": (*_ANYWHERE, "reply", "refuse"), "auth": (*_ANYWHERE, "reply")},
}
PHASES = tuple(dict.fromkeys(phase for phases in _CAN.values() for phase in phases))
ACTIONS = tuple(dict.fromkeys(action for phases in _CAN.values() for actions in phases.values() for action in actions))

_KNOWS_RECIPIENT = ("rcpt", "data", "body", "dot")
_KNOWS_PATH = ("request", "response")
_PRINTABLE = r"[\x20-\x7e]*"
# What an answer in one line looks like; HTTP says it with status, headers and body.
_REPLY = {
    "smtp": re.compile(rf"[2-5]\d\d(?:[ -]{_PRINTABLE})?(?:\r\n[2-5]\d\d(?:[ -]{_PRINTABLE})?)*"),
    "imap": re.compile(rf"(?:NO|\* BYE) {_PRINTABLE}"),
}
_HEADER = re.compile(rf"[A-Za-z0-9-]+: {_PRINTABLE}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. Raises ``InvalidInput`` when its parts do not fit together."""

    phase: str
    """One of ``PHASES``; ``dot`` is the moment after the body's final dot."""
    action: str
    """``refuse`` (only at connect), ``drop`` (reset the connection), ``reply``, ``hang`` (silent until the client
    leaves), ``slow`` (wait, then go on as if nothing were); over HTTP also ``cut``, ``rubbish`` and ``huge``."""
    server: str = "*"
    """One of ``SERVERS``, or ``*`` for all to which the phase and the action mean something."""
    reply: str = ""
    """For ``reply`` over SMTP and IMAP: the whole answer in ASCII, such as ``451 4.7.1 greylisted``; lines are
    separated by CRLF."""
    seconds: float = 0.0
    """For ``slow``: how long."""
    recipient: str = ""
    """A glob on the recipient's address, case ignored; empty fits everybody. From ``data`` on it fits if one does."""
    times: int | None = None
    """How often it happens before it is used up; None: always."""
    after_s: float = 0.0
    """Seconds since the script was set from which on it holds."""
    until_s: float | None = None
    """Seconds since the script was set from which on it no longer holds; None: for good."""
    body_bytes: int = 64
    """For phase ``body``: how many bytes are read first. A shorter body is read up to its dot. For ``cut``: how many
    of the answer's body are sent first."""
    path: str = ""
    """A glob on an HTTP request's path, such as ``*/people/match``, case ignored; empty fits every request."""
    status: int = 0
    """For ``reply`` over HTTP: 200 to 599."""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """For ``reply`` over HTTP. Without a ``content-type`` it is ``application/json``."""
    body: str = ""
    """For ``reply`` over HTTP."""
    megabytes: int = 64
    """For ``huge``: how many MiB the answer's body has."""

    def __post_init__(self) -> None:
        for each in fields(self):
            self._check_type(each.name)
        self._refuse_unless(self.server in (*SERVERS, "*"), f"unknown server {shown(self.server)}", SERVERS)
        self._refuse_unless(self.phase in PHASES, f"unknown phase {shown(self.phase)}", PHASES)
        self._refuse_unless(self.action in ACTIONS, f"unknown action {shown(self.action)}", ACTIONS)
        families = {_FAMILY[name] for name in SERVERS if self.server in (name, "*")}
        self._refuse_unless(
            any(self.action in _CAN[family].get(self.phase, ()) for family in families),
            f"{self.server} cannot {self.action} at {self.phase}",
        )
        self._refuse_unless(
            any(self._can(family) for family in families),
            f"the action {self.action} does not go with the answer {shown(self.reply or str(self.status))}",
        )
        if self.action == "refuse":
            # A refused connection is never seen, so it can neither be counted nor come later than connect.
            self._refuse_unless(self.times is None, "refuse is without times")
        if self.recipient:
            self._refuse_unless(self.phase in _KNOWS_RECIPIENT, f"no recipient is known at {self.phase}")
        if self.path:
            self._refuse_unless(self.phase in _KNOWS_PATH, f"no path is known at {self.phase}")
        for name, value in self.headers.items():
            self._refuse_unless(bool(_HEADER.fullmatch(f"{name}: {value}")), f"no header is {shown(repr(name))}")
        self._refuse_unless(self.times is None or self.times > 0, "times counts from 1")
        self._refuse_unless(
            self.seconds >= 0 and self.body_bytes >= 0 and self.megabytes > 0, "a wait or a size cannot be negative"
        )
        self._refuse_unless(self.until_s is None or self.after_s < self.until_s, "after_s must be less than until_s")

    def fits(self, server: str) -> bool:
        """Whether it can happen to ``server``."""
        return self.server in ("*", server) and self._can(_FAMILY[server])

    def _can(self, family: str) -> bool:
        """Whether servers of this family know the phase, the action and the form of its answer."""
        if self.action not in _CAN[family].get(self.phase, ()):
            return False
        if self.action != "reply":
            return not (self.reply or self.status or self.headers or self.body)
        if family == "http":
            return 200 <= self.status <= 599 and not self.reply
        return bool(_REPLY[family].fullmatch(self.reply)) and not (self.status or self.headers or self.body)

    def _check_type(self, name: str) -> None:
        value = getattr(self, name)
        kinds = _KINDS[name]
        self._refuse_unless(
            isinstance(value, kinds) and not isinstance(value, bool),
            f"{name} cannot be {shown(repr(value))}",
        )

    @staticmethod
    def _refuse_unless(fine: bool, what: str, known: tuple[str, ...] = ()) -> None:
        if not fine:
            raise InvalidInput(
                f"A fault rule cannot be used: {what}.", hint=f"Known: {', '.join(known)}." * bool(known)
            )

    def as_dict(self) -> dict[str, Any]:
        """For JSON; ``parse_faults`` is the inverse."""
        return asdict(self)


_NUMBER = (int, float)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "phase": (str,),
    "action": (str,),
    "server": (str,),
    "reply": (str,),
    "seconds": _NUMBER,
    "recipient": (str,),
    "times": (int, type(None)),
    "after_s": _NUMBER,
    "until_s": (*_NUMBER, type(None)),
    "body_bytes": (int,),
    "path": (str,),
    "status": (int,),
    "headers": (dict,),
    "body": (str,),
    "megabytes": (int,),
}


def parse_faults(rules: object) -> tuple[Fault, ...]:
    """The rules of a decoded JSON document, which must be a list of objects. Raises ``InvalidInput``."""
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise InvalidInput("A fault script is a list of objects.")
    for rule in rules:
        if unknown := sorted(rule.keys() - _KINDS.keys()):
            raise InvalidInput(f"A fault rule has no {shown(unknown[0])}.", hint=f"Known: {', '.join(_KINDS)}.")
        if missing := sorted({"phase", "action"} - rule.keys()):
            raise InvalidInput(f"A fault rule needs its {missing[0]}.")
    return tuple(Fault(**rule) for rule in rules)


class FaultScript:
    """The rules in force, and how much of each is left. Its clock starts when it is made."""

    def __init__(self, faults: Iterable[Fault] = (), *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._faults = tuple(faults)
        self._left = [fault.times for fault in self._faults]
        self._clock = clock
        self._set_at = clock.monotonic()

    def pick(self, server: str, phase: str, *subjects: str) -> Fault | None:
        """The fault that happens now, which uses it up by one; None when the server is to behave.

        ``subjects`` are the recipients of a mail, or the path of a request.
        """
        for place, fault in enumerate(self._faults):
            left = self._left[place]
            if (
                fault.phase == phase
                and fault.action != "refuse"
                and left != 0
                and self._holds(fault, server)
                and _fits(fault.recipient or fault.path, subjects)
            ):
                if left is not None:
                    self._left[place] = left - 1
                return fault
        return None

    def refuses(self, server: str) -> bool:
        """Whether ``server`` must not listen now."""
        return any(fault.action == "refuse" and self._holds(fault, server) for fault in self._faults)

    def next_change_s(self) -> float | None:
        """Seconds until ``refuses`` may answer differently; None when it never will."""
        age = self._clock.monotonic() - self._set_at
        edges = (edge for fault in self._faults if fault.action == "refuse" for edge in (fault.after_s, fault.until_s))
        return min((edge - age for edge in edges if edge is not None and edge > age), default=None)

    def remaining(self) -> list[dict[str, Any]]:
        """The rules that can still happen, with ``times`` as what is left of it."""
        age = self._clock.monotonic() - self._set_at
        return [
            {**fault.as_dict(), "times": left}
            for fault, left in zip(self._faults, self._left, strict=True)
            if left != 0 and (fault.until_s is None or age < fault.until_s)
        ]

    def _holds(self, fault: Fault, server: str) -> bool:
        age = self._clock.monotonic() - self._set_at
        in_time = fault.after_s <= age and (fault.until_s is None or age < fault.until_s)
        return in_time and fault.fits(server)


def _fits(pattern: str, subjects: tuple[str, ...]) -> bool:
    return not pattern or any(fnmatchcase(subject.lower(), pattern.lower()) for subject in subjects)
