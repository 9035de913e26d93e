"""Two sides of one person, and what both said last: who changed what, and what becomes of it. Nothing is written here.

A field that one side changed is taken from that side. One that both changed to different values is a conflict, decided
by the rule; whatever it says, what lost is told. Tags are sets, so both sides' additions and removals count. A stage
goes forward only, and an opt-out is only ever added: neither is the rule's to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.lifecycle import is_forward
from aicmo.crm.syncing.columns import YES, Pair, tags_text
from aicmo.errors import InvalidInput
from aicmo.gateways.records import Cell
from aicmo.store.contacts import STAGES
from aicmo.store.syncs import Clash
from aicmo.store.tags import split_tags, tag_key
from aicmo.text import shown

Rule = Literal["ours", "theirs", "newer", "ask"]
"""Whose value stands when both sides changed a field: ours, theirs, that of the side which was changed last, or both
until the person decides."""
RULES: tuple[Rule, ...] = ("ours", "theirs", "newer", "ask")


@dataclass(slots=True)
class Agreement:
    """What becomes of one person."""

    takes: dict[str, str] = field(default_factory=dict)
    """Field -> what it says here from now on."""
    seen: dict[str, str] = field(default_factory=dict)
    """What to keep as seen: a field that differs from it is still to be sent."""
    waits: set[str] = field(default_factory=set)
    """Fields that are not to be sent, though they differ: those that a person, or another run, decides."""
    sends: set[str] = field(default_factory=set)
    """Fields that are to be sent."""
    clashes: list[Clash] = field(default_factory=list)
    misfits: list[str] = field(default_factory=list)
    """What one side cannot hold of the other, a phrase each."""
    stage_kept: bool = False
    """They say a stage that only a person's word here can lead to."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How two sides are brought together."""

    rule: Rule = "ours"
    may_take: bool = True
    """Whether anything may be changed here."""
    newer_there: bool = False
    """For the rule ``newer``: the row was changed after the contact."""
    is_free: Callable[[str], bool] = lambda address: True
    """Whether a normalised address is nobody else's."""

    @property
    def winner(self) -> str:
        if self.rule == "ask":
            return "neither"
        if self.rule == "newer":
            return "theirs" if self.newer_there else "ours"
        return self.rule


def agree(
    pairs: Sequence[Pair],
    ours: Mapping[str, str],
    cells: Mapping[str, Cell],
    seen: Mapping[str, str],
    terms: Terms,
) -> Agreement:
    """Compare ``ours`` (by field) with ``cells`` (by column); ``seen`` is what both said last, empty at first."""
    done = Agreement()
    for pair in pairs:
        original = seen.get(pair.key, "")
        try:
            theirs = pair.read(cells.get(pair.column.name))
        except InvalidInput as error:
            done.misfits.append(f"{pair.column.name}: {error.message.rstrip('.')}")
            done.seen[pair.key] = original
            done.waits.add(pair.field)
            continue
        whole = ours.get(pair.field, "")
        image = pair.image(whole)
        if image is None:
            done.misfits.append(f"{shown(whole, limit=40)} does not fit into the column {pair.column.name}")
            done.seen[pair.key] = original
            continue
        _settle(done, pair, _Three(whole, image, theirs, original), terms)
    return done


@dataclass(frozen=True, slots=True)
class _Three:
    whole: str
    """All that we say, also what the column cannot hold."""
    ours: str
    theirs: str
    original: str


def _settle(done: Agreement, pair: Pair, three: _Three, terms: Terms) -> None:
    match pair.field:
        case "tags":
            _settle_tags(done, pair, three, terms)
        case "suppressed":
            _settle_suppressed(done, pair, three, terms)
        case "stage":
            _settle_stage(done, pair, three, terms)
        case _:
            _settle_value(done, pair, three, terms)


def _settle_value(done: Agreement, pair: Pair, three: _Three, terms: Terms) -> None:
    ours, theirs, original = three.ours, three.theirs, three.original
    if pair.same(ours, theirs):
        done.seen[pair.key] = theirs
    elif not pair.column.writable:
        _take(done, pair, three, terms)
    elif pair.same(theirs, original):
        _send(done, pair, original)
    elif pair.field == "email" and not _can_be(theirs, terms):
        done.clashes.append(Clash(pair.field, ours, theirs, original, "ours"))
        _send(done, pair, theirs)
    elif pair.same(ours, original):
        _take(done, pair, three, terms)
    else:
        winner = terms.winner if terms.may_take or terms.winner == "ours" else "neither"
        done.clashes.append(Clash(pair.field, ours, theirs, original, winner))
        if winner == "ours":
            _send(done, pair, theirs)
        elif winner == "theirs":
            _take(done, pair, three, terms)
        else:
            done.seen[pair.key] = original
            done.waits.add(pair.field)


def _can_be(email: str, terms: Terms) -> bool:
    try:
        return terms.is_free(normalise(email).address)
    except NotAnAddress:
        return False


def _take(done: Agreement, pair: Pair, three: _Three, terms: Terms) -> None:
    if terms.may_take:
        box = pair.column.holds == "box" and pair.typed is not None
        done.takes[pair.field] = three.theirs or ("no" if box else "")
        done.seen[pair.key] = three.theirs
    else:
        done.seen[pair.key] = three.original
        done.waits.add(pair.field)


def _send(done: Agreement, pair: Pair, seen: str) -> None:
    done.seen[pair.key] = seen
    if pair.column.writable:
        done.sends.add(pair.field)


def _settle_tags(done: Agreement, pair: Pair, three: _Three, terms: Terms) -> None:
    ours, theirs, original = (_tags(text) for text in (three.whole, three.theirs, three.original))
    if not terms.may_take and theirs.keys() != original.keys():
        done.seen[pair.key] = three.original
        done.waits.add(pair.field)
        return
    added = {key: name for key, name in theirs.items() if key not in original}
    removed = original.keys() - theirs.keys()
    merged = {key: name for key, name in {**added, **ours}.items() if key not in removed}
    if merged.keys() != ours.keys():
        done.takes[pair.field] = tags_text(merged.values())
    done.seen[pair.key] = three.theirs
    if not pair.same(pair.image(tags_text(merged.values())) or "", three.theirs):
        _send(done, pair, three.theirs)


def _tags(text: str) -> dict[str, str]:
    return {tag_key(name): name for name in split_tags(text)}


def _settle_suppressed(done: Agreement, pair: Pair, three: _Three, terms: Terms) -> None:
    ticked_there = three.theirs == YES and three.original != YES
    if ticked_there and three.ours != YES:
        _take(done, pair, three, terms)
    elif three.ours == three.theirs:
        done.seen[pair.key] = three.theirs
    else:
        _send(done, pair, three.theirs)


def _settle_stage(done: Agreement, pair: Pair, three: _Three, terms: Terms) -> None:
    stage = three.theirs.upper()
    if pair.same(three.ours, three.theirs):
        done.seen[pair.key] = three.theirs
    elif pair.same(three.theirs, three.original) or not three.theirs:
        _send(done, pair, three.theirs)
    elif is_forward(three.ours, stage):
        _take(done, pair, _Three(three.whole, three.ours, stage, three.original), terms)
    else:
        done.stage_kept = stage not in STAGES or not is_forward(stage, three.ours) or bool(three.original)
        if done.stage_kept:
            done.clashes.append(Clash("stage", three.ours, three.theirs, three.original, "ours"))
        _send(done, pair, three.theirs)
