"""How pairs of people are shown: why they may be one, and the two side by side, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aicmo.crm.merging import CHOOSABLE, HOLDS_FOR_BOTH, MergePlan
from aicmo.crm.similarity import Pair
from aicmo.store.contacts import Contact
from aicmo_tui.present import ACCENT, MUTED, TITLE, WARN, Content, line, value
from aicmo_tui.widgets.columns import Column

SIGNS = {
    "address": "same mailbox",
    "profile": "same profile",
    "phone": "same phone",
    "name and company": "same name and company",
    "similar name and company": "similar name, same company",
    "name": "same name",
}
"""The signs of ``similarity.SCORES`` in words."""


SUREST = 0.99
"""Nothing but a person's word makes two records one person for certain."""


@dataclass(frozen=True, slots=True)
class Field:
    """What the two say in one field, and what the survivor will say."""

    key: str
    """As ``MergePlan`` names it; ``email``, ``suppressed``, ``tags``, ``stage`` and ``added`` cannot be chosen."""
    mine: str
    theirs: str
    will: str

    @property
    def choosable(self) -> bool:
        return self.differs and (self.key in CHOOSABLE or self.key.startswith("field."))

    @property
    def differs(self) -> bool:
        return self.mine != self.theirs

    @property
    def label(self) -> str:
        return self.key.removeprefix("field.").replace("_", " ")


PAIR_COLUMNS = [
    Column("Sure", 4, lambda pair: line(f"{min(pair.score, SUREST):.0%}"), right=True),
    Column("One", 20, lambda pair: value(pair.emails[0]), grow=2),
    Column("Other", 20, lambda pair: value(pair.emails[1]), grow=2),
    Column("Name", 16, lambda pair: value(" / ".join(dict.fromkeys(filter(None, pair.names))), MUTED), priority=1),
    Column("Why", 18, lambda pair: reasons(pair), grow=3),
]
FIELD_COLUMNS = [
    Column("", 10, lambda field: value(field.label, MUTED)),
    Column("≠", 1, lambda field: line(("≠", ACCENT)) if field.differs else line("")),
    Column("Stays", 20, lambda field: said(field, field.mine), grow=1),
    Column("Goes", 20, lambda field: said(field, field.theirs), grow=1),
    Column("Will say", 20, lambda field: value(field.will, TITLE if field.differs else MUTED), priority=1, grow=1),
]


def reasons(pair: Pair) -> Content:
    words = " · ".join(SIGNS[reason.sign] for reason in pair.reasons)
    return line(("= ", ACCENT) if pair.is_exact else ("≈ ", MUTED), words)


def shared(pair: Pair) -> Content:
    """The reasons, and what exactly the two have in common."""
    told = [line(f"{SIGNS[reason.sign]}: ", value(reason.shared, TITLE, limit=60)) for reason in pair.reasons]
    return line(" · ").join(told)


def said(field: Field, text: str) -> Content:
    """One side's word; where there is a choice, marked as the one that is taken or not."""
    if not field.choosable:
        return value(text, "" if field.differs else MUTED)
    taken = text == field.will
    return line(("● " if taken else "○ ", ACCENT if taken else MUTED), value(text or "-", "" if taken else MUTED))


def compared(plan: MergePlan, chosen: Mapping[str, str]) -> list[Field]:
    """Every field in which either says something; ``chosen`` is what the person wants the survivor to say."""
    mine, theirs = _values(plan.survivor), _values(plan.other)
    fields = [Field("email", plan.survivor.email, plan.other.email, plan.survivor.email)]
    if plan.suppressed:
        one, two = (plan.suppressed.get(each.address, "") for each in (plan.survivor, plan.other))
        fields.append(Field("suppressed", one, two, one or two))
    for key in [key for key in {**dict.fromkeys(CHOOSABLE, ""), **mine, **theirs} if mine.get(key) or theirs.get(key)]:
        one, two = mine.get(key, ""), theirs.get(key, "")
        fields.append(Field(key, one, two, chosen.get(key, one or two)))
    tags = tuple(" · ".join(each) for each in (plan.survivor.tags, plan.other.tags))
    if any(tags):
        fields.append(Field("tags", *tags, " · ".join((*plan.survivor.tags, *plan.tags))))
    fields.append(Field("stage", plan.survivor.stage, plan.other.stage, plan.stage))
    days = (plan.survivor.created_at[:10], plan.other.created_at[:10])
    fields.append(Field("added", *days, days[0]))
    return fields


def gains(plan: MergePlan, chosen: Mapping[str, str]) -> Content:
    """What the survivor gets out of it, an opt-out first, in a line."""
    got = [name.removeprefix("field.") for name in plan.gained if chosen.get(name, "kept") != ""]
    told = [*got, *plan.tags, *([plan.stage] if plan.stage != plan.survivor.stage else [])]
    gained = line("gains ", value(", ".join(told), TITLE)) if told else line("gains nothing but the address")
    opt_out = line((HOLDS_FOR_BOTH, WARN), " · ") if plan.suppressed else line("")
    return line(value(plan.survivor.email, TITLE), " stays · ", opt_out, gained)


def _values(contact: Contact) -> dict[str, str]:
    own = {name: getattr(contact, name) for name in CHOOSABLE}
    return own | {f"field.{key}": text for key, text in contact.fields.items()}
