"""Custom fields with a type: what each may hold, in the one form in which it is stored.

==========  =====================================================================================
``text``    any line
``number``  a plain decimal: ``1200``, ``-3.5``; spaces between the digits are dropped, a comma is refused, because
            half of the world reads it as a point
``date``    ``2026-11-24``; read also with a time behind it, or as ``24.11.2026``
``select``  one of the options, as they spell it
``multi``   some of the options, in their order, joined by ``; ``
``url``     an address with http or https; without a scheme it gets https
``bool``    ``yes`` or ``no``; read also as true and false, 1 and 0, on and off
==========  =====================================================================================

A value that is equal has the same form, so a query can compare it. Nothing is ever guessed or cut: what does not fit is
refused.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from urllib.parse import urlsplit

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.mapping import FIELDS, custom_key
from aicmo.crm.query_keys import nearest
from aicmo.errors import InvalidInput, NotFound, VerbHint
from aicmo.store import Database, changes, contacts
from aicmo.store import fields as field_store
from aicmo.store.changes import ChangedPerson
from aicmo.store.fields import TYPES, CustomField
from aicmo.text import one_line, shown

WITH_OPTIONS = ("select", "multi")
JOINED_BY = "; "
"""Between the values of a ``multi``."""
MAX_OPTIONS = 200
_SEPARATORS = re.compile("[,;|]")
_NUMBER = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?")
_DOTTED_DATE = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_ISO_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ][0-9:.]+(?:Z|[+-][0-9:]+)?)?")
_YES = frozenset("yes y true t 1 on".split())
_NO = frozenset("no n false f 0 off".split())
_NAMED = 5
"""How many of the values that do not fit a new type are named."""


def canonical(type: str, options: Sequence[str], text: str) -> str:
    """``text`` in the form in which a field of that type stores it; empty stays empty, which is no value.

    Raises ``InvalidInput`` with one sentence that says what the type takes.
    """
    value = one_line(text)
    if not value:
        return ""
    match type:
        case "number":
            return _number(value)
        case "date":
            return _date(value)
        case "select":
            return _option(options, value)
        case "multi":
            chosen = {_option(options, each) for part in _SEPARATORS.split(value) if (each := part.strip())}
            return JOINED_BY.join(each for each in options if each in chosen)
        case "url":
            return _url(value)
        case "bool":
            return _bool(value)
        case _:
            return value


def _number(value: str) -> str:
    found = _NUMBER.fullmatch(value.replace(" ", ""))
    if found is None:
        raise InvalidInput(f"{shown(value)} is not a number: write it like 1200 or -3.5.")
    sign, whole, fraction = found[1], found[2].lstrip("0") or "0", (found[3] or "").rstrip("0")
    number = f"{whole}.{fraction}" if fraction else whole
    return f"-{number}" if sign == "-" and number != "0" else number


def _date(value: str) -> str:
    try:
        if dotted := _DOTTED_DATE.fullmatch(value):
            return date(int(dotted[3]), int(dotted[2]), int(dotted[1])).isoformat()
        if iso := _ISO_DATE.fullmatch(value):
            return date.fromisoformat(iso[1]).isoformat()
    except ValueError:  # a 31st of November
        pass
    raise InvalidInput(f"{shown(value)} is not a date: write it like 2026-11-24.")


def _option(options: Sequence[str], value: str) -> str:
    for option in options:
        if option.casefold() == value.casefold():
            return option
    raise InvalidInput(f"{shown(value)} is not one of: {', '.join(options)}.")


def _url(value: str) -> str:
    text = value if "://" in value else f"https://{value}"
    try:
        parts = urlsplit(text)
        sound = parts.scheme in ("http", "https") and "." in (parts.hostname or "") and parts.port != 0
    except ValueError:  # a port or a host in brackets that is none
        sound = False
    if not sound or " " in text:
        raise InvalidInput(f"{shown(value)} is not a web address: write it like https://example.com/page.")
    return parts._replace(netloc=parts.netloc.lower()).geturl()


def _bool(value: str) -> str:
    if value.casefold() in _YES:
        return "yes"
    if value.casefold() in _NO:
        return "no"
    raise InvalidInput(f"{shown(value)} is neither yes nor no.")


def fitted(db: sqlite3.Connection, values: Mapping[str, str]) -> dict[str, str]:
    """Custom values by key, each in its field's form. Raises ``InvalidInput`` that names the field."""
    known = {field.key: field for field in field_store.listed(db)}
    return {key: _fitted(known.get(key), text) for key, text in values.items()}


def _fitted(field: CustomField | None, text: str) -> str:
    if field is None:
        return text
    try:
        return canonical(field.type, field.options, text)
    except InvalidInput as error:
        raise InvalidInput(f"{field.title}: {error.message}") from None


def check_known(db: sqlite3.Connection, keys: Iterable[str], others: Sequence[str]) -> None:
    """Raises ``InvalidInput`` for the first that is neither a field of somebody's nor among ``others``."""
    for key in keys:
        if key not in others and not field_store.is_known(db, key):
            custom = {field.key for field in field_store.listed(db)} | set(contacts.field_keys(db))
            raise InvalidInput(
                f"There is no field {shown(key)}: nobody has it.", hint=nearest(key, [*others, *sorted(custom)])
            )


