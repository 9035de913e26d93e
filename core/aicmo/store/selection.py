"""Which contacts: a question as a tree, and the only place that knows it as SQL over ``contact``.

Everybody who lists, counts, tags, exports or writes to people takes a ``Selection`` and asks it for ``where()``. Values
are always parameters; free text is quoted word by word, so nothing a person types is ever search syntax. A condition
is true or false of everybody, never NULL, so that its opposite finds exactly the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from aicmo.store.tags import tag_key
from aicmo.text import one_line

SEARCHED = ("email", "first_name", "last_name", "company", "title")
"""The columns of ``contact_fts``."""
CAMPAIGN_EVENTS = ("sent", "opened", "clicked", "replied", "bounced", "unsubscribed", "complained")
"""What can be asked of one campaign, or of any. Of opens and clicks only those of a human count."""

Relation = Literal["=", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. Nothing in it is relative: whoever builds it has turned ``<30d`` into a time."""

    field: str
    """What is compared:

    - ``text``, ``name``, ``email``, ``company``, ``title``: words, found by their beginning, whatever case and accents
    - ``address`` (also one that was merged away), ``domain``, ``stage``, ``tag``, ``consent`` (a purpose), ``import``
      (an id): the whole value
    - ``score`` (0-100), ``created`` (a time), ``next`` (a day; none is never true): with a relation
    - ``last_reply``, ``last_touch``: whether there was one since that time, inclusive; since the empty text, ever
    - ``verified`` (a status), ``suppressed`` (a reason), each of ``CAMPAIGN_EVENTS`` (a campaign's id): empty is any
    - ``field.KEY`` of a custom field: this value, or one of several; with a relation, a number compares with what is a
      number (as JSON writes them), a day with what begins with a day
    - ``among``: those with one of these ids, a JSON array
    - ``remembered``: those who were in the segment with that id when it was looked at
    - ``has``: ``tag``, ``field.KEY``, or a column that is not empty
    """
    value: str
    relation: Relation = "="
    phrase: bool = False
    """The words of ``value`` follow each other, the last one whole."""


@dataclass(frozen=True, slots=True)
class Not:
    node: Node


@dataclass(frozen=True, slots=True)
class And:
    """All of them; none is everybody."""

    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Any of them; none is nobody."""

    nodes: tuple[Node, ...] = ()


Node: TypeAlias = Term | Not | And | Or
Parameters: TypeAlias = tuple[str | float, ...]
Searcher: TypeAlias = Callable[[str], Iterable[int]]
"""The contacts that a full text expression finds."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Contacts of whom ``node`` is true; everybody, unless it is given."""

    node: Node = And()

    def where(self) -> tuple[str, Parameters]:
        """A condition to put after ``FROM contact ... WHERE``, and its parameters."""
        return self._written(_Sql())

    def where_each(self, search: Searcher) -> tuple[str, Parameters]:
        """The same condition, cheap for a few contacts where ``where()`` is for all; ``search`` stands in for the
        full text index."""
        return self._written(_Sql(search))

    def ids(self) -> tuple[str, Parameters]:
        """A ``SELECT`` of their ids, as ``id`` and without an order, and its parameters.

        Where words are looked for, their index leads: rows come by id without a list of all of them being made first.
        """
        words, rest = _words_first(self.node)
        if not words:
            where, parameters = self.where()
            return f"SELECT id FROM contact WHERE {where}", parameters
        # With the plus, the index is not asked once for each of a list of ids.
        alone = not _any(_reads_row, rest)
        sql = _Sql(id="+contact_fts.rowid" if alone else "contact.id")
        joined = "" if alone else "CROSS JOIN contact ON contact.id = contact_fts.rowid"
        where = sql.with_values("contact_fts MATCH ?", words) + f" AND {sql.of(rest)}"
        return f"SELECT contact_fts.rowid AS id FROM contact_fts {joined} WHERE {where}", tuple(sql.parameters)

    @property
    def listed(self) -> bool:
        """Whether finding the first of them means to make a list of many: words, tags, what happened with them."""
        return _any(lambda term: not _reads_row(term), self.node)

    def _written(self, sql: _Sql) -> tuple[str, Parameters]:
        return sql.of(self.node), tuple(sql.parameters)


EVERYBODY = Selection()


def among(ids: Iterable[int]) -> Term:
    """Those with one of ``ids``."""
    return Term("among", json.dumps(list(ids)))


