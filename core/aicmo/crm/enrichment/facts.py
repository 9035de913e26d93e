"""What providers say of a person, beside what is known already: empty fields are filled, others are left alone.

A value that differs from the one that stands is a conflict: both are shown, and a person chooses. Spelling is no
conflict: ``http://www.linkedin.com/in/ada/`` and ``linkedin.com/in/ada`` are one page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aicmo.crm.mapping import MAX_CUSTOM_FIELDS, MAX_VALUE
from aicmo.gateways.leads import FieldValue
from aicmo.store.contacts import Entry
from aicmo.store.lookups import Fact
from aicmo.text import one_line

OWN = ("first_name", "last_name", "company", "title", "phone")
"""Facts that have a column of their own; every other one is a custom field, but for the address."""
_NUMBERS = ("phone", "company_phone")

Fit = Callable[[str, str], str | None]
"""A custom value in the form of its field's type; ``None`` when it does not fit."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field of which a provider says something else than what stands there."""

    contact_id: int
    email: str
    field: str
    value: str
    """What stands there."""
    says: tuple[Fact, ...]
    """Who says otherwise."""


def told(fields: Mapping[str, FieldValue]) -> dict[str, str]:
    """A provider's answer as fields of ours: plain, on one line; what is empty or too long for a field is left out."""
    plain = {name: one_line(fact.value) for name, fact in fields.items()}
    return {name: text for name, text in plain.items() if text and len(text) <= MAX_VALUE}


def known(entry: Entry, field: str) -> str:
    """What stands in a field; empty when nothing does."""
    if field == "email" or field in OWN:
        return str(getattr(entry, field))
    return entry.fields.get(field, "")


def same(field: str, one: str, other: str) -> bool:
    """Whether two values of a field say the same, however they are spelled."""
    return _core(field, one) == _core(field, other)


def filled(entry: Entry, facts: Mapping[str, str], fit: Fit) -> Entry:
    """``entry`` with its empty fields filled. What stands there stays, whatever ``facts`` say; so does the address."""
    own: dict[str, Any] = {name: text for name, text in facts.items() if name in OWN and not known(entry, name)}
    custom = dict(entry.fields)
    for name, text in facts.items():
        if name in OWN or name == "email" or custom.get(name) or len(custom) >= MAX_CUSTOM_FIELDS:
            continue
        if fitting := fit(name, text):
            custom[name] = fitting
    return entry._replace(**own, fields=custom)


def conflicts(contact_id: int, entry: Entry, facts: Iterable[Fact]) -> list[Conflict]:
    """Where ``facts`` about one person differ from what stands there, and nobody has chosen yet."""
    differing: dict[str, list[Fact]] = {}
    for fact in facts:
        stands = known(entry, fact.field)
        if stands and fact.preferred != stands and not same(fact.field, stands, fact.value):
            differing.setdefault(fact.field, []).append(fact)
    return [
        Conflict(contact_id, entry.email, field, known(entry, field), tuple(says)) for field, says in differing.items()
    ]


def _core(field: str, text: str) -> str:
    core = " ".join(text.casefold().split())
    if field in _NUMBERS:
        return re.sub(r"[^0-9a-z]", "", core) or core
    if field.endswith(("_url", "_domain", "website")):
        return re.sub(r"^(https?://)?(www\.)?", "", core).rstrip("/")
    return core
