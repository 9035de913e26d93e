"""The part of Airtable's formula language that a ``filterByFormula`` needs: read once, then asked for each record.

A formula is compared, joined and combined from texts, numbers, ``{fields}`` and the functions of ``_FUNCTIONS``. What
is not understood is an error before any record is looked at, as it is over there.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol


class FormulaError(Exception):
    """The formula cannot be read, or names a field or function that is not there."""


class Record(Protocol):
    """What a formula may ask of a record."""

    id: str
    created_at: datetime
    modified_at: datetime

    @property
    def cells(self) -> Mapping[str, Any]: ...


_Term = Callable[[Record], Any]
_TOKEN = re.compile(
    r"""\s*(?: (?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*") | (?P<number>\d+(?:\.\d+)?) | \{(?P<field>[^{}]+)\}
    | (?P<name>[A-Za-z_]\w*) | (?P<sign><=|>=|!=|[=<>&+\-*/(),]) )""",
    re.VERBOSE | re.DOTALL,
)
_ERROR = object()
"""``#Error!``: a value that no comparison makes true."""


def compile_formula(formula: str, fields: Mapping[str, str]) -> Callable[[Record], bool]:
    """Whether a record passes; ``fields`` maps the names and ids that may be used to names. Raises ``FormulaError``."""
    parser = _Parser(formula, fields)
    term = parser.comparison()
    if parser.left:
        raise FormulaError(f"unexpected {parser.left[0][1]}")
    return lambda record: _is_true(term(record))


class _Parser:
    def __init__(self, formula: str, fields: Mapping[str, str]) -> None:
        self.left: list[tuple[str, str]] = []
        self._fields = fields
        at = 0
        formula = formula.rstrip()
        while at < len(formula):
            found = _TOKEN.match(formula, at)
            if not found:
                raise FormulaError(f"cannot read {formula[at : at + 20]}")
            assert found.lastgroup
            self.left.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        if len(self.left) > 20_000:
            raise FormulaError("too long")

    def comparison(self) -> _Term:
        term = self._sum()
        while sign := self._sign(*_COMPARE):
            term = _compared(sign, term, self._sum())
        return term

    def _sum(self) -> _Term:
        term = self._product()
        while sign := self._sign("&", "+", "-"):
            term = _joined(term, self._product()) if sign == "&" else _computed(sign, term, self._product())
        return term

    def _product(self) -> _Term:
        term = self._single()
        while sign := self._sign("*", "/"):
            term = _computed(sign, term, self._single())
        return term

    def _single(self) -> _Term:
        if not self.left:
            raise FormulaError("it ends too soon")
        kind, word = self.left.pop(0)
        if kind == "text":
            text = re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL)
            return lambda _: text
        if kind == "number":
            number = float(word)
            return lambda _: number
        if kind == "name" and self._sign("("):
            return self._call(word.upper())
        if kind in ("field", "name"):
            return self._cell(word)
        if word == "-":
            return _computed("-", lambda _: 0.0, self._single())
        if word == "(":
            term = self.comparison()
            if self._sign(")"):
                return term
        raise FormulaError(f"unexpected {word}")

    def _cell(self, name: str) -> _Term:
        if name not in self._fields:
            raise FormulaError(f"Unknown field names: {name.lower()}")
        field = self._fields[name]
        return lambda record: record.cells.get(field)

    def _call(self, name: str) -> _Term:
        arguments: list[_Term] = []
        while not self._sign(")"):
            if arguments and not self._sign(","):
                raise FormulaError(f"{name} is not closed")
            arguments.append(self.comparison())
        if name not in _FUNCTIONS:
            raise FormulaError(f"there is no {name}")
        fewest, most, function = _FUNCTIONS[name]
        if not fewest <= len(arguments) <= most:
            raise FormulaError(f"{name} takes {fewest} to {most} values")
        return lambda record: function(record, [argument(record) for argument in arguments])

    def _sign(self, *signs: str) -> str:
        """The next token if it is one of these signs; empty if it is not."""
        return self.left.pop(0)[1] if self.left and self.left[0][0] == "sign" and self.left[0][1] in signs else ""


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _compared(sign: str, first: _Term, second: _Term) -> _Term:
    def term(record: Record) -> Any:
        one, two = first(record), second(record)
        if one is _ERROR or two is _ERROR:
            return _ERROR
        if isinstance(one, datetime) or isinstance(two, datetime):
            one, two = _moment(one), _moment(two)
        elif not all(isinstance(value, int | float) for value in (one, two)):
            one, two = _as_text(one), _as_text(two)
        if one is None or two is None:
            return sign == "!="
        return _COMPARE[sign](one, two)

    return term


def _joined(first: _Term, second: _Term) -> _Term:
    return lambda record: _as_text(first(record)) + _as_text(second(record))


def _computed(sign: str, first: _Term, second: _Term) -> _Term:
    compute = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[sign]

    def term(record: Record) -> Any:
        one, two = first(record) or 0, second(record) or 0
        if not all(isinstance(value, int | float) for value in (one, two)) or (sign == "/" and not two):
            return _ERROR
        return compute(one, two)

    return term


def _is_true(value: Any) -> bool:
    """Airtable drops a record for 0, false, "", NaN, [] and #Error!."""
    return value is not _ERROR and bool(value) and not (isinstance(value, float) and math.isnan(value))


def _as_text(value: Any) -> str:
    if value is None or value is _ERROR:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ", ".join(map(_as_text, value)) if isinstance(value, list) else str(value)


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(_as_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Record, Sequence[Any]], Any]:
    def function(_record: Record, values: Sequence[Any]) -> Any:
        one, two = _moment(values[0]), _moment(values[1])
        return _ERROR if one is None or two is None else compare(one, two)

    return function


def _parsed(_record: Record, values: Sequence[Any]) -> Any:
    moment = _moment(values[0])
    return _ERROR if moment is None else moment


_Function = Callable[[Record, Sequence[Any]], Any]
# name: (fewest arguments, most, what it does)
_FUNCTIONS: Mapping[str, tuple[int, int, _Function]] = {
    "AND": (1, 1000, lambda _, values: all(map(_is_true, values))),
    "OR": (1, 1000, lambda _, values: any(map(_is_true, values))),
    "NOT": (1, 1, lambda _, values: not _is_true(values[0])),
    "TRUE": (0, 0, lambda *_: True),
    "FALSE": (0, 0, lambda *_: False),
    "BLANK": (0, 0, lambda *_: None),
    "LOWER": (1, 1, lambda _, values: _as_text(values[0]).lower()),
    "UPPER": (1, 1, lambda _, values: _as_text(values[0]).upper()),
    "TRIM": (1, 1, lambda _, values: _as_text(values[0]).strip()),
    "LEN": (1, 1, lambda _, values: len(_as_text(values[0]))),
    "FIND": (2, 2, lambda _, values: _as_text(values[1]).find(_as_text(values[0])) + 1),
    "RECORD_ID": (0, 0, lambda record, _: record.id),
    "CREATED_TIME": (0, 0, lambda record, _: record.created_at),
    "LAST_MODIFIED_TIME": (0, 1, lambda record, _: record.modified_at),
    "DATETIME_PARSE": (1, 2, _parsed),
    "IS_AFTER": (2, 2, _ordered(operator.gt)),
    "IS_BEFORE": (2, 2, _ordered(operator.lt)),
    "IS_SAME": (2, 3, _ordered(operator.eq)),
}
