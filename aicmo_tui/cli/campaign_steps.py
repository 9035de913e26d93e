"""``aicmo campaign step``, ``join`` and ``people``: a campaign that goes on, and who is where in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import ApprovalNeeded
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import AT_MOST, ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.publishing import PublishingCampaign
    from aicmo.publishing.sequences.editing import Edit, Plan
    from aicmo.publishing.sequences.verbs import PlaceTold, StepState
    from aicmo.workspace import Workspace

WAIT = "After the step before it went, such as 3d or 12h."
ONLY_IF = "Who gets it: no_reply, clicked, not_clicked, or a contact query."
BEFORE = "The step that it goes before; else it is the last."


@click.group()
def step() -> None:
    """The steps of a sequence. A step keeps its number for good."""


@verb(step, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option(
    "--content",
    "content_id",
    required=True,
    type=ROW_ID,
    metavar="ID",
    help="An e-mail, a webinar or a product update.",
)
@click.option("--wait", required=True, metavar="SPAN", help=WAIT)
@click.option("--if", "only_if", default="", metavar="CONDITION", help=ONLY_IF)
@click.option("--before", type=ROW_ID, metavar="STEP", help=BEFORE)
def add(run: Run, id_: int, content_id: int, wait: str, only_if: str, before: int | None) -> None:
    """One more step. The first one makes the campaign a sequence."""
    from aicmo.publishing.sequences.editing import Add
    from aicmo.publishing.spans import parse_span

    _edit(run, "add", id_, Add(content_id, parse_span(wait), only_if, before))


@verb(step, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("number", metavar="STEP", type=ROW_ID)
@click.option(
    "--content", "content_id", type=ROW_ID, metavar="ID", help="Its latest version, also of the same content."
)
@click.option("--wait", metavar="SPAN", help=WAIT)
@click.option("--if", "only_if", metavar="CONDITION", help=f"{ONLY_IF} Empty is everybody.")
def edit(run: Run, id_: int, number: int, content_id: int | None, wait: str | None, only_if: str | None) -> None:
    """What a step says, when it is due and for whom. Says first what that means for the people inside."""
    from aicmo.publishing.sequences.editing import Change
    from aicmo.publishing.spans import parse_span

    if content_id is None and wait is None and only_if is None:
        raise click.UsageError("Say --content, --wait or --if.")
    minutes = None if wait is None else parse_span(wait)
    _edit(run, "edit", id_, Change(number, content_id, minutes, only_if))


@verb(step, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("number", metavar="STEP", type=ROW_ID)
@click.option("--before", type=ROW_ID, metavar="STEP", help=BEFORE)
def move(run: Run, id_: int, number: int, before: int | None) -> None:
    """Another place in the order. Nobody gets a step twice."""
    from aicmo.publishing.sequences.editing import Shift

    _edit(run, "move", id_, Shift(number, before))


@verb(step, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("number", metavar="STEP", type=ROW_ID)
def remove(run: Run, id_: int, number: int) -> None:
    """Nobody gets it any more but who has it in the queue. Who waited for it goes on with the next."""
    from aicmo.publishing.sequences.editing import Remove

    _edit(run, "remove", id_, Remove(number))


@verb(step, "list", lists=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
def list_(run: Run, id_: int) -> None:
    """The steps in their order, and how far each has come."""
    with run.open_workspace() as workspace:
        found = [step_record(each) for each in workspace.sequences.steps(id_)]
    columns = ["step", "content_id", "subject", "wait", "only_if", "here", "counts"]
    if run.form.is_text:
        for row in found:
            row["counts"] = " ".join(f"{state} {count:,}" for state, count in row["counts"].items())
    output.rows(found, run.form, columns, empty="", numbers=["step", "content_id", "here"])


def _edit(run: Run, name: str, id_: int, edit: Edit) -> None:
    with run.open_workspace() as workspace:
        plan = workspace.sequences.plan(id_, edit)
        if plan.consequences:
            for each in plan.consequences:
                run.say(each.told)
            if not run.confirm(f"Do so with step {plan.step}?"):
                raise ApprovalNeeded(
                    "Nobody agreed, so nothing was changed.", hint="Answer y on a terminal, or say --yes."
                )
        workspace.sequences.edit(id_, edit, approve=bool(plan.consequences))
        steps = [step_record(each) for each in workspace.sequences.steps(id_)]
    record = {
        "schema": f"aicmo.campaign.step.{name}/1",
        "status": "dry_run" if run.dry_run else "done",
        "step": plan.step,
        "people": plan_record(plan),
        "steps": steps,
    }
    told = ["Nothing was changed."] if run.dry_run else [step_told(each) for each in steps]
    output.document(record, run.form, told)


@verb(changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--off", is_flag=True, help="Nobody joins any more; those inside go on.")
def join(run: Run, id_: int, off: bool) -> None:
    """Let whoever comes into the audience later enter too, such as in a welcome series. Nobody enters twice."""
    with run.open_workspace() as workspace:
        found = workspace.sequences.make(id_, joins=not off)
    record = {
        "schema": "aicmo.campaign.join/1",
        "status": "dry_run" if run.dry_run else "done",
        "id": id_,
        "joins": found.joins_at is not None,
    }
    told = "Newcomers to its audience join." if found.joins_at else "Nobody joins after the start."
    output.document(record, run.form, [told, *(["Nothing was changed."] if run.dry_run else [])])


@verb(lists=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--state", default="", help="Only these: active, done, stopped.")
@click.option("--limit", type=AT_MOST, help="At most so many.")
def people(run: Run, id_: int, state: str, limit: int | None) -> None:
    """Who is where in a sequence, and why."""
    with run.open_workspace() as workspace:
        found = workspace.sequences.people(id_, state=state, limit=limit or -1)
    columns = ["email", "state", "step", "next_step", "due_at", "why"]
    if not run.form.is_text:
        columns += ["cause", "entered_at"]
    output.rows(
        (_person(each) for each in found),
        run.form,
        columns,
        empty="Nobody: it is no sequence, has not begun, or none is in that state.",
        numbers=["step", "next_step"],
    )


def _person(found: PlaceTold) -> dict[str, Any]:
    place = found.place
    return {
        "email": place.email,
        "state": place.state,
        "step": place.step,
        "next_step": found.next_step,
        "due_at": place.due_at or None,
        "why": found.why,
        "cause": place.cause or None,
        "entered_at": place.entered_at,
    }


def step_record(found: StepState) -> dict[str, Any]:
    from aicmo.publishing.spans import told_span

    return {
        "step": found.message.step,
        "content_id": found.message.content_id,
        "subject": found.subject,
        "wait": told_span(found.message.wait_minutes),
        "only_if": found.message.only_if or None,
        "here": found.here,
        "counts": found.counts,
    }


def step_told(record: dict[str, Any]) -> str:
    after = "" if record["step"] == 1 else " at once" if record["wait"] == "0" else f" {record['wait']} later"
    condition = f" if {record['only_if']}" if record["only_if"] else ""
    counts = "".join(f"  {state} {count:,}" for state, count in record["counts"].items())
    return f"  step {record['step']}{after}{condition}: {record['subject']}{counts}"


def plan_record(plan: Plan) -> list[dict[str, Any]]:
    return [{"count": each.count, "who": each.who, "what": each.what} for each in plan.consequences]


def sequence_record(workspace: Workspace, found: PublishingCampaign) -> dict[str, Any]:
    """What ``campaign show`` says more of a sequence; nothing of any other."""
    if found.kind != "sequence":
        return {}
    places = workspace.sequences.places(found.id)
    return {
        "steps": [step_record(each) for each in workspace.sequences.steps(found.id)],
        "joins": found.joins_at is not None,
        "people": {
            "entered": places.total,
            "active": sum(places.active.values()),
            "done": places.done,
            "stopped": sum(places.stopped.values()),
            "stopped_by": dict(places.stopped),
        },
    }


def sequence_told(record: dict[str, Any]) -> list[str]:
    if "steps" not in record:
        return []
    people = record["people"]
    causes = ", ".join(f"{cause} {count:,}" for cause, count in people["stopped_by"].items())
    told = f"  {people['entered']:,} entered: {people['active']:,} active, {people['done']:,} done, "
    return [
        *(step_told(each) for each in record["steps"]),
        f"{told}{people['stopped']:,} stopped{f' ({causes})' if causes else ''}",
        *(["  newcomers to its audience join"] if record["joins"] else []),
    ]
