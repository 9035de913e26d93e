"""One sync: read what changed there, bring both sides together, write there what changed here.

Reading comes first in every direction, because only who has read knows what was changed there. How far it was read is
written down after the last page, with fifteen minutes to spare for clocks that differ; a sync that is killed begins
there again, and finds what it did already done. One runs at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from aicmo.clock import SYSTEM_CLOCK, Clock, parse_rfc3339, rfc3339
from aicmo.crm.segments import select
from aicmo.crm.syncing import interactions
from aicmo.crm.syncing.agreeing import RULES, Rule
from aicmo.crm.syncing.asking import Caller, Refused, Stopped
from aicmo.crm.syncing.columns import Pair, fit
from aicmo.crm.syncing.interactions import Interactions
from aicmo.crm.syncing.pulling import Reading, Row, count, plan, summary, tell, write
from aicmo.crm.syncing.pushing import Pusher, Sending, outgoing
from aicmo.crm.syncing.result import Problem, SyncResult
from aicmo.crm.syncing.row_ids import RowIds
from aicmo.errors import AuthNeeded, InvalidInput, ProviderUnavailable, VerbHint
from aicmo.gateways.attempt import Attempt, Outcome
from aicmo.gateways.chain import ProviderChain
from aicmo.gateways.records import CrmColumn, CrmProvider, CrmRecord, RecordPage, Table
from aicmo.store import Database, changes, contacts, syncs
from aicmo.store import fields as field_store
from aicmo.store.file_lock import file_lock
from aicmo.store.meta import identity
from aicmo.store.syncs import KeptClash
from aicmo.text import shown

Direction = Literal["both", "pull", "push"]
"""Which side may be changed."""
DIRECTIONS: tuple[Direction, ...] = ("both", "pull", "push")
OVERLAP = timedelta(minutes=15)
"""So much is read again: as much as two clocks may differ."""
_READINGS = 3
"""How often a table is begun again whose pages were forgotten."""


class SyncProgress(NamedTuple):
    what: str
    """``reading``, ``writing`` or ``interactions``."""
    done: int
    """Rows; how many there are in all, nobody says."""


@dataclass(frozen=True, slots=True)
class SyncOptions:
    query: str = ""
    """Only these people, and nobody new; empty: everybody."""
    direction: Direction = "both"
    rule: Rule = "ours"
    dry_run: bool = False
    """Say what would be done, and write nothing on either side."""
    full: bool = False
    """Read every row, not only those that were changed: tells which were deleted there."""
    recreate: bool = False
    """Write again those whose rows were deleted there."""
    by_person: bool = True
    """Whether a plain undo may mean this one; not for cron's."""