_WORDS = {
    "text": "",
    "name": "{first_name last_name} : ",
    "email": "email : ",
    "company": "company : ",
    "title": "title : ",
}
_COLUMNS = {
    "domain": "contact.domain = ?",
    "stage": "contact.stage = upper(?)",
    "created": "contact.created_at {relation} ?",
    "score": "(contact.score IS NOT NULL AND contact.score {relation} ?)",
}
_ADDRESSES = "(SELECT id AS contact_id, address FROM contact UNION ALL SELECT contact_id, address FROM alias)"
_CONSENT = """purpose = ? COLLATE NOCASE AND given AND NOT EXISTS (
    SELECT 1 FROM consent AS newer
    WHERE newer.contact_id = held.contact_id AND newer.purpose = ? COLLATE NOCASE
          AND (newer.at, newer.id) > (held.at, held.id))"""
_NUMBER = "CASE WHEN json_valid(value) THEN CASE WHEN json_type(value) IN ('integer', 'real') THEN value + 0.0 END END"

_DAY = "CASE WHEN value GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' THEN substr(value, 1, 10) END"
_AMONG = "instr(lower('; ' || value || '; '), lower('; ' || ? || '; '))"
"""It is the value, or one of several as ``crm.fields`` joins them."""
_JSON_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)

_Members: TypeAlias = tuple[str, str, Sequence[str | float]]
"""A table with a ``contact_id``, a condition over its rows, parameters: those who have such a row."""


class _Sql:
    """Writes a tree as a condition, collecting the parameters in the order of their marks."""

    def __init__(self, search: Searcher | None = None, *, id: str = "contact.id") -> None:
        """``id`` is how the contact's id is written where no more of its row is needed."""
        self.parameters: list[str | float] = []
        self._search, self._id = search, id

    def of(self, node: Node) -> str:
        expression = _words(node)
        if expression:
            return self._matching(expression)
        match node:
            case Term():
                return self._term(node)
            case Not(inner):
                return f"NOT ({self.of(inner)})"
            case And():
                expression, rest = _words_first(node)
                parts = [self._matching(expression)] if expression else []
                return " AND ".join([*parts, *map(self._bracketed, _parts(rest))]) or "TRUE"
            case Or(nodes):
                return " OR ".join(map(self._bracketed, nodes)) or "FALSE"

    def _bracketed(self, node: Node) -> str:
        return f"({self.of(node)})"

    def with_values(self, condition: str, *values: str | float) -> str:
        self.parameters += values
        return condition

    def _matching(self, expression: str) -> str:
        if self._search is None:
            found = "SELECT rowid FROM contact_fts WHERE contact_fts MATCH ?"
            return self.with_values(f"{self._id} IN ({found})", expression)
        ids = ",".join(map(str, self._search(expression)))
        return self.with_values("contact.id IN (SELECT value FROM json_each(?))", f"[{ids}]")

    def _term(self, term: Term) -> str:
        if term.field in _WORDS:  # punctuation alone, which the index knows nothing of
            return "FALSE"
        if term.field in _COLUMNS:
            value = float(term.value) if term.field == "score" else term.value
            return self.with_values(_COLUMNS[term.field].format(relation=term.relation), value)
        if term.field == "suppressed":
            reason = "AND reason = ?" if term.value else ""
            key = f"EXISTS (SELECT 1 FROM suppression WHERE key = suppression_key(contact.address) {reason})"
            return self.with_values(f"EXISTS (SELECT 1 FROM suppression) AND {key}", *filter(None, [term.value]))
        if term.field == "among":
            return self.with_values(f"{self._id} IN (SELECT value FROM json_each(?))", term.value)
        if term.field.startswith("field."):
            return self._custom(term.field.removeprefix("field."), term.value, term.relation)
        if term.field == "has" and term.value.startswith("field."):
            key = term.value.removeprefix("field.")
            return self.with_values("EXISTS (SELECT 1 FROM json_each(contact.fields) WHERE key = ?)", key)
        if term.field == "has" and term.value != "tag":
            return {
                "score": "contact.score IS NOT NULL",
                **{name: f"contact.{name} <> ''" for name in ("first_name", "last_name", "company", "title", "phone")},
            }[term.value]
        return " OR ".join(map(self._having, _members(term)))

    def _having(self, members: _Members) -> str:
        table, condition, values = members
        if self._search is None:
            sql = f"{self._id} IN (SELECT contact_id FROM {table} WHERE {condition} AND contact_id IS NOT NULL)"
        else:
            sql = f"EXISTS (SELECT 1 FROM {table} WHERE {condition} AND contact_id = contact.id)"
        return self.with_values(sql, *values)

    def _custom(self, key: str, value: str, relation: Relation) -> str:
        any_value = "EXISTS (SELECT 1 FROM json_each(contact.fields) WHERE key = ? AND ({}))"
        number = as_number(value)
        if relation != "=":
            compared, with_what = (_DAY, value) if number is None else (_NUMBER, number)
            return self.with_values(any_value.format(f"{compared} {relation} ?"), key, with_what)
        if number is None:
            return self.with_values(any_value.format(_AMONG), key, value)
        return self.with_values(any_value.format(f"{_AMONG} OR {_NUMBER} = ?"), key, value, number)


