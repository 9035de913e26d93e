"""vCard 2.1, 3.0 and 4.0 (RFC 2426, RFC 6350), as telephones and address books write them.

A reader of our own: the libraries hold the whole file, and give up at the slips that real exports are full of. Only
what a contact can hold is taken; photographs, sounds and keys are passed over without being kept.
"""

from __future__ import annotations

import contextlib
import quopri
import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple, TextIO

from aicmo.crm.reading.encoding import mended
from aicmo.crm.reading.source import Source
from aicmo.crm.reading.table import SAMPLE_ROWS, Row, Table, UnreadableRow

MAX_LINE = 200_000
"""Characters in one property; what is longer is cut here: no text of a person's is."""
HEADER = (
    "email",
    "first name",
    "last name",
    "name",
    "company",
    "title",
    "phone",
    "tags",
    "other emails",
    "other phones",
    "department",
    "street",
    "city",
    "region",
    "postal code",
    "country",
    "url",
    "birthday",
    "nickname",
    "note",
)
_PLAIN = {"URL": "url", "BDAY": "birthday", "NICKNAME": "nickname", "NOTE": "note", "FN": "name", "TITLE": "title"}
_BEFORE_VALUE = re.compile(r'(?:[^":]|"[^"]*")*')
_PARAMETER = re.compile(r';((?:[^";]|"[^"]*")*)')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class _Property(NamedTuple):
    name: str
    parameters: tuple[str, ...]
    """In capitals: ``TYPE=HOME``, or ``HOME`` alone."""
    value: str
    """Still escaped."""

    def is_preferred(self) -> bool:
        return any(each in ("PREF", "PREF=1") or "=PREF" in each or ",PREF" in each for each in self.parameters)


@contextlib.contextmanager
def open_vcards(source: Source) -> Iterator[Table]:
    """One row for each card."""
    with source.text() as text:
        cards = _cards(_properties(text))
        first = list(islice(cards, SAMPLE_ROWS))
        sample = tuple(tuple(row) for row in first if not isinstance(row, UnreadableRow))

        def rows() -> Iterator[Row]:
            yield from first
            yield from cards

        yield Table(source, HEADER, sample, rows)


def _cards(properties: Iterator[_Property]) -> Iterator[Row]:
    """What stands between BEGIN and END; a card within a card (2.1's AGENT) is not a person of ours."""
    held: list[_Property] = []
    depth = number = 0
    for each in properties:
        marks = each.value.strip().upper() == "VCARD"
        if each.name == "BEGIN" and marks:
            depth += 1
        elif each.name == "END" and marks and depth:
            depth -= 1
            if not depth:
                number += 1
                yield _row(held)
                held = []
        elif depth == 1:
            held.append(each)
    if depth:
        yield UnreadableRow(f"card {number + 1} has no END:VCARD")


def _row(held: list[_Property]) -> list[str]:
    cells: dict[str, str] = {}
    emails, phones = _ordered(held, "EMAIL", "mailto:"), _ordered(held, "TEL", "tel:")
    cells["email"], cells["other emails"] = "".join(emails[:1]), ", ".join(emails[1:])
    cells["phone"], cells["other phones"] = "".join(phones[:1]), ", ".join(phones[1:])
    for each in held:
        if each.name == "N":
            last, first = _parts(each.value, ";", 2)
            cells["last name"], cells["first name"] = last, first
        elif each.name == "ORG" and "company" not in cells:
            cells["company"], cells["department"] = _parts(each.value, ";", 2)
        elif each.name == "ADR" and "city" not in cells:
            names = ("street", "city", "region", "postal code", "country")
            cells.update(zip(names, _parts(each.value, ";", 7)[2:], strict=True))
        elif each.name == "CATEGORIES":
            cells["tags"] = ",".join(filter(None, [cells.get("tags", ""), _unescaped(each.value)]))
        elif each.name in _PLAIN:
            cells.setdefault(_PLAIN[each.name], _unescaped(each.value))
    roles = (_unescaped(each.value) for each in held if each.name == "ROLE")
    cells["title"] = cells.get("title") or next(roles, "")
    return [cells.get(name, "") for name in HEADER]


def _ordered(held: list[_Property], name: str, scheme: str) -> list[str]:
    """The values of every property of that name, the preferred ones first, each once."""
    found = sorted((each for each in held if each.name == name), key=lambda each: not each.is_preferred())
    values = (_unescaped(each.value).strip() for each in found)
    return list(dict.fromkeys(value[len(scheme) :] if value.lower().startswith(scheme) else value for value in values))


def _parts(value: str, separator: str, count: int) -> list[str]:
    """The first ``count`` parts of a structured value; a separator behind a backslash separates nothing."""
    parts = re.split(rf"(?<!\\){separator}", value)
    return [_unescaped(part) for part in (parts + [""] * count)[:count]]


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


# --- from lines to properties -----------------------------------------------------------------------------------------


def _properties(text: TextIO) -> Iterator[_Property]:
    for line in _unfolded(text):
        head = _BEFORE_VALUE.match(line)
        if head is None or head.end() == len(line):
            continue  # no colon: not a property
        name = head[0].partition(";")[0].rpartition(".")[2].strip().upper()  # item1.EMAIL is Apple's
        parameters = tuple(each.strip().upper() for each in _PARAMETER.findall(head[0]))
        value = line[head.end() + 1 :]
        if _is_quoted(parameters):
            value = _unquoted(value, parameters)
        elif any(each in ("BASE64", "ENCODING=B", "ENCODING=BASE64") for each in parameters):
            continue
        yield _Property(name, parameters, mended(value))


def _unfolded(text: TextIO) -> Iterator[str]:
    """Whole lines. What was folded begins with a space (RFC 6350 3.2); 2.1's quoted-printable ends with ``=``."""
    whole, keeps_space = "", False
    for line in _lines(text):
        if whole and line[:1] in (" ", "\t") and line.strip():
            piece = line if keeps_space else line[1:]
        elif whole.endswith("=") and "QUOTED-PRINTABLE" in whole.partition(":")[0].upper():
            whole, piece = whole[:-1], line
        else:
            if whole:
                yield whole
            whole, piece = "", line
            keeps_space = line.upper().startswith("VERSION:2") or (keeps_space and not line.upper().startswith("VERS"))
        whole = (whole + piece)[:MAX_LINE]
    if whole:
        yield whole


def _lines(text: TextIO) -> Iterator[str]:
    while line := text.readline(MAX_LINE):
        yield line.rstrip("\r\n")


def _is_quoted(parameters: tuple[str, ...]) -> bool:
    return any(each in ("QUOTED-PRINTABLE", "ENCODING=QUOTED-PRINTABLE") for each in parameters)


def _unquoted(value: str, parameters: tuple[str, ...]) -> str:
    raw = quopri.decodestring(value.encode("utf-8", "surrogateescape"))
    named = next((each.removeprefix("CHARSET=") for each in parameters if each.startswith("CHARSET=")), "UTF-8")
    try:
        return raw.decode(named)
    except (LookupError, UnicodeDecodeError):
        return raw.decode("utf-8", "surrogateescape")
