"""The verbs of ``aicmo contact`` about what a person may ask: erase, consent. (Their data: ``export --subject``.)"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aicmo.clock import parse_rfc3339
from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.people import agree
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from aicmo.store.consents import Consent


def export_subject(run: Run, email: str, file: Path | None) -> None:
    """Everything that is held about one person as one JSON document, in a private file or on stdout."""
    with run.open_workspace() as workspace:
        held = workspace.rights.about(email)
    if file is None:
        output.document(held, replace(run.form, kind="json"), ())
        return
    from aicmo.crm.spreadsheet import create_csv

    with create_csv(file) as stream:
        json.dump(held, stream, ensure_ascii=False, indent=1)
    record = {"schema": "aicmo.contact.export/1", "status": "done", "count": 1, "file": str(file)}
    output.document(record, run.form, [f"All that is held about {email} is in {file}."])


@verb(changes=True)
@click.argument("emails", nargs=-1, required=True, metavar="EMAIL…")
def erase(run: Run, emails: tuple[str, ...]) -> None:
    """Erase people from every table, undo and free page. Only a hash stays, so that nobody writes to them again."""
    with run.open_workspace() as workspace:
        for email in emails:
            workspace.crm.get(email)
        agree(run, f"Erase {_counted(len(emails), 'person', 'people')} for ever? This cannot be undone.")
        done = workspace.rights.erase(emails)
    record = {
        "schema": "aicmo.contact.erase/1",
        "status": "dry_run" if run.dry_run else "done",
        "people": done.people,
        "addresses": done.addresses,
        "mentioned_in": list(done.mentioned_in),
        "remaining_in": [] if run.dry_run else [str(path) for path in done.remaining_in],
    }
    said = "Would erase" if run.dry_run else "Erased"
    whom = f"{_counted(done.people, 'person', 'people')} with {_counted(done.addresses, 'address', 'addresses')}"
    text = [f"{said} {whom}; nobody writes to them again."]
    text += [f"▲ The content “{title}” names them: edit it." for title in done.mentioned_in]
    text += [f"▲ {path} still holds an address: delete it." for path in record["remaining_in"]]
    output.document(record, run.form, text)


@verb(changes=True)
@click.argument("email")
@click.option("--purpose", metavar="WORD", help="What for, such as newsletter.")
@click.option("--given", is_flag=True, help="They agreed.")
@click.option("--withdrawn", is_flag=True, help="They changed their mind.")
@click.option("--source", default="", metavar="TEXT", help="Where they said it: a form, a fair, a mail.")
@click.option("--wording", default="", metavar="TEXT", help="What they agreed to, as they read it.")
@click.option(
    "--at", "when", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="When, in your time zone, if not now."
)
def consent(
    run: Run,
    email: str,
    purpose: str | None,
    given: bool,
    withdrawn: bool,
    source: str,
    wording: str,
    when: datetime | None,
) -> None:
    """Write down what somebody agreed to or withdrew, or show it. Who withdraws is not written to any more."""
    with run.open_workspace() as workspace:
        if purpose is not None:
            if given == withdrawn:
                raise InvalidInput("Did they agree?", hint="Say --given or --withdrawn.")
            at = when.astimezone() if when else None
            workspace.rights.consent(email, purpose, given=given, source=source, wording=wording, at=at)
        words = workspace.rights.consents(email)
    status = "done" if purpose is None or not run.dry_run else "dry_run"
    record = {"schema": "aicmo.contact.consent/1", "status": status, "consents": [asdict(word) for word in words]}
    text = ["  ".join(filter(None, _cells(word))) for word in words]
    output.document(record, run.form, text or ["They were not asked yet."])
    if status == "done" and purpose is not None:
        run.say("Undo leaves this alone; another word on the same purpose replaces it.")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _cells(word: Consent) -> tuple[str, ...]:
    """The day is the one it was here."""
    day = parse_rfc3339(word.at).astimezone().date().isoformat()
    return day, word.purpose, "given" if word.given else "withdrawn", word.source, word.wording
