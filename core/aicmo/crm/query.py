"""The words a person selects contacts with, such as ``tag:vip -stage:new (domain:acme.com or "head of") score:>=60``.

Terms side by side hold together, ``or`` between them binds least, brackets group, ``-`` turns round what follows. Words
without a key are looked for by their beginning in the address, name, company and title. ``query_keys`` has the keys;
``docs/queries.md`` is the person's page. A time such as ``<30d`` counts from the moment of reading, so whatever is kept
(a segment, a campaign's audience) is kept as text and read anew at each use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from aicmo.crm.query_keys import KEYS, Context, SavedQuery, Value, custom_field, nearest
from aicmo.errors import QueryInvalid, VerbHint
from aicmo.store.selection import EVERYBODY, And, Node, Not, Or, Selection, Term
from aicmo.store.tags import tag_key
from aicmo.text import one_line, plain, shown

__all__ = ["KEYS", "SavedQuery", "check_query", "parse_query", "segments_in"]

MAX_TERMS = 500
"""In one query, with those of the segments it names; SQLite stops at a depth of 1,000."""
MAX_DEPTH = 50
"""Of brackets and segments in one another."""

_TERM = re.compile(r'(?:(?P<key>[\w.]+):)?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"()]+))(?=[\s()]|$)')
_SPACE = re.compile(r"\s*")
_OR = re.compile(r"or(?=[\s()]|$)", re.IGNORECASE)


def parse_query(
    text: str, *, now: datetime | None = None, segments: Mapping[str, SavedQuery] | None = None, of: str | None = None
) -> Selection:
    """The selection ``text`` describes; everybody for an empty one.

    ``now`` is what times count from, this moment if it is not given; days are those of the machine's zone.
    ``segments`` are the saved ones by ``tag_key`` of their name; ``crm.segments.select`` reads them from the store.
    ``of`` is the name of the one whose query this is. Raises ``QueryInvalid`` with the 0-based column of what cannot be
    understood, and a hint.
    """
    within = () if of is None else (tag_key(of),)
    node = _read(text, Context(now or datetime.now().astimezone()), {} if segments is None else segments, within)
    return EVERYBODY if node == And() else Selection(node)


def check_query(text: str) -> None:
    """Raises ``QueryInvalid`` for what cannot be understood, as far as it shows without asking which segments exist."""
    _read(text, Context(datetime.now().astimezone()), None)


def segments_in(text: str) -> frozenset[str]:
    """The segments that ``text`` names itself, by ``tag_key``; none if it cannot be read."""
    context = Context(datetime.now().astimezone())
    try:
        _read(text, context, None)
    except QueryInvalid:
        return frozenset()
    return frozenset(context.segments)


def _read(text: str, context: Context, segments: Mapping[str, SavedQuery] | None, within: tuple[str, ...] = ()) -> Node:
    told, text = text, plain(text)
    if told.strip() and not text.strip():  # an empty one would be everybody, which nobody asked for
        raise QueryInvalid("Nothing in the query can be read.", hint="Leave it out to select everybody.")
    try:
        return _Reader(text, context, segments, within).read()
    except QueryInvalid as error:
        error.query = text
        raise


class _Reader:
    """Reads one text; a segment in it is read by another, which counts its terms here."""

    def __init__(
        self, text: str, context: Context, segments: Mapping[str, SavedQuery] | None, within: tuple[str, ...]
    ) -> None:
        """``segments``: ``None`` takes every name. ``within``: the keys of the segments that led here."""
        self._text, self._context, self._segments, self._within = text, context, segments, within
        self._column = 0

    def read(self) -> Node:
        if not self._text.strip():
            return And()
        node = self._either()
        if self._column < len(self._text):
            raise QueryInvalid(
                "This bracket closes nothing.", column=self._column, hint="To look for it, put it in quotes."
            )
        return node

    # --- what binds least comes first -------------------------------------------------------------------------------

    def _either(self) -> Node:
        nodes = [self._together()]
        while self._take_or():
            nodes.append(self._together())
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def _together(self) -> Node:
        nodes: list[Node] = []
        while not self._at_end() and not _OR.match(self._text, self._column):
            nodes.append(self._one())
        if not nodes:
            raise QueryInvalid(
                "Something has to stand here.",
                column=self._column,
                hint='A term, such as tag:vip. To look for the word or, write "or".',
            )
        # Punctuation between words says nothing: Smith & Sons.
        nodes = [node for node in nodes if not _is_punctuation(node)] or nodes
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def _one(self) -> Node:
        text, column = self._text, self._column
        if text[column] == "-" and not text[column + 1 : column + 2].isspace():
            self._column += 1
            if self._column == len(text) or text[self._column] == ")":
                raise QueryInvalid(f"Nothing follows {shown('-')}.", column=self._column, hint="Write -tag:vip, say.")
            return Not(self._deeper(column, self._one))
        if text[column] == "(":
            self._column += 1
            node = self._deeper(column, self._either)
            if self._column == len(text):
                raise QueryInvalid(
                    "This bracket is not closed.", column=column, hint="To look for a bracket, put it in quotes."
                )
            self._column += 1
            return node
        return self._term()

    def _term(self) -> Node:
        found = _TERM.match(self._text, self._column)
        if found is None:
            raise self._bad_quote()
        self._column = found.end()
        self._count_term(found.start())
        quoted = found["phrase"] is not None
        text = one_line(found["phrase"] if quoted else found["word"])
        key, column = (found["key"] or "").casefold(), found.start("phrase" if quoted else "word")
        if not text or (not key and not quoted and text.endswith(":")):
            raise QueryInvalid(
                f"Nothing follows {shown(found[0])}.",
                column=found.end(),
                hint='A value with spaces is quoted: tag:"new people"',
            )
        if not key:
            return Term("text", text, phrase=quoted)
        value = Value(key, text, quoted, column, self._context)
        if key == "segment":
            return self._segment(value)
        if key.startswith("field.") and key != "field.":
            return custom_field(value)
        if key not in KEYS:
            raise QueryInvalid(
                f"There is no key {shown(key + ':')}.",
                column=found.start(),
                hint=f"{nearest(key, KEYS)} To look for the words themselves, put them in quotes.",
            )
        return KEYS[key].read(value)

    # --- segments ---------------------------------------------------------------------------------------------------

    def _segment(self, value: Value) -> Node:
        key = tag_key(value.text)
        self._context.segments.add(key)
        if self._segments is None:
            return And()
        saved = self._segments.get(key)
        if saved is None:
            names = [each.name for each in self._segments.values()]
            raise QueryInvalid(
                f"There is no segment {shown(value.text)}.",
                column=value.column,
                hint=nearest(value.text, names) if names else VerbHint("Make one with", "segment create NAME QUERY"),
            )
        if key in self._within:
            circle = [self._segments[each].name for each in (*self._within[self._within.index(key) :], key)]
            raise QueryInvalid(
                f"The segment {shown(saved.name)} is made of itself.",
                column=value.column,
                hint=f"{' → '.join(circle)}. Take it out of one of their queries.",
            )
        reader = _Reader(plain(saved.query), self._context, self._segments, (*self._within, key))
        try:
            return self._deeper(value.column, reader.read)
        except QueryInvalid as error:
            said = error.message if self._within else f"In the segment {shown(saved.name)}: {error.message}"
            raise QueryInvalid(said, column=value.column, hint=error.hint) from None

    # --- places -----------------------------------------------------------------------------------------------------

    def _at_end(self) -> bool:
        """Whether a group ends at the next character that is no space; the column stands there afterwards."""
        space = _SPACE.match(self._text, self._column)
        self._column = space.end() if space else self._column
        return self._column == len(self._text) or self._text[self._column] == ")"

    def _take_or(self) -> bool:
        found = None if self._at_end() else _OR.match(self._text, self._column)
        if found:
            self._column = found.end()
        return found is not None

    def _deeper(self, column: int, read: Callable[[], Node]) -> Node:
        self._context.depth += 1
        if self._context.depth > MAX_DEPTH:
            raise QueryInvalid(
                f"More than {MAX_DEPTH} brackets stand in one another.", column=column, hint="Take some away."
            )
        node = read()
        self._context.depth -= 1
        return node

    def _count_term(self, column: int) -> None:
        self._context.terms += 1
        if self._context.terms > MAX_TERMS:
            raise QueryInvalid(
                f"More than {MAX_TERMS} terms, with those of the segments.", column=column, hint="Tag these people."
            )

    def _bad_quote(self) -> QueryInvalid:
        quote = self._text.index('"', self._column)  # whatever holds no quote is a term
        if self._text.count('"', self._column) % 2:
            return QueryInvalid("A quote is not closed.", column=quote, hint='Close it: "head of marketing"')
        return QueryInvalid("A quote stands inside a word.", column=quote, hint='Put spaces around "quoted words".')


def _is_punctuation(node: Node) -> bool:
    match node:
        case Term("text", text, phrase=False):
            return not any(map(str.isalnum, text))
    return False
