"""The tables of the sandbox's Airtable: which fields there are, what fits into a cell, and how a record is shown.

A value that does not fit its field is refused rather than bent, unless ``typecast`` was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aicmo.clock import rfc3339

_MERGEABLE = ("number", "singleLineText", "multilineText", "singleSelect", "multipleSelects", "date")
_TEXTUAL = ("singleLineText", "multilineText", "email", "url", "phoneNumber")
_CONTACTS = {
    "AICMO ID": "singleLineText",
    "Email": "email",
    "First name": "singleLineText",
    "Last name": "singleLineText",
    "Company": "singleLineText",
    "Job title": "singleLineText",
    "Phone": "phoneNumber",
    "City": "singleLineText",
    "LinkedIn": "url",
    "Stage": "singleSelect",
    "Tags": "multipleSelects",
    "Score": "number",
    "Subscribed": "checkbox",
    "Suppressed": "checkbox",
    "Last contacted": "date",
    "Notes": "multilineText",
    "Last modified": "lastModifiedTime",
}
_INTERACTIONS = {
    "AICMO ID": "singleLineText",
    "Contact": "singleLineText",
    "Email": "email",
    "Channel": "singleSelect",
    "Kind": "singleLineText",
    "Subject": "singleLineText",
    "At": "dateTime",
    "Details": "multilineText",
}
_CHOICES = {
    "Stage": ["New", "Contacted", "Replied", "Customer"],
    "Tags": ["newsletter", "trial", "customer", "vip"],
    "Channel": ["email", "linkedin", "x", "instagram", "website"],
}


@dataclass(slots=True)
class Row:
    """A record."""

    id: str
    created_at: datetime
    modified_at: datetime
    cells: dict[str, Any]


@dataclass(slots=True)
class Table:
    """A table with its fields and records."""

    id: str
    name: str
    types: Mapping[str, str]
    """Of the fields, by name; the first is the primary one."""
    choices: dict[str, list[str]]
    """Of the fields that are selects."""
    rows: dict[str, Row] = field(default_factory=dict)
    """By id."""

    def field_id(self, name: str) -> str:
        return f"fld{self.name[:3]}{list(self.types).index(name):02d}AAAAAAAAA"

    def names(self) -> dict[str, str]:
        """What a field may be called, and its name."""
        return {name: name for name in self.types} | {self.field_id(name): name for name in self.types}


class Problem(Exception):
    """An error as Airtable tells it: its status, its type, and a message unless the type says it all."""

    def __init__(self, status: int, kind: str, message: str = "") -> None:
        super().__init__(status, kind, message)
        self.status = status
        self.kind = kind
        self.message = message


def invalid(message: str) -> Problem:
    """What a request of the wrong shape gets."""
    return Problem(422, "INVALID_REQUEST_UNKNOWN", f"Invalid request: parameter validation failed. {message}")


def field_name(table: Table, name: object) -> str:
    """The name of a field that is called by it or by its id. Raises ``Problem``."""
    if not isinstance(name, str) or name not in table.names():
        raise Problem(422, "UNKNOWN_FIELD_NAME", f'Unknown field name: "{name}"')
    return table.names()[name]


def merge_fields(table: Table, upsert: object) -> list[str]:
    """The fields that a ``performUpsert`` merges on. Raises ``Problem``."""
    names = upsert.get("fieldsToMergeOn") if isinstance(upsert, dict) else None
    if not isinstance(names, list) or not 1 <= len(names) <= 3:
        raise invalid("fieldsToMergeOn must have 1 to 3 items")
    names = [field_name(table, name) for name in names]
    for name in names:
        if table.types[name] not in _MERGEABLE:
            raise invalid(f"{name} is a field of type {table.types[name]}, which cannot be merged on")
    return names


def fitted(table: Table, name: str, value: Any, typecast: bool) -> Any:
    """The value as it is kept; strings are converted only with ``typecast``. Raises ``Problem``."""
    kind = table.types[name]
    if kind in _TEXTUAL and (isinstance(value, str) or typecast):
        return str(value)
    if kind == "number":
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if typecast and isinstance(value, str):
            try:
                return float(value)
            except ValueError:
                return None
    if kind == "checkbox" and isinstance(value, bool):
        return value
    if kind in ("date", "dateTime") and isinstance(value, str):
        try:
            datetime.fromisoformat(value)
            return value[:10] if kind == "date" else value
        except ValueError:
            pass
    if kind in ("singleSelect", "multipleSelects"):
        single = kind == "singleSelect"
        wanted = [value] if single else value
        if typecast and isinstance(wanted, str):
            wanted = [part.strip() for part in wanted.split(",")]
        if isinstance(wanted, list) and all(isinstance(choice, str) for choice in wanted):
            for choice in wanted:
                if choice and choice not in table.choices[name]:
                    if not typecast:
                        text = f'Insufficient permissions to create new select option "{choice}"'
                        raise Problem(422, "INVALID_MULTIPLE_CHOICE_OPTIONS", text)
                    table.choices[name].append(choice)
            return wanted[0] if single else wanted
    raise Problem(422, "INVALID_VALUE_FOR_COLUMN", f'Field "{name}" cannot accept the provided value')


def schema(table: Table) -> dict[str, Any]:
    """A table as ``/meta/bases/{base}/tables`` describes it."""
    fields = []
    for name, kind in table.types.items():
        described: dict[str, Any] = {"id": table.field_id(name), "name": name, "type": kind}
        if name in table.choices:
            choices = [{"id": f"sel{choice[:14]:A<14}", "name": choice} for choice in table.choices[name]]
            described["options"] = {"choices": choices}
        fields.append(described)
    view = {"id": f"viw{table.name[:3]}AAAAAAAAAAA", "name": "Grid view", "type": "grid"}
    primary = table.field_id(next(iter(table.types)))
    return {"id": table.id, "name": table.name, "primaryFieldId": primary, "fields": fields, "views": [view]}


def without_blanks(cells: Mapping[str, Any]) -> dict[str, Any]:
    """Empty cells are not kept; 0 is a number, and stays."""
    return {name: value for name, value in cells.items() if value or (value == 0 and value is not False)}


def shown(table: Table, row: Row, wanted: Sequence[str] | None = None, by_id: bool = False) -> dict[str, Any]:
    """A record as it is answered: its fields, or the wanted ones of them, by name or by id; empty ones are absent."""
    cells = dict(row.cells)
    for name, kind in table.types.items():
        if kind == "lastModifiedTime":
            cells[name] = rfc3339(row.modified_at)
    if wanted is not None:
        kept = {field_name(table, name) for name in wanted}
        cells = {name: value for name, value in cells.items() if name in kept}
    named = {table.field_id(name) if by_id else name: value for name, value in cells.items()}
    return {"id": row.id, "createdTime": rfc3339(row.created_at), "fields": named}


def starting_tables() -> list[Table]:
    """Contacts and Interactions, without a record."""
    return [
        Table("tblContactsAAAAAA", "Contacts", _CONTACTS, {name: list(_CHOICES[name]) for name in ("Stage", "Tags")}),
        Table("tblInteractionsAA", "Interactions", _INTERACTIONS, {"Channel": list(_CHOICES["Channel"])}),
    ]
