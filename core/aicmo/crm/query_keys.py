"""What may stand before the colon of a query's term, and how what stands after it is read.

``KEYS`` is the table that completion, the help and the tests walk. A reader turns a ``Value`` into terms that the store
compares; what it cannot read it refuses, pointing at it and naming the nearest thing that is known.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from aicmo.clock import rfc3339
from aicmo.crm.address import NotAnAddress, domain_of, normalise
from aicmo.errors import QueryInvalid
from aicmo.store.contacts import STAGES
from aicmo.store.selection import And, Node, Not, Or, Relation, Term, as_number
from aicmo.text import shown


class SavedQuery(NamedTuple):
    """A segment, as far as a query that names it is concerned."""

    name: str
    query: str


@dataclass(slots=True)
class Context:
    """What a query is read in."""

    now: datetime
    terms: int = 0
    """How many were read so far."""
    depth: int = 0
    """In how many brackets and segments reading stands."""
    segments: set[str] = field(default_factory=set)
    """Those that were named, by ``tag_key``."""

    @property
    def today(self) -> date:
        return self.now.astimezone().date()


@dataclass(frozen=True, slots=True)
class Value:
    """What stands after a key."""

    key: str
    text: str
    quoted: bool
    column: int
    """Where it begins."""
    context: Context

    def invalid(self, message: str, hint: str) -> QueryInvalid:
        return QueryInvalid(message, column=self.column, hint=hint)

    def compared(self) -> tuple[Relation | None, str]:
        """``>=60`` as its relation and the rest; without one, ``None`` and all of it."""
        found = None if self.quoted else _RELATION.match(self.text)
        if found is None:
            return None, self.text
        relation: Relation = found[0]  # type: ignore[assignment]
        return relation, self.text[found.end() :]


class Key(NamedTuple):
    means: str
    """In a phrase: people for whom ... """
    read: Callable[[Value], Node]
    values: tuple[str, ...] = ()
    """Some of what may follow, for completion."""


_RELATION = re.compile("<=|>=|<|>|=")
_AGE = re.compile(r"(\d{1,2}(?=y)|\d{1,4}(?!y))([hdwy])", re.ASCII)
_DAY = re.compile(r"(19|20|21)\d\d-\d\d-\d\d", re.ASCII)
"""So near that no calculation leaves the calendar."""
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}
_LARGEST = 2**63 - 1
"""The largest integer that SQLite holds."""
_SUPPRESSED = ("unsubscribed", "bounced", "complained", "manual")
_VERIFIED = ("valid", "risky", "invalid", "unknown")
_COLUMNS = ("first_name", "last_name", "company", "title", "phone", "score", "tag")
_AGES = ("<7d", "<30d", ">90d")


def nearest(word: str, known: Iterable[str]) -> str:
    """The one that was probably meant, or all there are, as a sentence."""
    by_key = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(word.casefold(), by_key, n=1)
    return f"Did you mean {by_key[close[0]]}?" if close else "There are: " + ", ".join(by_key.values()) + "."


# --- words and names --------------------------------------------------------------------------------------------------


def _words(value: Value) -> Node:
    return Term(value.key, value.text, phrase=value.quoted)


def _whole(value: Value) -> Node:
    return Term(value.key, value.text)


def _email(value: Value) -> Node:
    try:
        return Term("address", normalise(value.text).address)
    except NotAnAddress:
        return _words(value)


def _domain(value: Value) -> Node:
    return Term("domain", domain_of(value.text))


def _stage(value: Value) -> Node:
    return Term("stage", _one_of(value, tuple(map(str.lower, STAGES)), "stage").upper())


def _one_of(value: Value, known: tuple[str, ...], what: str) -> str:
    word = value.text.lower()
    if word not in known:
        raise value.invalid(f"There is no {what} {shown(value.text)}.", nearest(word, known))
    return word


def _verified(value: Value) -> Node:
    word = _one_of(value, (*_VERIFIED, "any", "never"), "verification result")
    return Not(Term("verified", "")) if word == "never" else Term("verified", "" if word == "any" else word)


def _suppressed(value: Value) -> Node:
    word = _one_of(value, ("yes", "no", *_SUPPRESSED), "reason")
    return Not(Term("suppressed", "")) if word == "no" else Term("suppressed", "" if word == "yes" else word)


def _has(value: Value) -> Node:
    word = value.text.lower()
    if word == "name":
        return Or((Term("has", "first_name"), Term("has", "last_name")))
    if word == "next":
        return Term("next", "", ">=")
    if word.startswith("field.") and word != "field.":
        return Term("has", word)
    return Term("has", _one_of(value, (*_COLUMNS, "name", "next", "field.NAME"), "field"))


# --- numbers ----------------------------------------------------------------------------------------------------------


def _score(value: Value) -> Node:
    relation, text = value.compared()
    if as_number(text) is None:
        raise value.invalid(f"{shown(value.text)} is no score.", "Compare it with a number of 0 to 100: score:>=60")
    return Term("score", text, relation or "=")


def _import(value: Value) -> Node:
    return Term("import", _id(value, "import"))


def _event(value: Value) -> Node:
    if value.text.lower() == "any":
        return Term(value.key, "")
    return Term(value.key, _id(value, "campaign"))


def _id(value: Value, what: str) -> str:
    text = value.text
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST):
        also = ", or any" if what == "campaign" else ""
        raise value.invalid(f"{shown(text)} is no {what}'s number.", f"Name it by its number{also}: {value.key}:3")
    return str(int(text))


# --- times ------------------------------------------------------------------------------------------------------------


def _last(value: Value) -> Node:
    """Never is longer ago than any time, so ``>90d`` and days before one include those with none."""
    word = value.text.lower()
    if word in ("any", "never"):
        ever = Term(value.key, "", ">=")
        return ever if word == "any" else Not(ever)
    return _time(value)


def _time(value: Value) -> Node:
    """Everything is said by "at that time or later", and its opposite."""

    def since(moment: datetime) -> Node:
        return Term(value.key, rfc3339(moment), ">=")

    relation, text = value.compared()
    if age := _AGE.fullmatch(text.lower()):
        if relation is None or relation == "=":
            raise value.invalid(
                f"{shown(text)} lacks its comparison.", f"{value.key}:<{text} is less than that long ago."
            )
        recent = since(value.context.now - _length(age))
        return recent if relation in ("<", "<=") else Not(recent)
    day = _day(value, text)
    from_it, after_it = since(_midnight(day)), since(_midnight(day + timedelta(days=1)))
    match relation or "=":
        case ">=":
            return from_it
        case ">":
            return after_it
        case "<":
            return Not(from_it)
        case "<=":
            return Not(after_it)
        case _:
            return And((from_it, Not(after_it)))


def _next(value: Value) -> Node:
    today, word = value.context.today, value.text.lower()
    planned = Term("next", "", ">=")
    if word in ("any", "none"):
        return planned if word == "any" else Not(planned)
    if word == "overdue":
        return Term("next", today.isoformat(), "<")
    relation, text = value.compared()
    if (age := _AGE.fullmatch(text.lower())) and age[2] != "h" and relation not in (None, "="):
        day = today + _length(age)
    else:
        day = _day(value, text, "overdue, none, any, today, <7d (in less than 7 days) or a day")
    return Term("next", day.isoformat(), relation or "=")


def _day(value: Value, text: str, known: str = "<30d (less than 30 days ago), today, yesterday or a day") -> date:
    named = {"yesterday": -1, "today": 0, "tomorrow": 1}
    if text.lower() in named:
        return value.context.today + timedelta(days=named[text.lower()])
    try:
        if not _DAY.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise value.invalid(f"{shown(text)} is no time.", f"Write {known} such as 2026-01-31.") from None


def _length(age: re.Match[str]) -> timedelta:
    return timedelta(hours=int(age[1]) * _HOURS[age[2]])


def _midnight(day: date) -> datetime:
    """When that day begins, in the machine's zone."""
    return datetime.combine(day, time()).astimezone()