def as_number(text: str) -> float | None:
    """A number as JSON writes it; ``None`` for other text."""
    return float(text) if _JSON_NUMBER.fullmatch(text) else None


def _members(term: Term) -> list[_Members]:
    """Those whom a term is true of: they have a row in one of these."""
    field, value = term.field, term.value
    match field:
        case "address":
            return [(_ADDRESSES, "address = ?", [value])]
        case "tag":
            return [("contact_tag", "tag_id = (SELECT id FROM tag WHERE key = ?)", [tag_key(value)])]
        case "has":
            return [("contact_tag", "TRUE", [])]
        case "import":
            return [("(SELECT id AS contact_id, import_id FROM contact)", "import_id = ?", [int(value)])]
        case "verified":
            return [("verification", "status = ?" if value else "TRUE", [value] if value else [])]
        case "consent":
            return [("consent AS held", _CONSENT, [value, value])]
        case "remembered":
            return [("segment_member", "segment_id = ?", [int(value)])]
        case "next":
            return [("next_action", f"due {term.relation} ?", [value])]
        case "last_reply":
            return [("event", "kind = 'replied' AND at >= ?", [value])]
        case "last_touch":
            return [  # a touch is what ``store.touches`` calls one
                ("event", "human IS NOT 0 AND at >= ?", [value]),
                ("delivery", "state IN ('sent', 'bounced') AND at >= ?", [value]),
            ]
    if field not in CAMPAIGN_EVENTS:
        raise ValueError(f"nobody can be selected by {field}")
    of_campaign, campaign = ("AND campaign_id = ?", [int(value)]) if value else ("", [])
    human = "AND human = 1" if field in ("opened", "clicked") else ""
    happened: list[_Members] = [("event", f"kind = '{field}' {human} {of_campaign}", campaign)]
    in_ledger: list[_Members] = [("delivery", f"state = '{field}' {of_campaign}", campaign)]
    return {"sent": in_ledger, "bounced": in_ledger + happened}.get(field, happened)


def _reads_row(term: Term) -> bool:
    """Whether the contact's own row answers it, and no list of contacts does."""
    if term.field == "has":
        return term.value != "tag"
    return term.field in (*_COLUMNS, "suppressed") or term.field.startswith("field.")


def _any(question: Callable[[Term], bool], node: Node) -> bool:
    match node:
        case Term():
            return question(node)
        case Not(inner):
            return _any(question, inner)
        case And(nodes) | Or(nodes):
            return any(_any(question, each) for each in nodes)


# --- words ------------------------------------------------------------------------------------------------------------


def _parts(node: Node) -> tuple[Node, ...]:
    return node.nodes if isinstance(node, And) else (node,)


def _words_first(node: Node) -> tuple[str, Node]:
    """What of ``node`` the full text index can answer in one go, as its expression, and the rest, which holds too."""
    wanted, unwanted, rest = [], [], []
    for part in _parts(node):
        if words := _words(part):
            wanted.append(words)
        elif isinstance(part, Not) and (words := _words(part.node)):
            unwanted.append((part, words))
        else:
            rest.append(part)
    if not wanted:  # the index cannot say who is not in it
        return "", node
    return " NOT ".join([f"({' AND '.join(wanted)})", *(words for _, words in unwanted)]), And(tuple(rest))


def _words(node: Node) -> str:
    """``node`` as an expression of the full text index (FTS5, 3.1); empty if it asks for anything but words."""
    match node:
        case Term(field, value) if field in _WORDS and any(map(str.isalnum, value)):
            return f"({_WORDS[field]}({_match(node)}))"
        case And(nodes) if nodes:
            words, rest = _words_first(node)
            return f"({words})" if rest == And() else ""
        case Or(nodes) if nodes:
            parts = list(map(_words, nodes))
            return f"({' OR '.join(parts)})" if all(parts) else ""
    return ""


def _match(term: Term) -> str:
    """Quoted strings, in which only the quote has a meaning and is doubled."""
    words = one_line(term.value).replace('"', '""')
    if term.phrase:
        return f'"{words}"'
    return " AND ".join(f'"{word}" *' for word in words.split(" "))
