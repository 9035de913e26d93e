"""Who may be in the list twice: pairs of people, with the reasons and a score, the surest first.

Comparing everybody with everybody is out of the question, so people are put into blocks by what two records of one
person have in common (a spelling of the address, a phone, a profile, a name, a company), and compared within a block.
A sign alone says how likely it is that two records that share it are one person; signs add up as independent ones do. A
different person's word, "these are two", is remembered and final.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import prod
from typing import NamedTuple
from urllib.parse import urlsplit

from aicmo.crm.domains import is_free_mail
from aicmo.store import duplicates

SCORES = {
    "address": 0.97,
    "profile": 0.97,
    "phone": 0.7,
    "name and company": 0.9,
    "similar name and company": 0.7,
    "name": 0.5,
}
"""How likely two people are one when they share this and nothing else is known: rough, and only compared among
themselves."""
LEAST_SCORE = 0.6
"""Pairs below are not worth a person's time: half the Anna Müllers of a list are two."""
SIMILAR = 88.0
"""How alike two names must be, 0-100 (normalised edit distance of their words in order of the alphabet)."""
CROWD = 8
"""A phone that more people share is a switchboard's, a profile a company's: it says nothing of one person."""
_NEIGHBOURS = 6
"""In a company of many, a name is compared with so many that follow it in the alphabet."""
_ASK_EVERY = 5_000
_READ = 0.5
"""The share of the work that reading everybody is; comparing them is the rest."""

_PROFILE_FIELDS = ("linkedin", "linkedin_url", "profile", "profile_url", "twitter", "x_url", "xing")
_IGNORES_DOTS = frozenset({"gmail.com", "googlemail.com"})
_NOT_DIGITS = re.compile(r"\D+")
_NOT_LETTERS = re.compile(r"[^\w]+")


class Reason(NamedTuple):
    sign: str
    """A key of ``SCORES``."""
    shared: str
    """What the two have in common, in a few words."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two who may be one, by address; ``ids`` with the smaller first."""

    ids: tuple[int, int]
    emails: tuple[str, str]
    names: tuple[str, str]
    score: float
    """0 to 1."""
    reasons: tuple[Reason, ...]

    @property
    def is_exact(self) -> bool:
        """Whether nothing but the spelling differs: safe to merge in bulk."""
        same_name = self.names[0].casefold() == self.names[1].casefold()
        signs = {reason.sign for reason in self.reasons}
        return bool(signs & {"address", "profile"}) and (same_name or not all(self.names))

    def with_reasons(self, more: Iterable[Reason]) -> Pair:
        """The same two, when there is more that they share; a sign counts once."""
        signs = {reason.sign: reason for reason in (*more, *self.reasons)}
        if "name and company" in signs:
            signs.pop("name", None)  # it is in that one
        reasons = sorted(signs.values(), key=lambda reason: -SCORES[reason.sign])
        score = 1 - prod(1 - SCORES[reason.sign] for reason in reasons)
        return replace(self, score=round(score, 3), reasons=tuple(reasons))


class _Person(NamedTuple):
    id: int
    email: str
    name: str
    words: str
    """The name's words, folded, in order of the alphabet."""
    company: str
    """The company's domain; of one with a free mail address the folded name; empty: not known."""


