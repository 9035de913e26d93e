"""``aicmo contact``: people in, found, tagged, out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import ApprovalNeeded, Interrupted, InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import AT_MOST, PARTLY_FAILED, Run, verb

if TYPE_CHECKING:
    from aicmo.crm import Contact, ImportProgress

QUERY = "QUERY is words to look for and terms such as tag:vip -stage:new domain:acme.com; none is everybody."
_COLUMNS = ["email", "first_name", "last_name", "company", "title", "phone", "stage", "tags", "domain", "created_at"]


@click.group()
def contact() -> None:
    """The people you know: import, find, tag, export."""


@verb(contact, "import", changes=True)
@click.argument("file", metavar="FILE|-")
@click.option("--map", "mapped", multiple=True, metavar="COLUMN=FIELD", help="What a column is; may be repeated.")
@click.option("--policy", default="fill", help="For known people: fill (empty fields only), overwrite, or keep.")
@click.option("--tag", "tags", multiple=True, help="Give everybody this tag; may be repeated.")
@click.option("--encoding", help="The file's encoding, where it is guessed wrong.")
@click.option("--rejected", metavar="FILE", help="Where rejected rows go; else beside the file.")
def import_(
    run: Run,
    file: str,
    mapped: tuple[str, ...],
    policy: str,
    tags: tuple[str, ...],
    encoding: str | None,
    rejected: str | None,
) -> int:
    """Import people from a CSV or TSV file; known ones are updated, never doubled. Exits 5 when rows were rejected."""
    source = Path(file)
    beside = Path("import.csv") if file == "-" else source
    rejected_file = Path(rejected) if rejected else beside.with_suffix(".rejected.csv")
    bar = _Bar(run)
    with run.open_workspace() as workspace:
        try:
            result = workspace.crm.import_file(
                source,
                mapping=dict(_pair(each) for each in mapped),
                policy=policy,
                tags=tags,
                dry_run=run.dry_run,
                rejected_file=rejected_file,
                encoding=encoding,
                progress=bar.draw,
            )
        except KeyboardInterrupt:
            raise Interrupted(
                "Interrupted; the batches before are imported.", hint="Import the file again: nobody is doubled."
            ) from None
        finally:
            bar.end()
    counts = result.counts.as_dict()
    record = {
        "schema": "aicmo.contact.import/1",
        "status": "dry_run" if run.dry_run else result.status,
        "id": result.import_id,
        "counts": counts,
        "warnings": list(result.warnings),
        "rejected_file": str(result.rejected_file) if result.rejected_file else None,
    }
    text = [", ".join(f"{name} {count:,}" for name, count in counts.items())]
    text += [f"▲ {warning}" for warning in result.warnings]
    if result.rejected_file:
        text.append(f"The rejected rows, with the reasons: {result.rejected_file}")
    if run.dry_run:
        text.append("Nothing was changed.")
    output.document(record, run.form, text)
    return PARTLY_FAILED if result.counts.rejected else 0


@verb(contact, "list", lists=True, epilog=QUERY)
@click.argument("query", nargs=-1)
@click.option("--limit", type=AT_MOST, help="At most so many; 100 on a terminal.")
@click.option("--sort", default="added", help="added, email, name, company or stage; - before it turns it round.")
def list_(run: Run, query: tuple[str, ...], limit: int | None, sort: str) -> None:
    """Whom a query selects."""
    words = " ".join(query)
    shown = limit or (100 if run.form.is_text else -1)
    with run.open_workspace() as workspace:
        total = workspace.crm.count(words) if run.form.is_text else 0
        found = (_record(each) for each in workspace.crm.iterate(words, limit=shown, sort=sort))
        columns = ["email", "first_name", "last_name", "company", "stage", "tags"] if run.form.is_text else _COLUMNS
        output.rows(found, run.form, columns, empty="Nobody like that. Import people with: aicmo contact import FILE")
    if total > shown > 0:
        run.say(f"{shown:,} of {total:,}; --limit shows more.")


@verb(contact, epilog=QUERY)
@click.argument("query", nargs=-1)
def count(run: Run, query: tuple[str, ...]) -> None:
    """How many a query selects."""
    with run.open_workspace() as workspace:
        found = workspace.crm.count(" ".join(query))
    output.document({"count": found}, run.form, [str(found)])


@verb(contact)
@click.argument("email")
def show(run: Run, email: str) -> None:
    """Everything about one person."""
    from aicmo.store import suppressions

    with run.open_workspace() as workspace:
        found: Contact = workspace.crm.get(email)
        suppressed = workspace.db.read(lambda db: suppressions.reason_for(db, found.address))
    record = {**_record(found), "suppressed": suppressed or None}
    told = {**record, "tags": ", ".join(found.tags), "fields": ", ".join(f"{k} = {v}" for k, v in found.fields.items())}
    output.document(record, run.form, [f"{key}: {value}" for key, value in told.items() if value])


@verb(contact, changes=True)
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
    from aicmo.crm.address import normalise

    schema = "aicmo.contact.add/1"
    if run.dry_run:
        email = normalise(email).email
        output.document({"schema": schema, "status": "dry_run", "email": email}, run.form, [f"Would add {email}"])
        return
    with run.open_workspace() as workspace:
        added = workspace.crm.add(email, fields=dict(_pair(each) for each in fields), tags=tags, **known)
    output.document({"schema": schema, "status": "done", **_record(added)}, run.form, [f"Added {added.email}"])


@verb(contact, changes=True)
@click.argument("who", metavar="EMAIL|QUERY")
@click.option("--add", "added", multiple=True, metavar="TAG", help="May be repeated.")
@click.option("--remove", "removed", multiple=True, metavar="TAG", help="May be repeated.")
def tag(run: Run, who: str, added: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Tag one person, or everybody whom a query selects."""
    if not added and not removed:
        raise InvalidInput("No tag is named.", hint="Say --add TAG or --remove TAG.")
    with run.open_workspace() as workspace:
        concerned = workspace.crm.count(who)
        if concerned > 1 and not run.confirm(f"Change the tags of {concerned:,} people?"):
            raise ApprovalNeeded("Nobody agreed, so nothing was changed.", hint="Answer y on a terminal, or say --yes.")
        changed = 0 if run.dry_run else workspace.crm.tag(who, add=added, remove=removed)
    status = "dry_run" if run.dry_run else "done"
    record = {"schema": "aicmo.contact.tag/1", "status": status, "selected": concerned, "changed": changed}
    output.document(record, run.form, [f"{changed:,} of {concerned:,} changed"])


