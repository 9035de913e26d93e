"""Whom a campaign goes to: who lacks what the message asks for, who should not be among them, who had it before.

Contacts that lack the same fields are one group, and the template is filled once for each group: that finds every
missing field without filling it for all. The rest is counted in the store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from functools import cache

from aicmo.clock import parse_rfc3339
from aicmo.errors import AicmoError, VerbHint
from aicmo.publishing.email.message import BuiltMessage, MessageBuilder, Recipient, SenderIdentity
from aicmo.publishing.email.templates import ALWAYS_GIVEN
from aicmo.publishing.preflight.report import KINDS, Look, Problem, problem
from aicmo.publishing.preflight.words import TOKEN
from aicmo.store import audience_checks
from aicmo.store.audience_checks import Before, Lacking
from aicmo.store.audiences import CONTACT_FIELDS, NOBODY, Audience, Condition
from aicmo.store.gates import Frequency
from aicmo.text import shown

PEOPLE_NAMED = 5
"""How many of the people concerned a problem names; it counts them all."""
LATELY = timedelta(days=3)
MANY_LATELY = 0.2
MANY_SAME = 0.05
MANY_SUPPRESSED = 0.2
UNUSUAL, UNUSUAL_FROM = 3, 1_000
"""So many times the largest of the last campaigns, and so many people at least."""
DOMAINS_IN_A_QUERY = 20
NEVER_PEOPLE = tuple("abuse postmaster hostmaster noc security root mailer-daemon spam noreply no-reply".split())
"""Who reads there is nobody, or an administrator (RFC 2142)."""
ROLES = (
    "info",
    "sales",
    "support",
    "office",
    "contact",
    "admin",
    "marketing",
    "billing",
    "webmaster",
    "jobs",
    "hr",
    "team",
)
MANY_ROLES = 0.05
_OWN = frozenset({"email", "domain", "stage"})
"""A contact always has them."""


@dataclass(frozen=True, slots=True)
class Whom:
    """An audience: the condition that selects it, the query that says it (more may follow it), and its size."""

    where: str
    params: Sequence[object]
    query: str
    size: Audience
    suppressed: Condition = NOBODY
    """The condition that somebody is."""

    @property
    def reached(self) -> int:
        """Who would be written to."""
        return self.size.total - self.size.suppressed

    def narrowed(self, terms: str) -> str:
        """The query of those in it of whom ``terms`` are true too, the suppressed left out."""
        return " ".join(filter(None, (self.query, terms, "-suppressed:yes")))


# --- what the message asks of them ------------------------------------------------------------------------------------


def field_problems(
    db: sqlite3.Connection, whom: Whom, builder: MessageBuilder, sender: SenderIdentity, now: datetime
) -> tuple[list[Problem], BuiltMessage | None]:
    """What the message lacks for whom; and the message as the first of the fullest group would get it."""
    problems: list[Problem] = []
    fullest: tuple[int, BuiltMessage] | None = None
    variables = builder.template.variables
    for group in audience_checks.lacking(db, whom.where, whom.params, variables):
        found, message = _of_group(builder, group, sender, now)
        if message is not None and (fullest is None or len(group.fields) < fullest[0]):
            fullest = len(group.fields), message
        if not found:
            continue
        count, people = audience_checks.who_lacks(
            db, whom.where, whom.params, variables, group, whom.suppressed, most=PEOPLE_NAMED
        )
        if count:
            problems += [_concerning(each, count, people, whom) for each in found]
    return _merged(problems), fullest[1] if fullest else None


def _of_group(
    builder: MessageBuilder, group: Lacking, sender: SenderIdentity, now: datetime
) -> tuple[list[tuple[Problem, str]], BuiltMessage | None]:
    """The problems of one group, each with the field it is about, and a message of theirs where one can be built."""
    problems: list[tuple[Problem, str]] = []
    lacking: set[str] = set()
    while True:  # each turn finds one more field that the template really needs
        stand_in = {name: "…" for name in lacking}
        try:
            email = group.sample.email if group.sample.email.isascii() else sender.email  # it stands for others
            recipient = Recipient(email, {**stand_in, **group.sample.values}, TOKEN)
            message = builder.build(recipient, now)
            break
        except AicmoError as error:
            name = error.message.removesuffix(" is missing.")
            if name not in group.fields or name in lacking:
                code = error.code if error.code in KINDS else "cannot_be_built"
                return [*problems, (problem(code, error.message, error.hint), "")], None
            lacking.add(name)
            near = get_close_matches(name, [*CONTACT_FIELDS, *ALWAYS_GIVEN], n=1)
            hint = f"Did you mean {near[0]}? {error.hint}" if near and near[0] != name else error.hint
            problems.append((problem("missing_field", f"{name} is missing", hint), name))
    return [*problems, *((each, "") for each in _missing_duties(message, sender))], message


def _missing_duties(message: BuiltMessage, sender: SenderIdentity) -> list[Problem]:
    """What the law asks for and the words do not show."""
    problems = []
    for part, words in (("text", message.words.text), ("HTML", message.words.html)):
        if TOKEN not in words:
            hint = "Let {{ unsubscribe }} stand where everybody gets it, or leave it out for the standard footer."
            problems.append(problem("no_unsubscribe", f"The {part} part has no way to unsubscribe", hint))
    if sender.postal_address and _squeezed(sender.postal_address) not in _squeezed(message.words.text):
        hint = "Let {{ postal_address }} stand where everybody gets it, or leave it out for the standard footer."
        problems.append(problem("address_not_shown", "The postal address is not shown", hint))
    return problems


def _squeezed(text: str) -> str:
    """Without spaces and marks, which a text part may break or set otherwise."""
    return "".join(filter(str.isalnum, text))


def _concerning(found: tuple[Problem, str], count: int, people: tuple[str, ...], whom: Whom) -> Problem:
    each, name = found
    key = f"field.{name}" if name not in CONTACT_FIELDS else name
    query = whom.narrowed(f"-has:{key}") if name and name not in _OWN else ""
    return problem(each.code, each.message, each.hint, count=count, people=people, query=query)


def _merged(problems: list[Problem]) -> list[Problem]:
    """The same problem of several groups as one, counting everybody."""
    merged: dict[tuple[str, str], Problem] = {}
    for each in problems:
        key = (each.code, each.message)
        before = merged.get(key)
        count = each.count + (before.count if before else 0)
        people = ((before.people if before else ()) + each.people)[:PEOPLE_NAMED]
        merged[key] = problem(each.code, each.message, each.hint, count=count, people=people, query=each.query)
    return [_worded(each) for each in merged.values()]


def _worded(each: Problem) -> Problem:
    rest = ", …" if each.count > len(each.people) else ""
    for_whom = f"for {_people(each.count)} ({', '.join(each.people)}{rest})"
    message = f"{each.message.rstrip('.')} {for_whom}."
    return problem(each.code, message, each.hint, count=each.count, people=each.people, query=each.query)


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"


# --- who they are -----------------------------------------------------------------------------------------------------


def size_problems(whom: Whom) -> list[Problem]:
    total, suppressed = whom.size.total, whom.size.suppressed
    if total == 0:
        return [
            problem("empty_audience", "Nobody matches the audience.", VerbHint("See who would", "contact list QUERY"))
        ]
    if suppressed == total:
        hint = "Who opted out or bounced is not written to again. Choose another audience."
        return [problem("all_suppressed", "Everybody in the audience is suppressed.", hint, count=total)]
    if suppressed > total * MANY_SUPPRESSED:
        message = f"{suppressed:,} of {total:,} are suppressed and will not be written to."
        hint = "Look whether this is the list you meant."
        return [problem("many_suppressed", message, hint, count=suppressed)]
    return []


def address_problems(db: sqlite3.Connection, whom: Whom, domains: Sequence[tuple[str, int]]) -> list[Problem]:
    """``domains`` with how many people each, as the store counts them: at least ``disposable_domains``."""
    problems = []
    thrown_away = [(domain, count) for domain, count in domains if domain in disposable_domains()]
    if thrown_away:
        count = sum(people for _, people in thrown_away)
        names = [domain for domain, _ in thrown_away]
        query = " or ".join(f"domain:{name}" for name in names[:DOMAINS_IN_A_QUERY])
        text = f"{_people(count)} gave an address made to be thrown away (such as at {names[0]})."
        query = whom.narrowed(f"({query})") if len(names) <= DOMAINS_IN_A_QUERY else ""
        hint = "They read nothing there, and such mail comes back. Leave them out."
        problems.append(problem("disposable_addresses", text, hint, count=count, query=query))
    never, never_people = audience_checks.count_locals(db, whom.where, whom.params, NEVER_PEOPLE, most=PEOPLE_NAMED)
    roles, role_people = audience_checks.count_locals(db, whom.where, whom.params, ROLES, most=PEOPLE_NAMED)
    if never or roles > whom.size.total * MANY_ROLES:
        count, people = never + roles, (*never_people, *role_people)[:PEOPLE_NAMED]
        whose = "address is" if count == 1 else "addresses are"
        text = f"{count:,} {whose} nobody's own ({', '.join(people)}{_more(count, people)})."
        hint = "Several people read there, or none, and they call it spam more often. Write to people."
        problems.append(problem("role_addresses", text, hint, count=count, people=people))
    return problems


def _more(count: int, people: Collection[str]) -> str:
    return ", …" if count > len(people) else ""


@cache
def disposable_domains() -> frozenset[str]:
    """Some 10,000 domains of services that give addresses for minutes, as disposable-email-domains lists them."""
    from disposable_email_domains import blocklist

    return frozenset(blocklist)


# --- what they got before ---------------------------------------------------------------------------------------------


def history_problems(
    db: sqlite3.Connection, whom: Whom, content_hash: str, now: datetime, *, but: int | None, cap: Frequency | None
) -> list[Problem]:
    """``but`` is the campaign itself, where there is one; ``cap`` is how often anybody may be written to."""
    problems = []
    total = whom.size.total
    usual = audience_checks.largest_lately(db, but=but)
    if usual and total >= UNUSUAL_FROM and total > usual * UNUSUAL:
        text = f"{total:,} people are {total / usual:.0f} times as many as your largest campaign of late."
        hint = "Look whether this is the audience you meant. Mailbox providers distrust a sudden rise."
        problems.append(problem("larger_than_usual", text, hint, count=total))
    full = (cap.most, now - timedelta(days=cap.days)) if cap else None
    before = audience_checks.earlier(
        db, whom.where, whom.params, total, since=now - LATELY, content_hash=content_hash, but=but, full=full
    )
    if cap and before.full:
        count, told = _share(before.full, before, total)
        text = f"{told} had as many messages as you allow ({cap.most} in {cap.days} days), so it leaves them out."
        hint = "Wait, or change frequency under [sending]. In a sequence they wait until there is room."
        problems.append(problem("had_enough", text, hint, count=count))
    if before.looked_at and before.lately > before.looked_at * MANY_LATELY:
        count, told = _share(before.lately, before, total)
        text = f"{told} got something of yours within the last {LATELY.days} days."
        hint = "Too much too soon makes people leave. Wait, or leave out who had enough."
        problems.append(problem("mailed_lately", text, hint, count=count))
    if before.looked_at and before.same > before.looked_at * MANY_SAME:
        count, told = _share(before.same, before, total)
        when = f" on {parse_rfc3339(before.same_at).astimezone():%d %b %Y}" if before.same_at else ""
        text = f"{told} got these very words already, in {shown(before.same_in, limit=60)}{when}."
        hint = "Look whether this is the content you meant."
        problems.append(problem("sent_before", text, hint, count=count))
    return problems


def _share(part: int, before: Before, total: int) -> tuple[int, str]:
    """How many, and how to say it: exactly where everybody was looked at, else about."""
    if before.looked_at >= total:
        return part, f"{part:,} of {total:,} people"
    return round(part / before.looked_at * total), f"About {part / before.looked_at:.0%} of {_people(total)}"


def audience_look(whom: Whom) -> Look:
    suppressed = f", {whom.size.suppressed:,} suppressed" if whom.size.suppressed else ""
    return Look("audience", f"{_people(whom.size.total)}{suppressed}")
