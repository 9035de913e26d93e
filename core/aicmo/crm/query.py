"""The words a person selects contacts with, such as ``tag:vip -stage:new domain:acme.com "head of" jane``.

Terms stand side by side and hold together; ``-`` before one turns it round. Words without a key are looked for by their
beginning in the address, name, company and title.
"""

from __future__ import annotations

import difflib
import re

from aicmo.crm.address import NotAnAddress, normalise
from aicmo.errors import QueryInvalid
from aicmo.store.contacts import STAGES
from aicmo.store.selection import EVERYBODY, Selection, Term
from aicmo.text import one_line, plain, shown

KEYS = {
    "tag": "has this tag",
    "domain": "the address's domain, by its registrable name",
    "stage": "stage of the lifecycle: " + ", ".join(STAGES).lower(),
    "email": "this address, or words in the address",
    "company": "words in the company's name",
    "field.NAME": "a custom field has this value",
}
"""What may stand before the colon, and what it asks."""

_TERM = re.compile(r'(?P<negated>-?)(?:(?P<key>[\w.]+):)?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))(?=\s|$)')
_SPACE = re.compile(r"\s*")


def parse_query(text: str) -> Selection:
    """The selection ``text`` describes; everybody for an empty one.

    Raises ``QueryInvalid`` with the 0-based column of what cannot be understood, and a hint.
    """
    text = plain(text)
    terms: list[Term] = []
    column = _after_space(text, 0)
    while column < len(text):
        found = _TERM.match(text, column)
        if found is None:
            raise _bad_quote(text, column)
        terms.append(_term(found))
        column = _after_space(text, found.end())
    return Selection(tuple(terms)) if terms else EVERYBODY


def _after_space(text: str, column: int) -> int:
    space = _SPACE.match(text, column)
    return space.end() if space else column


def _bad_quote(text: str, column: int) -> QueryInvalid:
    quote = text.index('"', column)  # whatever holds no quote is a term
    if text.count('"', column) % 2:
        return QueryInvalid("A quote is not closed.", column=quote, hint='Close it: "head of marketing"')
    return QueryInvalid("A quote stands inside a word.", column=quote, hint='Put spaces around "quoted words".')


def _term(found: re.Match[str]) -> Term:
    phrase = found["phrase"] is not None
    value = one_line(found["phrase"] if phrase else found["word"])
    negated, key = bool(found["negated"]), (found["key"] or "").casefold()
    if not value or (not key and not phrase and value.endswith(":")):
        raise QueryInvalid(
            f"Nothing follows {shown(found[0])}.",
            column=found.end(),
            hint='A value with spaces is quoted: tag:"new people"',
        )
    if not key:
        return Term("text", value, negated, phrase)
    if key.startswith("field.") and key != "field.":
        return Term(key, value, negated)
    match key:
        case "tag":
            return Term("tag", value, negated)
        case "domain":
            return Term("domain", _domain(value), negated)
        case "stage":
            return Term("stage", _stage(value, found.start("phrase" if phrase else "word")), negated)
        case "company":
            return Term("company", value, negated, phrase)
        case "email":
            return _email(value, negated, phrase)
        case _:
            raise _unknown_key(key, found.start() + len(found["negated"]))


def _domain(value: str) -> str:
    try:
        return normalise("x@" + value.removeprefix("@")).domain
    except NotAnAddress:
        return value.lower()


def _stage(value: str, column: int) -> str:
    if value.upper() not in STAGES:
        raise QueryInvalid(
            f"There is no stage {shown(value)}.", column=column, hint=_nearest(value.upper(), STAGES).lower()
        )
    return value.upper()


def _email(value: str, negated: bool, phrase: bool) -> Term:
    try:
        return Term("address", normalise(value).address, negated)
    except NotAnAddress:
        return Term("email", value, negated, phrase)


def _unknown_key(key: str, column: int) -> QueryInvalid:
    return QueryInvalid(
        f"There is no key {shown(key + ':')}.",
        column=column,
        hint=f"{_nearest(key, tuple(KEYS))} To look for the words themselves, put them in quotes.",
    )


def _nearest(word: str, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {nearest[0]}?" if nearest else "There are: " + ", ".join(known) + "."
