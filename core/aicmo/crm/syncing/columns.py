"""Which column there is which field here, and how a value stands in each.

The columns are asked for before anything is read, so a column that was renamed is missed by name, never taken for one
that everybody's value was cleared from. What a column cannot hold (a word in a number, an option that a select does not
have) stays here and is told. What nobody mapped is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.fields import JOINED_BY, canonical
from aicmo.crm.mapping import IGNORED, MAX_CUSTOM_FIELDS, MAX_VALUE, custom_key
from aicmo.errors import InvalidInput
from aicmo.gateways.records import Cell, CrmColumn
from aicmo.store.contacts import STAGES, Entry
from aicmo.store.fields import CustomField
from aicmo.store.tags import split_tags, tag_key
from aicmo.text import one_line, shown

DEFAULTS = {
    "Email": "email",
    "First name": "first_name",
    "Last name": "last_name",
    "Company": "company",
    "Job title": "title",
    "Phone": "phone",
    "Stage": "stage",
    "Tags": "tags",
    "Suppressed": "suppressed",
}
"""What a column of that name is when nobody says otherwise."""
YES = "yes"
_OWN = frozenset(DEFAULTS.values())
_NO = frozenset(("", "no", "false", "0"))


@dataclass(frozen=True, slots=True)
class Pair:
    """A field here and the column that holds it there."""

    field: str
    """``first_name``, ``tags``, ``suppressed``, or ``field.KEY`` for a custom one."""
    column: CrmColumn
    typed: CustomField | None = None

    @property
    def key(self) -> str:
        """Under which what was seen is kept: with the column, so that another mapping begins anew."""
        return f"{self.column.name}={self.field}"

    def read(self, cell: Cell | None) -> str:
        """A cell as this field keeps it; empty when there is nothing. Raises ``InvalidInput`` for what it cannot be."""
        if self.field == "tags":
            return tags_text(cell if isinstance(cell, tuple) else split_tags(as_text(cell)))
        text = as_text(cell)
        if len(text) > MAX_VALUE:
            raise InvalidInput(f"longer than {MAX_VALUE:,} characters")
        if self.field == "suppressed":
            return YES if text.casefold() not in _NO else ""
        return canonical(self.typed.type, self.typed.options, text) if self.typed and text else text

    def image(self, ours: str) -> str | None:
        """``ours`` as far as the column can hold it: of tags, those that it has options for. ``None``: not at all."""
        if self.field == "tags" and self.column.options:
            options = {option.casefold() for option in self.column.options}
            return tags_text(tag for tag in split_tags(ours) if tag.casefold() in options)
        if self.field == "suppressed" or not ours:
            return ours
        if self.column.holds == "box":
            return {"yes": YES, "no": ""}.get(ours)
        try:
            self.written(ours)
        except ValueError:
            return None
        return ours

    def same(self, one: str, other: str) -> bool:
        return one == other or self._comparable(one) == self._comparable(other)

    def written(self, text: str) -> Cell | None:
        """What to write into the cell; ``None`` empties it. Raises ``ValueError`` for what the column cannot hold."""
        return as_cell(self.column, split_tags(text) if self.field == "tags" else text)

    def _comparable(self, text: str) -> object:
        if self.field == "tags":
            return frozenset(map(tag_key, split_tags(text)))
        if self.field == "email":
            try:
                return normalise(text).address
            except NotAnAddress:
                return text.casefold()
        return text.casefold() if self.field == "stage" or self.column.holds in ("choice", "choices") else text


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one table that are looked at."""

    merge_field: str
    pairs: tuple[Pair, ...]
    email: str
    """The column of the addresses."""
    modified: str = ""
    """The one that says when a row was changed last; empty when there is none."""
    left_out: tuple[str, ...] = ()
    """Why columns that are ours by default are not looked at, a sentence each."""

    @property
    def names(self) -> tuple[str, ...]:
        asked = [self.merge_field, *(each.column.name for each in self.pairs), self.modified]
        return tuple(dict.fromkeys(name for name in asked if name))

    @property
    def fingerprint(self) -> str:
        """Another one when the mapping or the table is another."""
        return "\n".join(sorted(f"{each.key} {each.column.id}" for each in self.pairs))


