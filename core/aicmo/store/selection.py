"""Which contacts: a question that is known only as SQL over ``contact``.

Everybody who lists, counts, tags, exports or writes to people takes a ``Selection`` and asks it for ``where()``. Values
are always parameters; free text is quoted word by word, so nothing a person types is ever search syntax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aicmo.store.tags import tag_key
from aicmo.text import one_line

SEARCHED = ("email", "first_name", "last_name", "company", "title")
"""The columns of ``contact_fts``."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. All terms of a selection hold together."""

    field: str
    """``text``, ``address``, ``email``, ``company``, ``domain``, ``stage``, ``tag`` or ``field.KEY`` of a custom field.

    ``text``, ``email`` and ``company`` find words by their beginning, without regard to case and accents; the others
    compare the whole value.
    """
    value: str
    negated: bool = False
    phrase: bool = False
    """The words of ``value`` follow each other, the last one whole."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Contacts that meet every term; without terms, everybody."""

    terms: tuple[Term, ...] = ()

    def where(self) -> tuple[str, tuple[str, ...]]:
        """A condition to put after ``FROM contact ... WHERE``, and its parameters."""
        return to_sql(self.terms)


EVERYBODY = Selection()

_CONDITIONS = {
    "address": "contact.address = ?",
    "domain": "contact.domain = ?",
    "stage": "contact.stage = upper(?)",
    "tag": "contact.id IN (SELECT contact_id FROM contact_tag JOIN tag ON tag.id = tag_id WHERE key = ?)",
}
_MATCHING = "contact.id IN (SELECT rowid FROM contact_fts WHERE contact_fts MATCH ?)"


def to_sql(terms: Sequence[Term]) -> tuple[str, tuple[str, ...]]:
    """The terms as one SQL condition over ``contact``, and its parameters."""
    conditions: list[str] = []
    parameters: list[str] = []
    for term in terms:
        condition, values = _condition(term)
        conditions.append(f"NOT ({condition})" if term.negated else f"({condition})")
        parameters += values
    return " AND ".join(conditions) or "TRUE", tuple(parameters)


def _condition(term: Term) -> tuple[str, list[str]]:
    if term.field == "text":
        return _MATCHING, [_match(term)]
    if term.field in SEARCHED:
        return _MATCHING, [f"{term.field} : ({_match(term)})"]
    if term.field.startswith("field."):
        key = term.field.removeprefix("field.")
        return "EXISTS (SELECT 1 FROM json_each(contact.fields) WHERE key = ? AND value = ? COLLATE NOCASE)", [
            key,
            term.value,
        ]
    return _CONDITIONS[term.field], [tag_key(term.value) if term.field == "tag" else term.value]


def _match(term: Term) -> str:
    """An FTS5 expression of quoted strings, in which only the quote has a meaning and is doubled (FTS5, 3.1)."""
    words = one_line(term.value).replace('"', '""')
    if term.phrase:
        return f'"{words}"'
    return " AND ".join(f'"{word}" *' for word in words.split(" "))