class Fields:
    """The custom fields that have a type, and the verbs over them."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def list(self) -> tuple[CustomField, ...]:
        """By key."""
        return tuple(self._db.read(field_store.listed))

    def add(self, name: str, type: str, options: Iterable[str] = (), *, title: str = "") -> CustomField:
        """Give a field a type; people may have values in it already, which are written in that type's form.

        Raises ``InvalidInput``, naming those values that do not fit; nothing is changed then.
        """
        key = custom_key(name)
        if key in FIELDS:
            raise InvalidInput(f"{shown(name)} is not a custom field; it means {key}.")
        field = _checked(CustomField(key, one_line(title) or one_line(name), type, tuple(options)))

        def work(db: sqlite3.Connection) -> CustomField:
            if field_store.get(db, key) is not None:
                raise InvalidInput(
                    f"There is a field {key} already.", hint=VerbHint("Change it", f"field change {key}")
                )
            return self._put(db, field)

        return self._db.write(work)

    def change(
        self, name: str, *, type: str | None = None, options: Iterable[str] | None = None, title: str | None = None
    ) -> CustomField:
        """Change what is named. Raises ``NotFound``, and ``InvalidInput`` as ``add`` does."""
        given = None if options is None else tuple(options)

        def work(db: sqlite3.Connection) -> CustomField:
            old = _existing(db, name)
            kind = type or old.type
            kept = old.options if kind in WITH_OPTIONS else ()
            new = CustomField(old.key, one_line(title or old.title), kind, kept if given is None else given)
            return self._put(db, _checked(new))

        return self._db.write(work)

    def delete(self, name: str) -> CustomField:
        """Forget a field's type; its values stay, as text. Raises ``NotFound``."""

        def work(db: sqlite3.Connection) -> CustomField:
            field = _existing(db, name)
            field_store.delete(db, field.key)
            return field

        return self._db.write(work)

    def _put(self, db: sqlite3.Connection, field: CustomField) -> CustomField:
        now = self._clock.now()
        rewritten = _in_form(db, field)
        field_store.put(db, field, now)
        if rewritten:
            summary = f"Wrote {len(rewritten):,} values of {field.key} as {field.type}"
            change_id = changes.begin(db, "edit", summary, "you", now)
            state = f"field.{field.key}"
            known = contacts.by_id(db, rewritten)
            moves = [(n, known[n], changes.with_state(known[n], {state: new})) for n, (_, new) in rewritten.items()]
            contacts.rewrite(db, moves, now)
            changes.record(
                db, change_id, (ChangedPerson(n, {state: old}, {state: new}) for n, (old, new) in rewritten.items())
            )
        return field


def _existing(db: sqlite3.Connection, name: str) -> CustomField:
    found = field_store.get(db, custom_key(name))
    if found is None:
        raise NotFound(f"There is no field {shown(name)} with a type.", hint=VerbHint("See them with", "field list"))
    return found


def _checked(field: CustomField) -> CustomField:
    if field.type not in TYPES:
        raise InvalidInput(f"There is no type {shown(field.type)}.", hint=f"There are: {', '.join(TYPES)}.")
    options = tuple(dict.fromkeys(text for each in field.options if (text := one_line(each))))
    if field.type not in WITH_OPTIONS:
        if options:
            raise InvalidInput(f"A field of the type {field.type} has no options.", hint="Use select or multi.")
        return field
    if not options:
        raise InvalidInput(f"A {field.type} needs what it may be.", hint="Say --option VALUE, once for each.")
    if len(options) > MAX_OPTIONS:
        raise InvalidInput(f"More than {MAX_OPTIONS} options.")
    if len({each.casefold() for each in options}) < len(options):
        raise InvalidInput("Two options differ only in case.")
    if parted := [each for each in options if _SEPARATORS.search(each)]:
        raise InvalidInput(f"The option {shown(parted[0])} holds a comma, semicolon or bar: they part options.")
    return CustomField(field.key, field.title, field.type, options)


def _in_form(db: sqlite3.Connection, field: CustomField) -> dict[int, tuple[str, str]]:
    """The values that the field's type spells differently, old and new, by person."""
    rewritten: dict[int, tuple[str, str]] = {}
    misfits: list[str] = []
    for value in field_store.values(db, field.key):
        try:
            new = canonical(field.type, field.options, value.text)
        except InvalidInput:
            misfits.append(f"{shown(value.text, limit=40)} of {value.email}")
        else:
            if new != value.text:
                rewritten[value.contact_id] = value.text, new
    if misfits:
        more = f" and {len(misfits) - _NAMED:,} more" if len(misfits) > _NAMED else ""
        raise InvalidInput(
            f"{len(misfits):,} values of {field.key} are no {field.type}: {', '.join(misfits[:_NAMED])}{more}.",
            hint=VerbHint("Mend or clear them first", f"contact edit EMAIL --field {field.key}=VALUE"),
        )
    return rewritten
