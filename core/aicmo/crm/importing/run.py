"""An import from its first byte to its last word.

The file is read once, in batches; while the writing thread applies one, the next is read.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypedDict

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.fields import check_known
from aicmo.crm.importing import resume
from aicmo.crm.importing.files import PlanFile, RejectedFile, check_writable
from aicmo.crm.importing.policy import Policies, parse_policies
from aicmo.crm.importing.result import ImportProgress, ImportResult
from aicmo.crm.importing.rows import BATCH_ROWS, Batch, RowReader, TagSpelling
from aicmo.crm.importing.target import Applied, DryTarget, StoreTarget
from aicmo.crm.importing.telling import warnings_of
from aicmo.crm.mapping import FIELDS, custom_key, map_columns
from aicmo.crm.reading import open_table
from aicmo.errors import InvalidInput
from aicmo.store import Database, fields, imports
from aicmo.store import tags as tag_store

_TURN_S = 0.000_5
"""How long a thread of an import works on when another waits for the interpreter."""


class ImportOptions(TypedDict, total=False):
    """What ``import_contacts`` can be told, for those who hand it on."""

    mapping: Mapping[str, str] | None
    policy: str | Policies
    tags: Iterable[str]
    dry_run: bool
    rejected_file: Path | None
    plan_file: Path | None
    encoding: str | None
    saved_mapping: bool
    from_start: bool
    progress: Callable[[ImportProgress], None] | None
    cancelled: Callable[[], bool]
    batch_rows: int


def import_contacts(
    db: Database,
    source: Path | BinaryIO,
    *,
    mapping: Mapping[str, str] | None = None,
    policy: str | Policies = "fill",
    tags: Iterable[str] = (),
    dry_run: bool = False,
    rejected_file: Path | None = None,
    plan_file: Path | None = None,
    encoding: str | None = None,
    saved_mapping: bool = True,
    from_start: bool = False,
    clock: Clock = SYSTEM_CLOCK,
    progress: Callable[[ImportProgress], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    batch_rows: int = BATCH_ROWS,
) -> ImportResult:
    """Import the table in ``source``, a file or a binary stream (``Path("-")`` is standard input).

    ``mapping`` names columns' fields (see ``map_columns``), and is remembered for files with the same header; without
    it, ``saved_mapping`` uses what was said of such a file. Everybody imported gets ``tags``. A dry run writes
    ``plan_file``: what would become of every row. An interrupted import of the same file with the same options is gone
    on with, unless ``from_start``. ``progress`` is called and ``cancelled`` is asked after every batch, on the calling
    thread. Blank rows are not counted.
    Raises ``NotFound`` or ``InvalidInput`` before anything is written, and whatever the store raises; the batches that
    were counted until then are kept.
    """
    policies = policy if isinstance(policy, Policies) else parse_policies([policy])
    everybodys = tuple(tags)
    if plan_file is not None and not dry_run:
        raise InvalidInput("A plan is what a dry run writes.", hint="Say --dry-run with --plan FILE.")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_made_for_two_threads())
        table = stack.enter_context(open_table(source, encoding=encoding))
        for path, what in ((rejected_file, "The rejected rows"), (plan_file, "The plan")):
            if path is not None:
                check_writable(path, source, what)
        remembered = None
        if saved_mapping and not mapping:
            remembered = db.read(lambda connection: imports.saved_mapping(connection, table.header))
        said = mapping or (remembered.mapping if remembered else {})
        columns = map_columns(table.header, table.sample, said)
        in_file = (*FIELDS, *columns.custom, *map(custom_key, columns.left_out))
        db.read(lambda connection: check_known(connection, policies.by_field, in_file))
        spelling = TagSpelling(db.read(tag_store.spellings))
        spelling.spelled(",".join(everybodys))  # a tag that cannot be is refused before anything is begun
        typed = {field.key: field for field in db.read(fields.listed)}

        target: StoreTarget | DryTarget
        if dry_run:
            target = DryTarget(db, policies)
        else:
            fingerprint = resume.fingerprint_of(source)
            options = resume.options_text(said, policies, everybodys, encoding)
            begun = None if from_start else resume.interrupted(db, table.name, policies, fingerprint, options)
            job, lock = begun or resume.begin(db, table.name, policies, fingerprint, options, clock)
            target = StoreTarget(db, job, lock, clock)
        stack.enter_context(target)
        if mapping and not dry_run:
            db.write(lambda c: imports.save_mapping(c, table.header, table.name, mapping, clock.now()))

        passed, counts = target.rows_passed, target.counts_passed
        reader = RowReader(
            table, columns, spelling, tags=everybodys, typed=typed, batch_rows=batch_rows, stop_at=passed
        )
        rejected = stack.enter_context(RejectedFile(None if dry_run else rejected_file, table.header))
        plan = stack.enter_context(PlanFile(plan_file))
        stopped = False
        under_way: tuple[Batch, Future[Applied]] | None = None
        for batch in chain(reader.batches(), (None,)):
            if batch is not None and batch.rows_read <= passed:  # in the store already; the rejected file begins anew
                rejected.write(batch.rejections)
                continue
            if under_way is not None:
                before, future = under_way
                applied = future.result()
                counts += applied.counts
                rejected.write(before.rejections)
                if dry_run:
                    plan.write(before.rejections, applied.plan)
                if progress is not None:
                    progress(ImportProgress(counts, table.fraction_read()))
            if batch is None or (stopped := cancelled()):
                break
            under_way = batch, target.submit(batch)
        rejected.close()  # an import that says it is done leaves nothing to be written
        target.end("cancelled" if stopped else "done")
    return ImportResult(
        status="cancelled" if stopped else "done",
        counts=counts,
        import_id=target.import_id,
        warnings=tuple(warnings_of(table, columns, counts, remembered, passed)),
        rejected_file=rejected.written,
        reasons=rejected.reasons,
        mapping=columns,
        titles=table.header,
        plan=tuple(plan.first),
        resumed_at=passed,
    )


@contextlib.contextmanager
def _made_for_two_threads() -> Iterator[None]:
    """Set the interpreter up for a thread that reads and one that writes.

    Python looks for cycles whenever some hundred objects were made: an eighth of an import's time, to find none. And
    whoever comes back from SQLite waits for 5 ms until the other makes way, some fifty times a batch.
    """
    thresholds, turn = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(50_000, *thresholds[1:])
    sys.setswitchinterval(_TURN_S)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(turn)
