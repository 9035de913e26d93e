"""``aicmo contact import``: people from a file, with a plan first where one is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import Interrupted
from aicmo_tui.cli import output
from aicmo_tui.cli.people import pair
from aicmo_tui.cli.verb import PARTLY_FAILED, Run, verb

if TYPE_CHECKING:
    from aicmo.crm import ImportProgress, ImportResult
    from aicmo.crm.importing import PlannedRow


@verb(name="import", changes=True)
@click.argument("file", metavar="FILE|-")
@click.option("--map", "mapped", multiple=True, metavar="COLUMN=FIELD", help="What a column is; - leaves it out.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="[FIELD=]POLICY",
    help="For known people: fill (empty fields only, the default), overwrite, or keep; may be repeated.",
)
@click.option("--tag", "tags", multiple=True, help="Give everybody this tag; may be repeated.")
@click.option("--encoding", help="The file's encoding, where it is guessed wrong.")
@click.option("--rejected", metavar="FILE", help="Where rejected rows go; else beside the file.")
@click.option("--plan", metavar="FILE", help="With --dry-run: what would become of every row, as CSV.")
@click.option("--no-saved-mapping", is_flag=True, help="Forget how such a file's columns were mapped before.")
@click.option("--from-start", is_flag=True, help="Do not go on with an interrupted import of this file.")
def import_(
    run: Run,
    file: str,
    mapped: tuple[str, ...],
    policies: tuple[str, ...],
    tags: tuple[str, ...],
    encoding: str | None,
    rejected: str | None,
    plan: str | None,
    no_saved_mapping: bool,
    from_start: bool,
) -> int:
    """Import people from CSV, TSV, JSON, NDJSON or vCard; known ones are updated, never doubled. Exits 5 when rows were
    rejected."""
    from aicmo.crm.importing import parse_policies, rejected_name

    source = Path(file)
    beside = Path("import.csv") if file == "-" else source
    bar = _Bar(run)
    with run.open_workspace() as workspace:
        try:
            result = workspace.crm.import_file(
                source,
                mapping=dict(pair(each) for each in mapped),
                policy=parse_policies(policies),
                tags=tags,
                dry_run=run.dry_run,
                rejected_file=Path(rejected) if rejected else beside.parent / rejected_name(beside.name),
                plan_file=Path(plan) if plan else None,
                encoding=encoding,
                saved_mapping=not no_saved_mapping,
                from_start=from_start,
                progress=bar.draw,
            )
        except KeyboardInterrupt:
            raise Interrupted(
                "Interrupted; the batches before are imported.", hint="Import the file again: nobody is doubled."
            ) from None
        finally:
            bar.end()
    output.document(_record(run, result, plan), run.form, _told(run, result, plan))
    return PARTLY_FAILED if result.counts.rejected else 0


def _record(run: Run, result: ImportResult, plan: str | None) -> dict[str, Any]:
    record = {
        "schema": "aicmo.contact.import/1",
        "status": "dry_run" if run.dry_run else result.status,
        "id": result.import_id,
        "counts": result.counts.as_dict(),
        "conflicts": result.counts.conflicts,
        "opted_out": result.counts.opted_out,
        "suppressed": result.counts.suppressed,
        "stages_kept": result.counts.stages_kept,
        "resumed_at": result.resumed_at,
        "warnings": list(result.warnings),
        "rejected_file": str(result.rejected_file) if result.rejected_file else None,
    }
    if run.dry_run:
        record |= {"plan_file": plan, "plan": [_planned(each) for each in result.plan]}
    return record


def _planned(row: PlannedRow) -> dict[str, Any]:
    return {**row._asdict(), "conflicts": [each._asdict() for each in row.conflicts]}


def _told(run: Run, result: ImportResult, plan: str | None) -> list[str]:
    counts = result.counts
    text = [", ".join(f"{name} {count:,}" for name, count in counts.as_dict().items())]
    if counts.conflicts:
        text[0] += f"; conflicts {counts.conflicts:,}"
    text += [f"▲ {warning}" for warning in result.warnings]
    if counts.conflicts and not plan:
        text.append("Both values of each conflict, before an import: --dry-run --plan FILE")
    if result.rejected_file:
        text.append(f"The rejected rows, with the reasons: {result.rejected_file}")
    if run.dry_run:
        text.append(f"What would become of every row: {plan}. Nothing was changed." if plan else "Nothing was changed.")
    elif counts.created + counts.updated:
        text.append(f"Take it back with: aicmo import undo {result.import_id}")
    return text


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
