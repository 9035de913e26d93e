"""Bringing people from a file: look first, say what would happen, do it, say what happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from aicmo.crm import ImportCounts, ImportProgress, ImportResult
from aicmo_tui.present import MUTED, TITLE, line, lines, number, people, value
from aicmo_tui.widgets.dialogs import Ask, Busy, Choose, confirm
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp


async def import_people(app: AicmoApp) -> bool:
    """The conversation; whether anything came in. Raises what the import raises, such as ``InvalidInput``."""
    question = line(("Import people", TITLE), ": from which file?")
    typed = await app.push_screen_wait(Ask(question, "~/people.csv (also TSV, or whatever your spreadsheet saves)"))
    if not typed:
        return False
    file = await off_loop(app, lambda: Path(typed).expanduser())
    seen = await run_import(app, file, dry_run=True)
    if seen.status == "cancelled":
        return False
    question = line(f"Import {people(seen.counts.rows - seen.counts.rejected)} from ", value(file.name, TITLE), "?")
    if not await app.push_screen_wait(confirm(question, "Import", details=told(seen))):
        return False
    done = await run_import(app, file, dry_run=False)
    heading = "Imported" if done.status == "done" else "Stopped; what was read by then is in"
    await app.push_screen_wait(Choose(line((heading, TITLE)), {"": "Close"}, details=told(done)))
    return bool(done.counts.created + done.counts.updated)


async def run_import(app: AicmoApp, file: Path, *, dry_run: bool) -> ImportResult:
    """Import behind a bar; ``escape`` stops it. The rows that were rejected go into a file beside the data."""
    busy = Busy(line("Reading " if dry_run else "Importing ", value(file.name, TITLE)))
    rejected = app.workspace.paths.data_dir / f"{file.stem}.rejected.csv"

    def note(progress: ImportProgress) -> None:
        busy.note(progress.counts.rows, progress.fraction)

    def work() -> ImportResult:
        result: ImportResult = app.workspace.crm.import_file(
            file,
            dry_run=dry_run,
            rejected_file=None if dry_run else rejected,
            progress=note,
            cancelled=lambda: busy.stopped,
        )
        return result

    await app.push_screen(busy)
    try:
        return await off_loop(app, work)
    finally:
        busy.dismiss()


def told(result: ImportResult) -> Content:
    """What came, or would come, of it."""
    rows = [counts_line(result.counts)]
    rows += [value(warning, MUTED) for warning in result.warnings]
    if result.rejected_file is not None:
        rows.append(line(("rejected rows, with the reason: ", MUTED), value(str(result.rejected_file))))
    return lines(rows)


def counts_line(counts: ImportCounts) -> Content:
    named = {
        "new": counts.created,
        "with something added": counts.updated,
        "already there": counts.unchanged + counts.skipped,
        "rejected": counts.rejected,
    }
    return line(" · ".join(f"{number(count)} {name}" for name, count in named.items() if count) or "no rows")