class CrmSync:
    """Keeps people in step with the first CRM of the chain: another one would be another list of people."""

    def __init__(self, db: Database, chain: ProviderChain[Any], clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._chain, self._clock = db, chain, clock

    def conflicts(self, *, limit: int = -1) -> tuple[KeptClash, ...]:
        """What both sides had changed, and which was kept; those that wait for a person's word first. Blocks."""
        return tuple(self._db.read(lambda db: syncs.clashes(db, limit=limit)))

    async def sync(
        self,
        options: SyncOptions | None = None,
        *,
        progress: Callable[[SyncProgress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> SyncResult:
        """Bring both sides together. A sync that stopped on its way says so in its ``problem``.

        Raises ``QueryInvalid``; ``InvalidInput`` for a column that is not there; ``AuthNeeded`` or
        ``ProviderUnavailable`` when nothing at all could be done.
        """
        options = options or SyncOptions()
        if options.rule not in RULES or options.direction not in DIRECTIONS:
            raise InvalidInput(f"There is no rule {shown(options.rule)} or direction {shown(options.direction)}.")
        if not self._chain.providers:
            return SyncResult(
                status="skipped",
                reason="No CRM is configured: name one under crm_sync in [chains].",
                direction=options.direction,
                dry_run=options.dry_run,
            )
        run = _Run(self._db, self._chain, options, self._clock, progress, cancelled)
        if options.dry_run:
            return await run.whole()
        with file_lock(self._db.path.with_name(f"{self._db.path.name}.sync")) as mine:
            if not mine:
                reason = "Another program is syncing; this one left it to that."
                return SyncResult(run.result.provider, "locked", reason, options.direction)
            return await run.whole()


class _Run:
    def __init__(
        self,
        db: Database,
        chain: ProviderChain[Any],
        options: SyncOptions,
        clock: Clock,
        progress: Callable[[SyncProgress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self._db, self._options, self._clock = db, options, clock
        self._progress, self._cancelled = progress, cancelled
        self._provider: CrmProvider = chain.providers[0]
        self._caller = Caller(chain, self._provider, clock)
        self._name = self._provider.name
        self.result = SyncResult(self._name, direction=options.direction, dry_run=options.dry_run)
        self._undecided: set[int] = set()
        """People of whom something waits for a person's word, as far as their rows were not read anew."""
        self._handled: set[int] = set()
        """In a dry run: people whose rows were read, so that what is to be sent for them is known already."""

    async def whole(self) -> SyncResult:
        result = self.result
        try:
            await self._sync()
        except Stopped as error:
            self._fail(error.final)
        except Refused as error:
            self._fail(error.final)
        if result.status == "done" and self._cancelled():
            result.status = "cancelled"
        troubled = result.pull.rejected + result.push.failed + result.push.unknown + result.interactions.failed
        if result.status == "done" and (result.problem or troubled):
            result.status = "partly"
        return result

    async def _sync(self) -> None:
        options = self._options
        reading = await self._reading()
        self._undecided.update(await self._db.aread(lambda db: syncs.with_open_clashes(db, self._name)))
        sending = Sending(self._name, reading.columns, reading.ids, reading.scope)
        begun = self._clock.now()
        await self._read(reading, sending, begun)
        await self._settle(reading)
        if options.direction != "pull" and not self._cancelled():
            await self._send(sending)
        if not self._cancelled():
            await self._interact(reading, begun)

    # --- beginning ----------------------------------------------------------------------------------------------------

    async def _reading(self) -> Reading:
        options, provider = self._options, self._provider
        there = await self._columns("contacts")
        if there is None:
            raise InvalidInput(
                f"{provider.label} has no such table of contacts.", hint="Correct contacts_table in the configuration."
            )
        typed = {each.key: each for each in await self._db.aread(field_store.listed)}
        columns = fit(there, provider.merge_field, provider.fields, typed, crm=provider.label)
        if options.rule == "newer" and not columns.modified:
            raise InvalidInput(
                f"{provider.label} does not say when a row was changed, so the newer one cannot be told.",
                hint="Add a column of the type “last modified time” there, or choose another rule.",
            )
        for sentence in columns.left_out:
            self.result.warn("left out", sentence)
        scope = await self._db.aread(self._scope) if options.query.strip() else None
        ids = RowIds(await self._db.aread(identity))
        return Reading(
            self._name,
            provider.label,
            columns,
            ids,
            options.rule,
            options.direction != "push",
            scope,
            "you" if options.by_person else "aicmo contact sync",
            options.by_person,
            self._clock.now(),
        )

    def _scope(self, db: sqlite3.Connection) -> Collection[int]:
        return frozenset(contacts.ids(db, select(db, self._options.query, now=self._clock.now())))

    async def _columns(self, table: Table) -> tuple[CrmColumn, ...] | None:
        """``None`` when there is no such table."""
        try:
            return await self._caller.read(lambda it: it.columns(table))
        except Refused as error:
            if error.final.outcome is Outcome.MISS:
                return None
            raise

    # --- from there ---------------------------------------------------------------------------------------------------

    async def _read(self, reading: Reading, sending: Sending, begun: datetime) -> None:
        columns = reading.columns.fingerprint
        mapped = await self._db.aread(lambda db: syncs.cursor(db, self._name, syncs.COLUMNS_READ))
        since = None if self._options.full or mapped != columns else await self._since(syncs.READ)
        found: set[str] = set()

        async def take(page: RecordPage) -> None:
            found.update([record.id for record in page.records] if since is None else ())
            await self._take(reading, sending, [Row(each, reading.columns.pairs) for each in page.records])
            self._progress(SyncProgress("reading", self.result.pull.read))

        try:
            whole = await self._pages("contacts", since, {}, reading.columns.names, take)
        finally:
            await self._describe(reading)
        if not whole:
            return
        if since is None:
            await self._note_gone(reading, found)
        if reading.scope is None and reading.may_take and not self._options.dry_run:
            cursors = {syncs.READ: rfc3339(begun - OVERLAP), syncs.COLUMNS_READ: columns}
            await self._db.awrite(lambda db: self._move(db, cursors))

    async def _since(self, name: str) -> datetime | None:
        value = await self._db.aread(lambda db: syncs.cursor(db, self._name, name))
        return parse_rfc3339(value) if value else None

    def _move(self, db: sqlite3.Connection, cursors: dict[str, str]) -> None:
        for name, value in cursors.items():
            syncs.move_cursor(db, self._name, name, value)

    async def _pages(
        self,
        table: Table,
        since: datetime | None,
        where: dict[str, str],
        columns: Sequence[str],
        take: Callable[[RecordPage], Any],
    ) -> bool:
        """Hand every page to ``take``; False when it was cancelled. Pages that were forgotten are begun again."""
        page, readings = "", 1
        while not self._cancelled():
            try:
                found = await self._caller.read(
                    lambda it, page=page: it.list_records(  # type: ignore[misc]
                        table, since=since, where=where, page=page, columns=columns
                    )
                )
            except Refused:
                if not page or readings == _READINGS:
                    raise
                page, readings = "", readings + 1
                continue
            await take(found)
            if not found.next_page:
                return True
            page = found.next_page
        return False

    async def _take(self, reading: Reading, sending: Sending, rows: Sequence[Row]) -> None:
        result = self.result
        if self._options.dry_run:
            decided = await self._db.aread(lambda db: plan(db, rows, reading))
        else:

            def work(db: sqlite3.Connection) -> Any:
                decided = plan(db, rows, reading)
                return decided, write(db, decided, reading, result.change_id)

            decided, result.change_id = await self._db.awrite(work)
        count(result, decided, reading)
        self._undecided.difference_update(each.contact_id for each in decided.people)
        for each in decided.people:
            if each.agreement.waits and each.contact_id:
                sending.held[each.contact_id] = each.agreement.waits
            if self._options.dry_run:
                self._handled.add(each.contact_id)
                result.push.updated += self._options.direction != "pull" and each.sends

    async def _describe(self, reading: Reading) -> None:
        """Say in the list of changes what it was, as far as it came."""
        number, told = self.result.change_id, summary(self.result, reading.crm)
        if number is not None:
            await self._db.awrite(lambda db: changes.describe(db, number, told))

    async def _note_gone(self, reading: Reading, found: set[str]) -> None:
        known = await self._db.aread(lambda db: syncs.linked_records(db, self._name))
        gone = known - found
        if not gone:
            return
        self.result.deleted_there = len(gone)
        self.result.warn(
            "gone", f"{len(gone):,} rows were deleted in {reading.crm}; their people stay here, and are not sent there."
        )
        if not self._options.dry_run:
            await self._db.awrite(lambda db: syncs.mark_gone(db, self._name, gone))

    async def _settle(self, reading: Reading) -> None:
        """Decide again what waited for a person's word, by what they said then: they have not changed since."""
        rule: Rule = "ask" if reading.rule == "newer" else reading.rule
        terms, waiting = replace(reading, rule=rule), sorted(self._undecided)
        for start in range(0, len(waiting), 100):
            part = waiting[start : start + 100]

            def rows(db: sqlite3.Connection, part: Sequence[int] = part) -> list[Row]:
                return _as_they_said(db, self._name, part, reading.columns.pairs)

            if self._options.dry_run:
                decided = await self._db.aread(lambda db, rows=rows: plan(db, rows(db), terms))  # type: ignore[misc]
            else:

                def work(db: sqlite3.Connection, rows: Callable[..., list[Row]] = rows) -> Any:
                    decided = plan(db, rows(db), terms)
                    return decided, write(db, decided, terms, self.result.change_id)

                decided, self.result.change_id = await self._db.awrite(work)
            tell(self.result, decided.people)
        await self._describe(reading)

    # --- to there -----------------------------------------------------------------------------------------------------

    async def _send(self, sending: Sending) -> None:
        dry = self._options.dry_run
        marks = {syncs.COLUMNS_SENT: sending.columns.fingerprint}
        marks[syncs.SUPPRESSED] = await self._db.aread(syncs.suppressions_mark)
        known = await self._db.aread(lambda db: {name: syncs.cursor(db, self._name, name) for name in marks})
        everybody = marks != known
        if self._options.recreate and not dry:
            await self._db.awrite(lambda db: syncs.forget_gone(db, self._name, sending.scope))
        pusher = Pusher(self._db, self._caller, self._provider.batch_size, sending, self.result)
        after: int | None = 0
        while after is not None and not self._cancelled():
            rows, after = await self._db.aread(
                lambda db, start=after: outgoing(db, start, sending, everybody=everybody)  # type: ignore[misc]
            )
            if dry:
                for row in rows:
                    if row.cells and row.link.contact_id not in self._handled:
                        new = not row.link.record_id
                        self.result.push.created += new
                        self.result.push.updated += not new
                continue
            await pusher.add(rows)
            self._progress(SyncProgress("writing", self.result.push.created + self.result.push.updated))
        if self._cancelled() or dry:
            return
        await pusher.flush()
        if sending.scope is None:
            await self._db.awrite(lambda db: self._move(db, marks))

    # --- what happened with them --------------------------------------------------------------------------------------

    async def _interact(self, reading: Reading, begun: datetime) -> None:
        options, result = self._options, self.result
        if options.dry_run or reading.scope is not None:
            return
        there = await self._columns("interactions")
        named = {each.name: each for each in there or ()}
        merge = next((each for each in there or () if self._provider.merge_field in (each.id, each.name)), None)
        table = Interactions(self._name, reading.crm, merge.name if merge else "", named, reading.ids)
        if not table.usable:
            result.warn("interactions", f"{reading.crm} has no table of interactions that can be used; see the docs.")
            return
        if options.direction != "push":

            async def take(page: RecordPage) -> None:
                now = self._clock.now()
                await self._db.awrite(lambda db: interactions.hear(db, page.records, table, result, now))

            since = await self._since(syncs.READ_INTERACTIONS)
            if await self._pages("interactions", since, {table.merge_field: ""}, table.names, take):
                cursors = {syncs.READ_INTERACTIONS: rfc3339(begun - OVERLAP)}
                await self._db.awrite(lambda db: self._move(db, cursors))
        if options.direction != "pull":
            await interactions.send(self._db, self._caller, self._provider.batch_size, table, result, self._cancelled)
            self._progress(SyncProgress("interactions", result.interactions.pushed))

    # --- failing ------------------------------------------------------------------------------------------------------

    def _fail(self, final: Attempt) -> None:
        """Say why it stopped. Raises when nothing had been done before."""
        result = self.result
        if result.did_anything:
            result.problem = Problem(final.outcome, final.detail, final.retry_at)
            return
        if final.outcome is Outcome.AUTH:
            raise AuthNeeded(final.detail, hint=VerbHint(f"See what is wrong with {self._name}", "health"))
        if final.outcome in (Outcome.INPUT, Outcome.MISS):
            raise InvalidInput(final.detail)
        raise ProviderUnavailable(final.detail or f"{self._provider.label} cannot be reached.", hint="Try again later.")


def _as_they_said(
    db: sqlite3.Connection, provider: str, contact_ids: Sequence[int], pairs: Sequence[Pair]
) -> list[Row]:
    """What is in conflict, as rows that say what was read last."""
    links = syncs.of_contacts(db, provider, contact_ids)
    rows = []
    for number, clashes in syncs.open_clashes(db, provider, contact_ids).items():
        compared = [pair for pair in pairs if pair.field in clashes]
        if number in links and not links[number].gone and compared:
            cells = {pair.column.name: clashes[pair.field].theirs for pair in compared}
            rows.append(Row(CrmRecord(links[number].record_id, None, cells), compared))
    return rows