def fit(
    columns: Sequence[CrmColumn],
    merge_field: str,
    configured: Mapping[str, str],
    typed: Mapping[str, CustomField],
    *,
    crm: str,
) -> Columns:
    """Which of the ``columns`` that there are is what.

    ``configured`` names further ones, or ``-`` to leave one out. Raises ``InvalidInput`` that names the column for one
    that is not there or cannot be what it should.
    """
    by_name = {name: each for each in columns for name in (each.id, each.name)}

    def there(name: str) -> CrmColumn:
        if name not in by_name:
            raise InvalidInput(
                f"{crm}'s table of contacts has no column {shown(name)}.",
                hint="Add it there, or correct fields and merge_field in the configuration.",
            )
        return by_name[name]

    merge = there(merge_field)
    if not merge.can_merge:
        raise InvalidInput(
            f"{crm} finds no row again by its column {shown(merge.name)}.", hint="Make it a column of plain text there."
        )
    pairs: dict[str, Pair] = {}
    for name, what in configured.items():
        column, key = there(name), "" if what.strip() == IGNORED else _field(what)
        if key in pairs:
            raise InvalidInput(f"Two columns are mapped to {shown(what)}.")
        if key and column.name != merge.name:
            pairs[key] = Pair(key, column, typed.get(key.removeprefix("field.")))
    if sum(key.startswith("field.") for key in pairs) > MAX_CUSTOM_FIELDS:
        raise InvalidInput(f"More than {MAX_CUSTOM_FIELDS} columns are mapped to custom fields.")
    chosen = {by_name[name].name for name in configured}
    left_out = []
    for name, key in DEFAULTS.items():
        if key in pairs or name in chosen:
            continue
        if name not in by_name:
            left_out.append(f"{crm} has no column {shown(name)}; that stays here.")
        elif key == "stage" and not _takes_stages(by_name[name]):
            left_out.append(f"{crm}'s {shown(name)} holds other stages than ours; it is left alone.")
        else:
            pairs[key] = Pair(key, by_name[name])
    email = pairs["email"].column if "email" in pairs else there("Email")
    modified = next((each.name for each in columns if each.holds == "modified"), "")
    return Columns(merge.name, tuple(pairs.values()), email.name, modified, tuple(left_out))


def _field(name: str) -> str:
    if name in _OWN:
        return name
    key = custom_key(name)
    if key == "name":
        raise InvalidInput("A column of whole names cannot be kept in step.", hint="Map first_name and last_name.")
    return key if key in _OWN else f"field.{key}"


def _takes_stages(column: CrmColumn) -> bool:
    options = {option.upper() for option in column.options}
    return column.holds in ("text", "choice") and (not options or options >= set(STAGES))


# --- values -----------------------------------------------------------------------------------------------------------


def told(entry: Entry, suppressed: bool) -> dict[str, str]:
    """What is said of a person here, by field."""
    return {
        **{name: getattr(entry, name) for name in ("email", "first_name", "last_name", "company", "title", "phone")},
        "stage": entry.stage,
        "tags": tags_text(entry.tags),
        "suppressed": YES if suppressed else "",
        **{f"field.{key}": text for key, text in entry.fields.items()},
    }


def tags_text(names: Any) -> str:
    """Tags in one line, in the one order that two sides can be compared in."""
    by_key = {tag_key(name): one_line(name) for name in names}
    return ", ".join(by_key[key] for key in sorted(by_key))


def as_text(cell: Cell | None) -> str:
    """What a cell says, in one line."""
    if cell is None or cell is False:
        return ""
    if cell is True:
        return YES
    if isinstance(cell, int | float):
        return f"{Decimal(str(cell)).normalize():f}" if cell == cell and abs(cell) != float("inf") else ""
    return one_line(JOINED_BY.join(cell) if isinstance(cell, tuple) else cell)


def as_cell(column: CrmColumn, value: str | tuple[str, ...]) -> Cell | None:
    """``value`` as the column takes it; ``None`` for nothing. Raises ``ValueError`` for what it cannot hold."""
    text = ", ".join(value) if isinstance(value, tuple) else value
    match column.holds:
        case "box":
            if text not in ("", YES, "no"):
                raise ValueError("neither yes nor no")
            return text == YES
        case _ if not text:
            return None
        case "number":
            number = float(text)
            if as_text(number) != text:
                raise ValueError("no plain number")
            return int(number) if number.is_integer() else number
        case "date":
            return date.fromisoformat(text).isoformat()
        case "time":
            datetime.fromisoformat(text)
            return text
        case "choice":
            return _option(column, text)
        case "choices":
            parts = value if isinstance(value, tuple) else tuple(text.split(JOINED_BY))
            return tuple(_option(column, part) for part in parts)
        case "text":
            return text
    raise ValueError("it is computed there")


def _option(column: CrmColumn, text: str) -> str:
    if not column.options:
        return text
    for option in column.options:
        if option.casefold() == text.casefold():
            return option
    raise ValueError("it has no such option")