@verb(contact, epilog=QUERY)
@click.argument("query", nargs=-1)
@click.option("--to", "file", metavar="FILE", help="A file for your eyes alone; else stdout.")
def export(run: Run, query: tuple[str, ...], file: str | None) -> None:
    """Export people as CSV that the importer takes back exactly; formulas cannot run in it. With --json, as JSON."""
    words = " ".join(query)
    with run.open_workspace() as workspace:
        if file is None and not run.form.is_text:
            output.rows(map(_record, workspace.crm.iterate(words)), run.form, _COLUMNS, empty="")
            return
        if file is None:
            with open(sys.stdout.fileno(), "w", newline="", encoding="utf-8", closefd=False) as stdout:
                workspace.crm.export(words, stdout)
            return
        written = workspace.crm.export(words, Path(file))
    record = {"schema": "aicmo.contact.export/1", "status": "done", "count": written, "file": file}
    output.document(record, run.form, [f"{written:,} people in {file}"])


class _Bar:
    """How far an import is, on a terminal's stderr."""

    def __init__(self, run: Run) -> None:
        self._on = not run.quiet and run.form.is_text and sys.stderr.isatty()
        self._drawn = False

    def draw(self, progress: ImportProgress) -> None:
        if self._on:
            done = "" if progress.fraction is None else output.progress_bar(round(progress.fraction * 100), 100) + "  "
            print(f"\r{done}{progress.counts.rows:,} rows\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = True

    def end(self) -> None:
        if self._drawn:
            print(file=sys.stderr)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidInput(f"{text} names no value.", hint="Write it as NAME=VALUE.")
    return name.strip(), value.strip()


def _record(found: Contact) -> dict[str, Any]:
    return {
        "email": found.email,
        "first_name": found.first_name,
        "last_name": found.last_name,
        "company": found.company,
        "title": found.title,
        "phone": found.phone,
        "domain": found.domain,
        "stage": found.stage,
        "tags": list(found.tags),
        "fields": found.fields,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }
