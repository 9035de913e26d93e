"""What must be right before a campaign goes: every mistake that can be known beforehand, with the people concerned.

An ``error`` stops the start; a ``warning`` is said. The audience is read once, streaming: contacts that lack the same
fields are one group, and the template is filled once for each group, which finds every missing field without filling it
for all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches

from aicmo.errors import AicmoError
from aicmo.publishing.email.message import MessageBuilder, Recipient, SenderIdentity
from aicmo.publishing.email.templates import ALWAYS_GIVEN
from aicmo.store import audiences
from aicmo.store.audiences import CONTACT_FIELDS
from aicmo.store.contents import Draft
from aicmo.store.selection import Selection

PEOPLE_NAMED = 5
"""How many of the people concerned a problem names; it counts them all."""
CLIPPED_AT = 102_000
"""Bytes of HTML after which Gmail hides the rest."""


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    severity: str
    """``error`` stops the start; ``warning`` does not."""
    message: str
    hint: str = ""
    count: int = 0
    """How many people it concerns; 0 when it is not about people."""
    people: tuple[str, ...] = ()
    """The first of their addresses."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    audience: int
    """Everyone the query selects."""
    suppressed: int
    """Those among them who will not be written to."""
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether the campaign may start."""
        return not any(problem.severity == "error" for problem in self.problems)


@dataclass(slots=True)
class _Group:
    """Contacts that lack the same of the template's fields."""

    count: int = 0
    people: list[str] = field(default_factory=list)
    sample: Recipient | None = None


def check(
    db: sqlite3.Connection,
    selection: Selection,
    draft: Draft,
    sender: SenderIdentity,
    campaign_name: str,
    *,
    ways: Sequence[str],
) -> CheckReport:
    """Everything that is wrong. ``ways`` are the names of the servers that could send."""
    audience = audiences.measured(db, *selection.where())
    problems = [
        *_sender_problems(sender, ways),
        *_audience_problems(audience.total, audience.suppressed),
        *_draft_problems(db, selection, draft, sender, campaign_name),
    ]
    return CheckReport(audience.total, audience.suppressed, tuple(problems))


def _sender_problems(sender: SenderIdentity, ways: Sequence[str]) -> list[Problem]:
    problems = []
    if not sender.email:
        problems.append(
            Problem(
                "sender_not_set", "error", "No sender is set.", "Set name and email under [sender], or run: aicmo init"
            )
        )
    if not sender.postal_address:
        problems.append(
            Problem(
                "no_postal_address",
                "error",
                "No postal address is set; commercial mail has to carry one.",
                "Set postal_address under [sender].",
            )
        )
    if not ways:
        problems.append(
            Problem(
                "no_server",
                "error",
                "No mail server is configured.",
                "Name one under [chains] email_sending, or run: aicmo init",
            )
        )
    return problems


def _audience_problems(total: int, suppressed: int) -> list[Problem]:
    if total == 0:
        return [
            Problem(
                "empty_audience", "error", "Nobody matches the audience.", "See who would: aicmo contact list QUERY"
            )
        ]
    if suppressed == total:
        return [Problem("all_suppressed", "error", "Everybody in the audience is suppressed.", "", total)]
    if suppressed * 5 > total:
        message = f"{suppressed} of {total} are suppressed and will not be written to."
        return [Problem("many_suppressed", "warning", message, "", suppressed)]
    return []


def _draft_problems(
    db: sqlite3.Connection, selection: Selection, draft: Draft, sender: SenderIdentity, campaign_name: str
) -> list[Problem]:
    problems = []
    if not draft.subject.strip():
        problems.append(Problem("no_subject", "error", "The subject is empty.", "Give the content a subject."))
    if not draft.body.strip():
        problems.append(Problem("no_body", "error", "The body is empty.", "Write something."))
    if problems or not sender.email:
        return problems
    try:
        builder = MessageBuilder(draft, sender, campaign_name)
    except AicmoError as error:
        return [Problem(error.code, "error", error.message, error.hint)]
    groups = _groups(db, selection, builder.template.variables)
    for missing, group in groups.items():
        assert group.sample is not None  # a group begins with one
        problems += _message_problems(builder, group, missing)
    return _merged(problems)


def _groups(db: sqlite3.Connection, selection: Selection, variables: frozenset[str]) -> dict[frozenset[str], _Group]:
    groups: dict[frozenset[str], _Group] = {}
    where, params = selection.where()
    for row in audiences.unsuppressed(db, where, params):
        values = audiences.filled_values(row)
        missing = variables.difference(values)
        group = groups.setdefault(missing, _Group())
        group.count += 1
        if len(group.people) < PEOPLE_NAMED:
            group.people.append(row["email"])
        if group.sample is None:
            group.sample = Recipient(row["email"], values, token="0.0.check")
    return groups


def _message_problems(builder: MessageBuilder, group: _Group, missing: frozenset[str]) -> list[Problem]:
    assert group.sample is not None
    people, recipient = tuple(group.people), group.sample
    problems: list[Problem] = []
    lacking: set[str] = set()
    while True:  # each turn finds one more field that the template really needs
        stand_in = {name: "…" for name in lacking}
        try:
            message = builder.build(
                Recipient(recipient.email, {**stand_in, **recipient.values}, recipient.token), datetime.now(UTC)
            )
            break
        except AicmoError as error:
            name = error.message.removesuffix(" is missing.")
            if name not in missing or name in lacking:
                return [*problems, Problem(error.code, "error", error.message, error.hint, group.count, people)]
            lacking.add(name)
            near = get_close_matches(name, [*CONTACT_FIELDS, *ALWAYS_GIVEN], n=1)
            hint = f"Did you mean {near[0]}? {error.hint}" if near and near[0] != name else error.hint
            problems.append(Problem("missing_field", "error", f"{name} is missing", hint, group.count, people))
    for part, words in (("text", message.words.text), ("HTML", message.words.html)):
        if recipient.token not in words:
            hint = "Let {{ unsubscribe }} stand where everybody gets it, or leave it out for the standard footer."
            text = f"The {part} part has no way to unsubscribe"
            problems.append(Problem("no_unsubscribe", "error", text, hint, group.count, people))
    if len(message.words.html.encode()) > CLIPPED_AT:
        problems.append(Problem("too_long", "warning", "Gmail will hide the end of so long a message.", "Shorten it."))
    return problems


def _merged(problems: list[Problem]) -> list[Problem]:
    """The same problem of several groups as one, counting everybody."""
    merged: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        key = (problem.code, problem.message)
        before = merged.get(key)
        count = problem.count + (before.count if before else 0)
        people = ((before.people if before else ()) + problem.people)[:PEOPLE_NAMED]
        merged[key] = Problem(problem.code, problem.severity, problem.message, problem.hint, count, people)
    return [_worded(problem) for problem in merged.values()]


def _worded(problem: Problem) -> Problem:
    if not problem.count:
        return problem
    rest = ", …" if problem.count > len(problem.people) else ""
    for_whom = f"for {problem.count} {'person' if problem.count == 1 else 'people'} ({', '.join(problem.people)}{rest})"
    message = f"{problem.message.rstrip('.')} {for_whom}."
    return Problem(problem.code, problem.severity, message, problem.hint, problem.count, problem.people)