# --- custom fields ----------------------------------------------------------------------------------------------------


def custom_field(value: Value) -> Node:
    """``field.city:London``; a comparison takes a number or a day, and is true only of values of that kind."""
    relation, text = value.compared()
    if relation is None:
        return Term(value.key, value.text)
    if as_number(text) is not None:
        return Term(value.key, text, relation)
    return Term(value.key, _day(value, text, "a number, today, or a day").isoformat(), relation)


KEYS: dict[str, Key] = {
    "tag": Key("who have this tag", _whole),
    "stage": Key("at this stage of the lifecycle", _stage, tuple(map(str.lower, STAGES))),
    "domain": Key("whose address belongs to this domain", _domain),
    "email": Key("with this address, or with these words in it", _email),
    "name": Key("with these words in their name", _words),
    "company": Key("with these words in their company's name", _words),
    "title": Key("with these words in their title", _words),
    "score": Key("whose score compares so", _score, (">=60", "<20")),
    "created": Key("who came at that time", _time, _AGES),
    "last_reply": Key("whose last reply was then", _last, (*_AGES, "any", "never")),
    "last_touch": Key("whom we last spoke with or wrote to then", _last, (*_AGES, "any", "never")),
    "next": Key("with whom something is planned", _next, ("overdue", "today", "<7d", "any", "none")),
    "verified": Key("whose address was found to be so", _verified, (*_VERIFIED, "any", "never")),
    "suppressed": Key("who must not be written to", _suppressed, ("yes", "no", *_SUPPRESSED)),
    "consent": Key("who agreed to this, and still do", _whole),
    "has": Key("of whom this is known", _has, (*_COLUMNS, "name", "next")),
    "field.": Key("whose custom field has this value, or compares so", custom_field),
    "segment": Key("who are in this segment", _whole),
    "import": Key("who came with this import", _import),
    "sent": Key("whom this campaign reached", _event, ("any",)),
    "opened": Key("who opened it; weak, because many mail programs open by themselves or not at all", _event, ("any",)),
    "clicked": Key("who clicked in it, machines left out", _event, ("any",)),
    "replied": Key("who replied to it", _event, ("any",)),
    "bounced": Key("whose copy came back", _event, ("any",)),
    "unsubscribed": Key("who unsubscribed at it", _event, ("any",)),
    "complained": Key("who called it spam", _event, ("any",)),
}
"""Key -> what it asks, how it is read, what may follow. ``field.`` goes on with the custom field's own key."""
