"""``aicmo company``: people by where they work."""

from __future__ import annotations

from dataclasses import asdict

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.people import contact_record
from aicmo_tui.cli.verb import AT_MOST, Run, verb

_COLUMNS = ["domain", "name", "people", "verified", "engaged", "suppressed", "last_touch"]
_NUMBERS = ["people", "verified", "engaged", "suppressed"]


@click.group()
def company() -> None:
    """Companies, by the domain of their people's addresses; mail services are none."""


@verb(company, "list", lists=True)
@click.argument("words", nargs=-1)
@click.option("--limit", type=AT_MOST, default=100, show_default=True, help="At most so many, the largest first.")
def list_(run: Run, words: tuple[str, ...], limit: int) -> None:
    """Companies with their people, how many of them are verified or engaged, and the last touch."""
    with run.open_workspace() as workspace:
        found = workspace.companies.list(" ".join(words), limit=limit)
        total = workspace.companies.count(" ".join(words)) if run.form.is_text else 0
    output.rows(map(asdict, found), run.form, _COLUMNS, empty="No company like that.", numbers=_NUMBERS)
    if total > limit:
        run.say(f"{limit:,} of {total:,}; --limit shows more.")


@verb(company)
@click.argument("domain")
def show(run: Run, domain: str) -> None:
    """One company and its people."""
    with run.open_workspace() as workspace:
        found = workspace.companies.get(domain)
        people = workspace.companies.people(found.domain)
    record = {**asdict(found), "contacts": [contact_record(each) for each in people]}
    told = asdict(found)
    text = [f"{name}: {told[name]}" for name in _COLUMNS if told[name] != ""]
    text += [f"  {each.name or each.email} <{each.email}>  {each.title}  {each.stage}" for each in people]
    if found.people > len(people):
        text.append(f"  and {found.people - len(people):,} more: aicmo contact list domain:{found.domain}")
    output.document(record, run.form, text)
