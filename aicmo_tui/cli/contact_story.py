"""The verbs of ``aicmo contact`` that tell somebody's story and write in it: why, timeline, note, next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import AT_MOST, Run, verb


@verb()
@click.argument("email")
def why(run: Run, email: str) -> None:
    """Why somebody is in their stage: every step with its cause; and why nobody may write to them, if so."""
    with run.open_workspace() as workspace:
        found = workspace.crm.get(email)
        told = workspace.timeline.why(found.id)
    came = {
        "at": told.arrival.at,
        "from": None,
        "to": told.first_stage,
        "cause": told.arrival.what,
        "actor": told.arrival.actor,
        "event_id": None,
        "change_id": None,
        "of": None,
    }
    steps = [
        {**asdict(step), "from": step.from_stage, "to": step.to_stage, "of": step.of or None} for step in told.steps
    ]
    chain = [came, *({name: step[name] for name in came} for step in steps)]
    suppressed = None
    if told.suppressed is not None:
        entry = told.suppressed
        suppressed = {"reason": str(entry.reason), "source": entry.source, "at": entry.created_at}
    text = [f"{told.stage}", *map(_step, chain)]
    if suppressed:
        text.append(f"suppressed: {suppressed['reason']}, says {suppressed['source']}, {suppressed['at']}")
    record = {"email": found.email, "stage": told.stage, "chain": chain, "suppressed": suppressed}
    output.document(record, run.form, text)


def _step(step: dict[str, Any]) -> str:
    where = f"{step['from']} → {step['to']}" if step["from"] else step["to"]
    of = f"of {step['of']}" if step["of"] else ""
    whose = ", ".join(filter(None, (of, step["actor"], f"event {step['event_id']}" if step["event_id"] else "")))
    return f"  {step['at']}  {where}  {step['cause']}" + (f"  ({whose})" if whose else "")


_COLUMNS = ["when", "id", "at", "kind", "what", "text", "campaign", "actor", "human", "because", "pinned", "cursor"]


@verb(lists=True)
@click.argument("email")
@click.option("--kind", "kinds", multiple=True, metavar="K", help="Only this: note, replied, delivery, stage, …")
@click.option("--search", default="", metavar="WORDS", help="Only what holds these words.")
@click.option("--limit", type=AT_MOST, default=50, help="At most so many of the past.")
@click.option("--after", default="", metavar="CURSOR", help="Go on behind that one.")
def timeline(run: Run, email: str, kinds: tuple[str, ...], search: str, limit: int, after: str) -> None:
    """Everything with one person: what is to come, what is pinned, then the past from the latest on."""
    with run.open_workspace() as workspace:
        person = workspace.crm.get(email)
        page = workspace.timeline.page(person.id, kinds=kinds, search=search, limit=limit, after=after)
    found = [
        {"when": when, **asdict(item), "cursor": item.cursor if when == "past" else None}
        for when, items in (("to come", page.to_come), ("pinned", page.pinned), ("past", page.items))
        for item in items
    ]
    columns = ["when", "at", "id", "what", "campaign", "text"] if run.form.is_text else _COLUMNS
    output.rows(found, run.form, columns, empty="Nothing like that.")
    if page.cursor:
        run.say(f'There is more; go on with: --after "{page.cursor}"')


@verb(changes=True)
@click.argument("email")
@click.argument("words", metavar="TEXT", nargs=-1, required=True)
@click.option("--pin", is_flag=True, help="Keep it above the others.")
def note(run: Run, email: str, words: tuple[str, ...], pin: bool) -> None:
    """Write a note about somebody into their timeline."""
    with run.open_workspace() as workspace:
        person = workspace.crm.get(email)
        number = workspace.timeline.note(person.id, " ".join(words), pinned=pin)
    status, said = ("dry_run", "Would be noted") if run.dry_run else ("done", f"Noted as {number}")
    record = {"schema": "aicmo.contact.note/1", "status": status, "id": None if run.dry_run else number}
    output.document(record, run.form, [f"{said}."])
    if not run.dry_run:
        run.say("Take it back with: aicmo undo")


@verb(None, "next", changes=True)
@click.argument("email")
@click.argument("words", metavar="[TEXT]", nargs=-1)
@click.option("--on", "day", metavar="DAY", help="tuesday, tomorrow, +3d, 2w or 2026-11-24.")
@click.option("--done", "was_done", is_flag=True, help="It is done; that leaves a note.")
@click.option("--snooze", metavar="DAY", help="Put it off: 2d, monday, …")
def next_(run: Run, email: str, words: tuple[str, ...], day: str | None, was_done: bool, snooze: str | None) -> None:
    """The one next action with somebody: plan it, do it, put it off; alone, say what it is."""
    text = " ".join(words)
    if (bool(text or day)) + was_done + (snooze is not None) > 1:
        raise InvalidInput("Plan it, or say --done, or --snooze: one at a time.")
    if bool(text) != bool(day):
        raise InvalidInput("A plan is a text and a day.", hint='Say both: aicmo contact next EMAIL "call" --on tuesday')
    with run.open_workspace() as workspace:
        person = workspace.crm.get(email)
        if was_done:
            done = workspace.today.done(person)
            planned, said = None, f"Done: {done.text}"
        else:
            if day:
                planned = workspace.today.plan(person, text, day)
            else:
                planned = workspace.today.snooze(person, snooze) if snooze else workspace.today.next_action(person.id)
            said = f"{planned.due} {planned.text}" if planned else "Nothing is planned."
    record = {
        "schema": "aicmo.contact.next/1",
        "status": "dry_run" if run.dry_run else "done",
        "email": person.email,
        "next": {"due": planned.due.isoformat(), "text": planned.text} if planned else None,
    }
    output.document(record, run.form, [f"Would be: {said}" if run.dry_run else said])
