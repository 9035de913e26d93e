"""``aicmo suppression``: who must not be written to."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from aicmo.errors import ApprovalNeeded, NotFound
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import PARTLY_FAILED, Run, verb


@click.group()
def suppression() -> None:
    """Who must not be written to: it holds from the next message on, and outlives the contact."""


@verb(suppression, "list", lists=True)
def list_(run: Run) -> None:
    """Every entry, newest first. Where no contact is left, only a hash is, and the address is empty."""
    from aicmo.store import suppressions

    with run.open_workspace() as workspace:
        found = [asdict(each) for each in workspace.db.read(suppressions.listed)]
    output.rows(found, run.form, ["email", "reason", "source", "created_at"], empty="Nobody is suppressed.")


@verb(suppression, changes=True)
@click.argument("email")
def add(run: Run, email: str) -> None:
    """Never write to this address again."""
    from aicmo.crm.address import normalise
    from aicmo.store import suppressions
    from aicmo.store.suppressions import SuppressionReason

    address, now = normalise(email).address, datetime.now(UTC)
    with run.open_workspace() as workspace:
        added = not run.dry_run and workspace.db.write(
            lambda db: suppressions.add(db, address, SuppressionReason.MANUAL, "aicmo suppression add", now)
        )
    status = "dry_run" if run.dry_run else "done" if added else "unchanged"
    said = {"dry_run": "Would be suppressed.", "done": f"{email} is suppressed.", "unchanged": f"{email} was already."}
    output.document({"schema": "aicmo.suppression.add/1", "status": status}, run.form, [said[status]])
    if status == "done":
        run.say(f"Undo leaves this alone; only this takes it back: aicmo suppression remove {shlex.quote(address)}")


@verb(suppression, changes=True)
@click.argument("email")
def remove(run: Run, email: str) -> None:
    """Allow writing to this address again. Only on that person's own word."""
    from aicmo.crm.address import normalise
    from aicmo.store import suppressions

    address = normalise(email).address
    with run.open_workspace() as workspace:
        if not workspace.db.read(lambda db: suppressions.reason_for(db, address)):
            raise NotFound(f"{email} is not suppressed.", hint="List them with: aicmo suppression list")
        if not run.confirm(f"Did the owner of {email} ask for mail again?"):
            raise ApprovalNeeded("Nobody agreed, so nothing was changed.", hint="Answer y on a terminal, or say --yes.")
        workspace.db.write(lambda db: suppressions.remove(db, address))
    status, said = ("dry_run", "would be") if run.dry_run else ("done", "may be")
    output.document(
        {"schema": "aicmo.suppression.remove/1", "status": status}, run.form, [f"{email} {said} written to."]
    )


@verb(suppression, "import", changes=True)
@click.argument("file", metavar="FILE|-")
@click.option(
    "--reason", default="manual", help="Where the file does not say why: unsubscribed, bounced, complained or manual."
)
@click.option("--encoding", help="The file's encoding, where it is guessed wrong.")
def import_(run: Run, file: str, reason: str, encoding: str | None) -> int:
    """Suppress everybody in a file: one address a line, or a table, such as a mail service's list of who unsubscribed.
    Exits 5 when rows were rejected."""
    from aicmo.crm.suppressing import import_suppressions

    with run.open_workspace() as workspace:
        result = import_suppressions(workspace.db, Path(file), reason=reason, encoding=encoding, clock=workspace.clock)
    counts = result.counts.as_dict()
    record = {
        "schema": "aicmo.suppression.import/1",
        "status": "dry_run" if run.dry_run else "done",
        "counts": counts,
        "rejections": result.rejections,
    }
    text = [", ".join(f"{name} {count:,}" for name, count in counts.items())]
    text += [f"▲ {each}" for each in result.rejections]
    if more := result.counts.rejected - len(result.rejections):
        text.append(f"▲ and {more:,} more")
    if run.dry_run:
        text.append("Nothing was changed.")
    output.document(record, run.form, text)
    return PARTLY_FAILED if result.counts.rejected else 0
