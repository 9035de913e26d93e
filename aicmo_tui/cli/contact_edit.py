"""The verbs of ``aicmo contact`` that change people: add, edit, tag, delete. Each is one step that ``aicmo undo`` takes
back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.people import QUERY, agree, contact_record, pair
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from aicmo.crm.editing import Edited, EditResult


@verb(changes=True)
@click.argument("email")
@click.option("--first-name", default="")
@click.option("--last-name", default="")
@click.option("--company", default="")
@click.option("--title", default="")
@click.option("--phone", default="")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="A custom field; may be repeated.")
@click.option("--tag", "tags", multiple=True, help="May be repeated.")
def add(run: Run, email: str, fields: tuple[str, ...], tags: tuple[str, ...], **known: str) -> None:
    """Add one person."""
    with run.open_workspace() as workspace:
        added = workspace.crm.add(email, fields=dict(pair(each) for each in fields), tags=tags, **known)
    status, said = ("dry_run", "Would add") if run.dry_run else ("done", "Added")
    output.document(
        {"schema": "aicmo.contact.add/1", "status": status, **contact_record(added)},
        run.form,
        [f"{said} {added.email}"],
    )


@verb(changes=True, epilog=QUERY)
@click.argument("who", metavar="EMAIL|QUERY")
@click.option("--first-name")
@click.option("--last-name")
@click.option("--company")
@click.option("--title")
@click.option("--phone")
@click.option("--email", help="A new address, for one person.")
@click.option("--stage", help="Where they stand; back only with --demote.")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="A custom field; may be repeated.")
@click.option("--clear", "cleared", multiple=True, metavar="FIELD", help="Empty this field; may be repeated.")
@click.option("--tag", "tags", multiple=True, help="May be repeated.")
@click.option("--untag", "untagged", multiple=True, metavar="TAG", help="Take this tag away; may be repeated.")
@click.option("--because", default="", metavar="TEXT", help="Why they change stage; contact why tells it.")
@click.option("--demote", is_flag=True, help="A step back in the lifecycle is meant.")
def edit(
    run: Run,
    who: str,
    fields: tuple[str, ...],
    cleared: tuple[str, ...],
    tags: tuple[str, ...],
    untagged: tuple[str, ...],
    because: str,
    demote: bool,
    **known: str | None,
) -> None:
    """Change one person, or all whom a query selects alike. With --dry-run: how many, and what it would do to five."""
    from aicmo.crm.editing import field_key

    values = {name: text for name, text in known.items() if text is not None}
    values |= {f"field.{name}": text for name, text in map(pair, fields)}
    values |= {field_key(name): "" for name in cleared}
    values |= {**{f"tag.{name}": "" for name in untagged}, **{f"tag.{name}": name for name in tags}}
    if not values:
        raise InvalidInput("Nothing is to be changed.", hint="Say --title TEXT, --field NAME=VALUE or --clear FIELD.")
    with run.open_workspace() as workspace:
        chosen = workspace.crm.select(who)
        if len(chosen) > 1:
            agree(run, f"Change {', '.join(values)} of {len(chosen):,} people?")
        result = workspace.crm.edit_all(chosen, values, because=because, demote=demote)
    _tell(run, "edit", result)


@verb(changes=True, epilog=QUERY)
@click.argument("who", metavar="EMAIL|QUERY")
@click.option("--add", "added", multiple=True, metavar="TAG", help="May be repeated.")
@click.option("--remove", "removed", multiple=True, metavar="TAG", help="May be repeated.")
def tag(run: Run, who: str, added: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Tag one person, or everybody whom a query selects."""
    if not added and not removed:
        raise InvalidInput("No tag is named.", hint="Say --add TAG or --remove TAG.")
    with run.open_workspace() as workspace:
        chosen = workspace.crm.select(who)
        if len(chosen) > 1:
            agree(run, f"Change the tags of {len(chosen):,} people?")
        _tell(run, "tag", workspace.crm.tag(chosen, add=added, remove=removed))


@verb(changes=True, epilog=QUERY)
@click.argument("who", metavar="EMAIL|QUERY")
def delete(run: Run, who: str) -> None:
    """Delete one person, or all whom a query selects, with all that is theirs; undo brings it back."""
    with run.open_workspace() as workspace:
        chosen = workspace.crm.select(who)
        if chosen:
            agree(run, f"Delete {len(chosen):,} {'person' if len(chosen) == 1 else 'people'}?")
        _tell(run, "delete", workspace.crm.delete(chosen), done="deleted")


def _tell(run: Run, name: str, result: EditResult, *, done: str = "changed") -> None:
    document: dict[str, Any] = {
        "schema": f"aicmo.contact.{name}/1",
        "status": "dry_run" if run.dry_run else "done",
        "selected": result.selected,
        "changed": result.changed,
        "change_id": None if run.dry_run else result.change_id,
        "examples": [each._asdict() for each in result.examples],
        "warnings": list(result.warnings),
    }
    would = "would be " if run.dry_run else ""
    text = [f"{result.changed:,} of {result.selected:,} {would}{done}"]
    if run.dry_run or result.changed == 1:
        text += [f"  {_example(each)}" for each in result.examples]
    text += [f"▲ {each}" for each in result.warnings]
    output.document(document, run.form, text)
    if document["change_id"] is not None:
        run.say(f"Take it back with: aicmo undo {result.change_id}")


def _example(edited: Edited) -> str:
    told = (f"{key}: “{edited.before[key]}” → “{text}”" for key, text in edited.after.items())
    return f"{edited.email}  {', '.join(told)}"
