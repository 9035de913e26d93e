"""``aicmo field``: custom fields with a type."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from aicmo.store.fields import CustomField

TYPES = "text, number, date, select, multi, url or bool"


@click.group()
def field() -> None:
    """Custom fields: what each may hold. One without a type holds any text."""


@verb(field, "list", lists=True)
def list_(run: Run) -> None:
    """Every custom field that has a type."""
    with run.open_workspace() as workspace:
        found = workspace.fields.list()
    empty = "No field has a type yet. Give it one with: aicmo field add NAME --type number"
    output.rows(map(asdict, found), run.form, ["key", "title", "type", "options"], empty=empty)


@verb(field, changes=True)
@click.argument("name")
@click.option("--type", "kind", required=True, metavar="T", help=f"{TYPES}.")
@click.option("--option", "options", multiple=True, metavar="VALUE", help="What a select or multi may be; repeat it.")
@click.option("--title", default="")
def add(run: Run, name: str, kind: str, options: tuple[str, ...], title: str) -> None:
    """Give a custom field a type. Values that are there already must fit, and are written in its form."""
    with run.open_workspace() as workspace:
        _tell(run, "add", workspace.fields.add(name, kind, options, title=title))


@verb(field, changes=True)
@click.argument("name")
@click.option("--type", "kind", metavar="T", help=f"{TYPES}.")
@click.option("--option", "options", multiple=True, metavar="VALUE", help="In place of those there are; repeat it.")
@click.option("--title")
def change(run: Run, name: str, kind: str | None, options: tuple[str, ...], title: str | None) -> None:
    """Change a field's type, options or title."""
    with run.open_workspace() as workspace:
        _tell(run, "change", workspace.fields.change(name, type=kind, options=options or None, title=title))


@verb(field, changes=True)
@click.argument("name")
def delete(run: Run, name: str) -> None:
    """Forget a field's type. What people have in it stays, as text."""
    with run.open_workspace() as workspace:
        _tell(run, "delete", workspace.fields.delete(name))


def _tell(run: Run, name: str, field: CustomField) -> None:
    status = "dry_run" if run.dry_run else "done"
    options = f": {', '.join(field.options)}" if field.options else ""
    said = "has no type any more" if name == "delete" else f"is a {field.type}{options}"
    text = f"{field.key} {said}" + (", but nothing was changed." if run.dry_run else ".")
    output.document({"schema": f"aicmo.field.{name}/1", "status": status, **asdict(field)}, run.form, [text])