def find_duplicates(
    db: sqlite3.Connection,
    *,
    least_score: float = LEAST_SCORE,
    progress: Callable[[float], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Pair]:
    """Every pair worth a look, the surest first. Empty when ``cancelled``.

    ``progress`` gets the fraction, 0 to 1, of the work that is done. 50,000 people take a few seconds and some 50 MB.
    """

    def goes_on(fraction: float) -> bool:
        if progress is not None:
            progress(fraction)
        return not cancelled()

    everybody: dict[int, _Person] = {}
    blocks: dict[tuple[str, str], list[int]] = defaultdict(list)
    total = duplicates.how_many(db)
    for row in duplicates.people(db):
        if len(everybody) % _ASK_EVERY == 0 and not goes_on(_READ * len(everybody) / max(total, 1)):
            return []
        person = _person(row)
        everybody[person.id] = person
        for sign, value in _signs(row, person):
            blocks[sign, value].append(person.id)
    two = duplicates.known_to_be_two(db)
    reasons: dict[tuple[int, int], list[Reason]] = defaultdict(list)
    for number, ((sign, value), members) in enumerate(blocks.items()):
        if number % _ASK_EVERY == 0 and not goes_on(_READ + (1 - _READ) * number / len(blocks)):
            return []
        if len(members) > 1:
            for ids, reason in _compared(sign, value, [everybody[each] for each in members]):
                if ids not in two:
                    reasons[ids].append(reason)
    goes_on(1.0)
    pairs = (_pair(everybody[ids[0]], everybody[ids[1]], found) for ids, found in reasons.items())
    return surest_first(pair for pair in pairs if pair.score >= least_score)


def surest_first(pairs: Iterable[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: (-pair.score, pair.ids))


def mail_variant(address: str) -> str:
    """What two spellings that reach one mailbox have in common: no ``+tag``, and where dots mean nothing, no dots.

    A hint, never an identity: outside the providers that promise it (Google: dots; most: ``+``) it may be wrong.
    """
    local, _, domain = address.partition("@")
    local = local.partition("+")[0] or local
    if domain in _IGNORES_DOTS:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def profile_key(url: str) -> str:
    """What two spellings of a profile's address have in common; empty when it is none."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    host = (parts.hostname or "").removeprefix("www.")
    path = parts.path.rstrip("/").casefold()
    return f"{host}{path}" if "." in host and path else ""


def phone_key(phone: str) -> str:
    """The last nine digits, which is what is left when countries and trunk prefixes are written in different ways."""
    digits = _NOT_DIGITS.sub("", phone)
    return digits[-9:] if len(digits) >= 7 else ""


def folded(text: str) -> str:
    """Words without case, accents and punctuation, in order of the alphabet: ``Doe, Jané`` is ``doe jane``."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(sorted(_NOT_LETTERS.sub(" ", plain).split()))


def _person(row: sqlite3.Row) -> _Person:
    name = f"{row['first_name']} {row['last_name']}".strip()
    free = is_free_mail(row["domain"])
    return _Person(row["id"], row["email"], name, folded(name), folded(row["company"]) if free else row["domain"])


def _signs(row: sqlite3.Row, person: _Person) -> Iterator[tuple[str, str]]:
    """The blocks that somebody stands in."""
    yield "address", mail_variant(row["address"])
    if key := phone_key(row["phone"]):
        yield "phone", key
    for field in _PROFILE_FIELDS:
        if field in row["fields"] and (key := profile_key(duplicates.field(row, field))):
            yield "profile", key
    if " " in person.words:
        yield "name", person.words
        if person.company:
            yield "company", person.company
            if company := folded(row["company"]):
                yield "company", company


def _compared(sign: str, value: str, people: Sequence[_Person]) -> Iterator[tuple[tuple[int, int], Reason]]:
    """The pairs in one block, and what they share."""
    if sign == "company":
        yield from _colleagues(value, people)
    elif sign in ("address", "name") or len(people) <= CROWD:
        by_id = {person.id: person for person in people}
        for one, two in _close(by_id):
            if sign != "name" or by_id[one].company != by_id[two].company:
                yield (one, two), Reason(sign, by_id[one].name if sign == "name" else value)


def _colleagues(company: str, people: Sequence[_Person]) -> Iterator[tuple[tuple[int, int], Reason]]:
    """Those of one company with the same name, or nearly: a typo, a middle name, a short form."""
    from rapidfuzz.fuzz import ratio

    ordered = sorted(set(people), key=lambda person: person.words)
    for place, one in enumerate(ordered):
        for two in ordered[place + 1 : place + 1 + _NEIGHBOURS]:
            ids = (min(one.id, two.id), max(one.id, two.id))
            if one.words == two.words:
                yield ids, Reason("name and company", f"{one.name}, {company}")
            elif ratio(one.words, two.words, score_cutoff=SIMILAR):
                yield ids, Reason("similar name and company", f"{one.name} and {two.name}, {company}")


def _close(ids: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Pairs in a block: all of a small one, neighbours in a crowd, so that a block costs no more than its size."""
    ordered = sorted(ids)
    return combinations(ordered, 2) if len(ordered) <= CROWD else pairwise(ordered)


def _pair(one: _Person, two: _Person, reasons: Sequence[Reason]) -> Pair:
    return Pair((one.id, two.id), (one.email, two.email), (one.name, two.name), 0.0, ()).with_reasons(reasons)
