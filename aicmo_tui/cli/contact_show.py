"""``aicmo contact show``: all that is known of one person at a glance, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.people import contact_record
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from aicmo.crm.portrait import Portrait
    from aicmo.store.lookups import Fact

_OWN = ("email", "first_name", "last_name", "company", "title", "phone", "domain", "stage", "created_at", "updated_at")


@verb()
@click.argument("email")
def show(run: Run, email: str) -> None:
    """Everything about one person: theirs, what providers say and where they disagree, what is agreed and planned."""
    with run.open_workspace() as workspace:
        seen = workspace.crm.portrait(workspace.crm.get(email).id)
    output.document(_record(seen), run.form, list(_lines(seen)))


def _record(seen: Portrait) -> dict[str, Any]:
    differing = {each.field for each in seen.conflicts}
    return {
        **contact_record(seen.contact),
        "score": seen.score,
        "last_touch": seen.last_touch or None,
        "suppressed": str(seen.suppressed.reason) if seen.suppressed else None,
        "next": {"due": seen.planned.due.isoformat(), "text": seen.planned.text} if seen.planned else None,
        "verification": seen.verdict._asdict() if seen.verdict else None,
        "consents": [
            {"purpose": it.purpose, "given": it.given, "source": it.source, "wording": it.wording, "at": it.at}
            for it in seen.consents
        ],
        "enrichment": [{"field": it.field, **_said(it), "conflict": it.field in differing} for it in seen.facts],
        "conflicts": [
            {"field": it.field, "value": it.value, "says": [_said(fact) for fact in it.says]} for it in seen.conflicts
        ],
    }


def _said(fact: Fact) -> dict[str, str]:
    return {"provider": fact.provider, "value": fact.value, "at": fact.at}


def _lines(seen: Portrait) -> Iterator[str]:
    contact = seen.contact
    told = {name: getattr(contact, name) for name in _OWN}
    told["tags"] = ", ".join(contact.tags)
    told["fields"] = ", ".join(f"{key} = {text}" for key, text in contact.fields.items())
    told["score"] = "" if seen.score is None else str(seen.score)
    told["last touch"] = seen.last_touch
    if why := seen.suppressed:
        told["suppressed"] = f"{why.reason}, says {why.source}, {why.created_at[:10]}"
    if planned := seen.planned:
        told["next"] = f"{planned.due} {planned.text}"
    if verdict := seen.verdict:
        told["address"] = f"{verdict.status} ({verdict.word}), says {verdict.provider} {verdict.at[:10]}"
    yield from (f"{name}: {text}" for name, text in told.items() if text)
    for word in seen.consents:
        yield f"consent: {word.purpose} {'given' if word.given else 'withdrawn'}, {word.source} {word.at[:10]}"
    stands = {each.field: each.value for each in seen.conflicts}
    for it in seen.facts:
        conflict = f"; here it stands as {stands[it.field]}" if it.field in stands else ""
        yield f"{'▲' if conflict else ' '} {it.field}: {it.value}, says {it.provider} {it.at[:10]}{conflict}"
