"""The verbs of ``aicmo contact`` about people who are in the list twice: duplicates, merge, distinct."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.people import agree, pair
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from aicmo.crm.merging import MergePlan
    from aicmo.crm.similarity import Pair

_COLUMNS = ["email", "other", "names", "score", "exact", "reasons"]


@verb(lists=True)
@click.option("--exact", is_flag=True, help="Only those that differ in spelling alone.")
def duplicates(run: Run, exact: bool) -> None:
    """People who may be in the list twice, the surest first, with the reasons."""
    with run.open_workspace() as workspace:
        found = workspace.duplicates.find(progress=_progress(run))
    shown = (_record(each) for each in found if each.is_exact or not exact)
    output.rows(shown, run.form, _COLUMNS, empty="Nobody seems to be in the list twice.", numbers=["score"])


@verb(changes=True)
@click.argument("survivor", required=False)
@click.argument("other", required=False)
@click.option("--set", "chosen", multiple=True, metavar="FIELD=VALUE", help="What the survivor shall say; repeatable.")
@click.option("--exact", is_flag=True, help="Merge all who differ in spelling alone, in place of naming two.")
def merge(run: Run, survivor: str | None, other: str | None, chosen: tuple[str, ...], exact: bool) -> None:
    """Merge OTHER into SURVIVOR: one record, with what happened with either. Undo makes two of it again."""
    if exact:
        if survivor or chosen:
            raise InvalidInput("--exact merges everybody alike.", hint="Name two people, or say --exact.")
        _merge_exact(run)
        return
    if survivor is None or other is None:
        raise InvalidInput("Two people are merged.", hint="Name them: aicmo contact merge SURVIVOR OTHER")
    from aicmo.crm.editing import field_key
    from aicmo.crm.merging import HOLDS_FOR_BOTH

    with run.open_workspace() as workspace:
        plan: MergePlan = workspace.duplicates.plan(survivor, other)
        agree(run, f"Merge {plan.other.email} into {plan.survivor.email}?")
        said = {field_key(name): value for name, value in map(pair, chosen)}
        merged = workspace.duplicates.merge(survivor, other, said)
    gained = {name: value for name, value in plan.gained.items() if name not in said}
    kept = [choice for choice in plan.choices if choice.field not in said]
    record = {
        "schema": "aicmo.contact.merge/1",
        "status": "dry_run" if run.dry_run else "done",
        "survivor": merged.survivor,
        "other": merged.other,
        "gained": {**gained, **dict.fromkeys((f"tag.{tag}" for tag in plan.tags), "yes")},
        "kept": {choice.field: {"kept": choice.kept, "other": choice.other} for choice in kept},
        "set": said,
        "stage": plan.stage,
        "suppressed": dict(plan.suppressed),
        "change_id": None if run.dry_run else merged.change_id,
    }
    would = "Would merge" if run.dry_run else "Merged"
    text = [f"{would} {merged.other} into {merged.survivor}, {plan.stage}."]
    text += [f"  gains {name}: {value}" for name, value in gained.items()]
    text += [f"  keeps {each.field}: {each.kept}, not {each.other}" for each in kept]
    text += [f"  says {name}: {value}, as you said" for name, value in said.items()]
    text += [f"  {who} is suppressed ({why}): {HOLDS_FOR_BOTH}" for who, why in plan.suppressed.items()]
    if not run.dry_run:
        text.append(f"Take it back with: aicmo undo {merged.change_id}")
    output.document(record, run.form, text)


@verb(changes=True)
@click.argument("one")
@click.argument("two")
@click.option("--forget", is_flag=True, help="Take that back: they may be one person after all.")
def distinct(run: Run, one: str, two: str, forget: bool) -> None:
    """These are two different people: they are not named as duplicates again."""
    with run.open_workspace() as workspace:
        if forget:
            workspace.duplicates.forget_telling_apart(one, two)
        else:
            workspace.duplicates.tell_apart(one, two)
    status = "dry_run" if run.dry_run else "done"
    record = {"schema": "aicmo.contact.distinct/1", "status": status, "emails": [one, two], "distinct": not forget}
    output.document(record, run.form, [f"{one} and {two} {'may be one person' if forget else 'are two people'}."])


def _merge_exact(run: Run) -> None:
    with run.open_workspace() as workspace:
        pairs = [each for each in workspace.duplicates.find(progress=_progress(run)) if each.is_exact]
        if pairs:
            agree(run, f"Merge {len(pairs):,} pairs of people who differ in spelling alone?")
        done = workspace.duplicates.merge_pairs(pairs)
    record = {
        "schema": "aicmo.contact.merge/1",
        "status": "dry_run" if run.dry_run else "done",
        "merged": [{"survivor": each.survivor, "other": each.other} for each in done.merged],
        "change_id": None if run.dry_run else done.change_id,
    }
    said = "Would merge" if run.dry_run else "Merged"
    text = [f"{said} {each.other} into {each.survivor}" for each in done.merged[:20]]
    text.append(f"{said} {len(done.merged):,} pairs." if done.merged else "Nobody differs in spelling alone.")
    if done.merged and not run.dry_run:
        text.append(f"Take it back with: aicmo undo {done.change_id}")
    output.document(record, run.form, text)


def _record(found: Pair) -> dict[str, Any]:
    return {
        "email": found.emails[0],
        "other": found.emails[1],
        "names": list(found.names),
        "score": found.score,
        "exact": found.is_exact,
        "reasons": [f"{reason.sign}: {reason.shared}" for reason in found.reasons],
    }


def _progress(run: Run) -> Any:
    """A bar on a terminal's stderr."""
    if run.quiet or not run.form.is_text or not sys.stderr.isatty():
        return None

    def draw(fraction: float) -> None:
        print(f"\r{output.progress_bar(round(fraction * 100), 100)}\x1b[K", end="", file=sys.stderr, flush=True)
        if fraction >= 1:
            print(file=sys.stderr)

    return draw
