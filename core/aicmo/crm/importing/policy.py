"""What a row may do to somebody who is already there: a policy for all fields, and others for some.

Two things hold whatever the policy says: what is empty in a row erases nothing, and nobody moves back in their stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from aicmo.crm.mapping import custom_key
from aicmo.errors import InvalidInput
from aicmo.store.contacts import STAGES, Entry
from aicmo.text import shown

Policy = Literal["fill", "overwrite", "keep"]
"""Fill empty fields only; replace with what is not empty; change nothing.

Under ``fill`` and ``overwrite`` tags are added, none is taken away. A row whose address came earlier in the file meets
what that row left.
"""
POLICIES: tuple[Policy, ...] = ("fill", "overwrite", "keep")
_VALUES = ("first_name", "last_name", "company", "title", "phone")


class Conflict(NamedTuple):
    """A value that ``fill`` left alone although the row says another."""

    field: str
    there: str
    offered: str


class Merged(NamedTuple):
    entry: Entry
    conflicts: tuple[Conflict, ...]
    stage_kept: bool
    """The row would have moved them back."""


@dataclass(frozen=True, slots=True)
class Policies:
    default: Policy = "fill"
    by_field: Mapping[str, Policy] = field(default_factory=dict)
    """By ``email`` (its spelling), ``first_name``, ..., ``stage``, ``tags`` or a custom field's key."""

    def of(self, name: str) -> Policy:
        return self.by_field.get(name, self.default)

    def keeps_all(self) -> bool:
        """Whether nobody who is there is changed."""
        return {self.default, *self.by_field.values()} == {"keep"}

    def as_dict(self) -> dict[str, str]:
        """By field; the one for all others under ``*``."""
        return {"*": self.default, **dict(sorted(self.by_field.items()))}


def parse_policies(texts: Iterable[str]) -> Policies:
    """``fill`` is for all fields, ``company=overwrite`` for one; the last word counts. Raises ``InvalidInput``."""
    default: Policy = "fill"
    by_field: dict[str, Policy] = {}
    for text in texts:
        name, equals, word = text.rpartition("=")
        policy = _policy(word.strip())
        if not equals:
            default = policy
        else:
            key = custom_key(name)
            for each in ("first_name", "last_name") if key == "name" else (key,):
                by_field[each] = policy
    return Policies(default, by_field)


def _policy(word: str) -> Policy:
    for policy in POLICIES:
        if policy == word.lower():
            return policy
    raise InvalidInput(f"There is no policy {shown(word)}.", hint=f"Choose one of: {', '.join(POLICIES)}.")


def merged(old: Entry, new: Entry, policies: Policies) -> Merged:
    """``old`` with what ``new``, a row about the same person, adds to it."""
    conflicts: list[Conflict] = []

    def chosen(name: str, there: str, offered: str) -> str:
        policy = policies.of(name)
        if not offered or offered == there or policy == "keep":
            return there
        if not there or policy == "overwrite":
            return offered
        conflicts.append(Conflict(name, there, offered))
        return there

    values = {name: chosen(name, getattr(old, name), getattr(new, name)) for name in _VALUES}
    fields = dict(old.fields)
    for key, offered in new.fields.items():
        if value := chosen(key, fields.get(key, ""), offered):
            fields[key] = value
    # Another spelling of the same address contradicts nobody; the address of one merged into them is not theirs.
    respelled = policies.of("email") == "overwrite" and new.address == old.address
    back = bool(new.stage) and STAGES.index(new.stage) < STAGES.index(old.stage)
    entry = old._replace(
        email=new.email if respelled else old.email,
        stage=old.stage if back else chosen("stage", old.stage, new.stage),
        fields=fields,
        tags=old.tags if policies.of("tags") == "keep" else old.tags | new.tags,
        **values,
    )
    return Merged(entry, tuple(conflicts), back and policies.of("stage") != "keep")
