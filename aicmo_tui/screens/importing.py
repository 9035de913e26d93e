"""Bringing people from a file: look first, say what would happen, do it, say what happened, take it back if wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from aicmo.crm import ImportCounts, ImportProgress, ImportResult
from aicmo.crm.importing import POLICIES, PlannedRow, Policy, rejected_name
from aicmo_tui.present import BAD, GOOD, MUTED, TITLE, WARN, fit, line, lines, number, people, value
from aicmo_tui.screens.changing import left_alone
from aicmo_tui.widgets.dialogs import Ask, Busy, Choose, confirm
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo.store.undoing import Reverted
    from aicmo_tui.app import AicmoApp

FILE_EXAMPLE = "~/people.csv (or TSV, JSON, vCard, a spreadsheet's CSV)"
_MEANING: dict[Policy, str] = {
    "fill": "fill empty fields only",
    "overwrite": "replace with what is not empty",
    "keep": "change nobody who is there",
}
_STYLES = {"create": GOOD, "update": GOOD, "conflict": WARN, "reject": BAD}


class Plan(Choose):
    """What would become of a file: rows that want more width."""

    DEFAULT_CSS = "Plan > Vertical { width: 110; }"


async def import_people(app: AicmoApp) -> bool:
    """The conversation; whether anything came in. Raises what the import raises, such as ``InvalidInput``."""
    question = line(("Import people", TITLE), ": from which file?")
    typed = await app.push_screen_wait(Ask(question, FILE_EXAMPLE))
    if not typed:
        return False
    file = await off_loop(app, lambda: Path(typed).expanduser())
    mapping: dict[str, str] = {}
    policy: Policy = "fill"
    while True:
        seen = await run_import(app, file, mapping=mapping, policy=policy, dry_run=True)
        if seen.status == "cancelled":
            return False
        question = line(f"Import {people(seen.counts.rows - seen.counts.rejected)} from ", value(file.name, TITLE), "?")
        answers = {"": "Cancel", "import": "Import", "policy": f"Policy: {policy}", "columns": "Columns…"}
        match await app.push_screen_wait(Plan(question, answers, details=planned(seen, policy))):
            case "import":
                break
            case "policy":
                policy = POLICIES[(POLICIES.index(policy) + 1) % len(POLICIES)]
            case "columns":
                mapping |= await ask_for_column(app)
            case _:
                return False
    done = await run_import(app, file, mapping=mapping, policy=policy, dry_run=False)
    changed = bool(done.counts.created + done.counts.updated)
    heading = "Imported" if done.status == "done" else "Stopped; what was read by then is in"
    answers = {"": "Close", **({"undo": "Undo it"} if changed else {})}
    if await app.push_screen_wait(Choose(line((heading, TITLE)), answers, details=told(done))) == "undo":
        await undo_import(app, done)
    return changed


async def run_import(
    app: AicmoApp, file: Path, *, mapping: Mapping[str, str], policy: Policy, dry_run: bool
) -> ImportResult:
    """Import behind a bar; ``escape`` stops it. The rows that were rejected go into a file beside the data."""
    busy = Busy(line("Reading " if dry_run else "Importing ", value(file.name, TITLE)))
    rejected = app.workspace.paths.data_dir / rejected_name(file.name, folder=file.parent)

    def note(progress: ImportProgress) -> None:
        busy.note(progress.counts.rows, progress.fraction)

    def work() -> ImportResult:
        result: ImportResult = app.workspace.crm.import_file(
            file,
            mapping=mapping,
            policy=policy,
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


async def ask_for_column(app: AicmoApp) -> dict[str, str]:
    """What the person says of one column; nothing when they say nothing."""
    question = line(("A column", TITLE), ": which field is it? ", ("- leaves it out", MUTED))
    typed = await app.push_screen_wait(Ask(question, "Wer=tags, or Notes=-"))
    title, equals, field = (typed or "").rpartition("=")
    return {title.strip(): field.strip()} if equals and title.strip() else {}


async def undo_import(app: AicmoApp, done: ImportResult) -> None:
    """Take it back, on the person's word, and say what had to stay."""
    question = line(f"Delete the {people(done.counts.created)} it created, and put back the {done.counts.updated:,}?")
    if not await app.push_screen_wait(confirm(question, "Undo it")) or done.import_id is None:
        return
    import_id = done.import_id
    undone: Reverted = await off_loop(app, lambda: app.workspace.imports.undo(import_id))
    rows = [line(f"{people(undone.people)} put back or deleted")]
    rows += left_alone(undone)
    await app.push_screen_wait(Choose(line(("Undone", TITLE)), {"": "Close"}, details=lines(rows)))


def planned(result: ImportResult, policy: Policy) -> Content:
    """The counts, the columns, and what would become of the first rows."""
    rows = [told(result), line(("People who are here already: ", MUTED), _MEANING[policy])]
    if result.counts.conflicts:
        rows.append(line(("Another policy settles the conflicts; rows below show both values.", MUTED)))
    rows.append(line(""))
    fields = {column: name for name, column in (*result.mapping.fields.items(), *result.mapping.custom.items())}
    for column, title in enumerate(result.titles):
        rows.append(line(value(title or "(no title)"), (" → ", MUTED), value(fields.get(column, "left out"), MUTED)))
    rows += [line(""), *map(planned_row, result.plan)]
    if more := result.counts.rows - len(result.plan):
        rows.append(line((f"and {number(more)} more rows", MUTED)))
    return lines(rows)


def planned_row(row: PlannedRow) -> Content:
    conflicts = "; ".join(f"{each.field} stays {each.there}, not {each.offered}" for each in row.conflicts)
    why = "; ".join(filter(None, (row.reason, conflicts)))
    number_and_action = line((f"{row.row:>6}  ", MUTED), (f"{row.action:<9} ", _STYLES.get(row.action, MUTED)))
    return number_and_action + fit(value(row.email), 32) + line("  ", value(why, MUTED, limit=160))


def told(result: ImportResult) -> Content:
    """What came, or would come, of it."""
    rows = [counts_line(result.counts)]
    rows += [value(warning, WARN) for warning in result.warnings]
    if result.rejected_file is not None:
        rows.append(line(("rejected rows, with the reason: ", MUTED), value(result.rejected_file.name)))
        rows.append(line(("in ", MUTED), value(str(result.rejected_file.parent))))
    return lines(rows)


def counts_line(counts: ImportCounts) -> Content:
    named = {
        "new": counts.created,
        "with something added": counts.updated,
        "already there": counts.unchanged + counts.skipped,
        "rejected": counts.rejected,
    }
    return line(" · ".join(f"{number(count)} {name}" for name, count in named.items() if count) or "no rows")
