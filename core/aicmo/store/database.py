"""One SQLite file: how it is opened, read and written.

Writes run on one named thread, each inside ``BEGIN IMMEDIATE``; jobs that wait at the same moment share one commit,
which is what lets a campaign put every recipient on disk with ``synchronous=FULL`` and still be fast. Reads run on a
connection of their own and never wait for a writer (WAL). The functions of the other modules here are plain functions
over a connection; this module alone decides on which thread they run.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from aicmo.errors import AicmoError, Interrupted, StoreDamaged, StoreError, StoreLocked, StoreReadOnly
from aicmo.paths import make_private, make_private_dir
from aicmo.store.functions import add_functions

if TYPE_CHECKING:
    import asyncio

    Waiting = Future[Any] | asyncio.Future[Any]
    """Who is told when the transaction is on disk: a thread, or a coroutine."""
    Outcome = tuple[Waiting, Any, BaseException | None]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BUSY_TIMEOUT_MS = 30_000
"""How long a write waits for another program's write before it is called locked: longer than the longest one takes, the
start of a sequence with a million people."""
MAX_JOBS_PER_COMMIT = 256
STEPS_BETWEEN_QUESTIONS = 20_000
"""Of SQLite's machine, which takes some tens of millions a second."""


class Database:
    """``aicmo.db``, open. Build it with ``open_database``; close it once."""

    def __init__(self, path: Path, *, rehearsal: bool = False) -> None:
        """``rehearsal``: every write is done, answered, and undone."""
        self.path = path
        self._end = "ROLLBACK" if rehearsal else "COMMIT"
        self._jobs: queue.SimpleQueue[tuple[Work[Any], Waiting] | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._watcher: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._closed = False

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, work: Work[T], *, given_up: Callable[[], bool] | None = None) -> T:
        """Run ``work`` on the calling thread, over a connection that cannot write; one consistent view of the file.

        ``given_up`` is asked every few milliseconds whether anybody still waits; if not, this raises ``Interrupted``.
        """
        connection = self._reading_connection()
        connection.set_progress_handler(given_up, STEPS_BETWEEN_QUESTIONS)
        with translated(self.path):
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.set_progress_handler(None, 0)
                connection.rollback()

    async def aread(self, work: Work[T]) -> T:
        """``read`` on the reading thread, for callers on an event loop."""
        import asyncio

        return await asyncio.wrap_future(self._reader_pool().submit(self.read, work))

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for a long, streamed read on the calling thread, such as an export."""
        connection = connect(self.path)
        connection.execute("PRAGMA query_only=ON")
        try:
            with translated(self.path):
                yield connection
        finally:
            connection.close()

    def version(self) -> int:
        """Another number than before, if anything was written since, by this program or by another one.

        It costs no more than a look at one page, and says nothing about what was written.
        """
        with self._lock, translated(self.path):
            if self._watcher is None:
                self._watcher = connect(self.path)
                self._connections.append(self._watcher)
            version: int = self._watcher.execute("PRAGMA data_version").fetchone()[0]
            return version

    # --- writing ----------------------------------------------------------------------------------------------------

    def submit(self, work: Work[T]) -> Future[T]:
        """Queue ``work`` for the writing thread; the future is done when its transaction is on disk.

        ``work`` must leave the transaction alone. If it raises, its own changes are undone and others in the same
        commit are not.
        """
        future: Future[T] = Future()
        self._queue(work, future)
        return future

    def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction and wait until it is on disk."""
        return self.submit(work).result()

    async def awrite(self, work: Work[T]) -> T:
        """``write`` without blocking the event loop. Cancelling the caller does not undo a write that was queued."""
        import asyncio

        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue(work, future)
        return await future

    def maintain(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Run ``work`` outside of a transaction, on a connection of its own that can write; in a rehearsal, not at all.

        It waits for other programs as a write does. Raises ``StoreLocked`` when they do not let go.
        """
        if self._end == "ROLLBACK":
            return
        with translated(self.path), contextlib.closing(connect(self.path)) as connection:
            work(connection)

    def close(self) -> None:
        """Finish the queued writes and close every connection. Closing twice is harmless."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._writer is not None:
            self._jobs.put(None)
            self._writer.join()
        if self._readers is not None:
            self._readers.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    def _queue(self, work: Work[Any], waiting: Waiting) -> None:
        with self._lock:
            if self._closed:
                raise StoreError("The database is closed.")
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_loop, name="aicmo-writer", daemon=True)
                self._writer.start()
        self._jobs.put((work, waiting))

    def _reader_pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._readers is None:
                self._readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aicmo-reader")
            return self._readers

    def _reading_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with translated(self.path):
                connection = connect(self.path)
                connection.execute("PRAGMA query_only=ON")
            with self._lock:
                self._connections.append(connection)
            self._local.connection = connection
        return connection

    def _write_loop(self) -> None:
        connection: sqlite3.Connection | None = None
        number = 0
        while (job := self._jobs.get()) is not None:
            jobs, last = [job], False
            with contextlib.suppress(queue.Empty):
                while len(jobs) < MAX_JOBS_PER_COMMIT:
                    following = self._jobs.get_nowait()
                    if following is None:
                        last = True
                        break
                    jobs.append(following)
            try:
                if connection is None:
                    connection, number = connect(self.path), _number(self.path)
                elif _number(self.path) != number:
                    raise _elsewhere(self.path)
            except BaseException as error:  # whoever waits must hear of it: nobody listens on this thread
                refusal = _problem(error, self.path)
                _tell([(waiting, None, refusal) for _, waiting in jobs])
            else:
                _commit_together(connection, jobs, self.path, end=self._end)
            if last:
                break
        if connection is not None:
            connection.close()


def _commit_together(
    connection: sqlite3.Connection, jobs: list[tuple[Work[Any], Waiting]], path: Path, *, end: str = "COMMIT"
) -> None:
    """Run the jobs in one transaction; each in a savepoint of its own, so that one failing undoes only itself.

    A job alone has none: the transaction undoes it as well, and SQLite sets no copy of every changed page aside.
    """
    outcomes: list[Outcome] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        if len(jobs) == 1:
            work, waiting = jobs[0]
            outcomes.append((waiting, work(connection), None))
        else:
            outcomes += [_in_savepoint(connection, *job, path) for job in jobs]
        connection.execute(end)
    except BaseException as error:  # all who wait in this commit must hear of it
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        refusal = _problem(error, path)
        told = {id(waiting): problem for waiting, _, problem in outcomes}
        outcomes = [(waiting, None, told.get(id(waiting)) or refusal) for _, waiting in jobs]
    _tell(outcomes)


def _in_savepoint(connection: sqlite3.Connection, work: Work[Any], waiting: Waiting, path: Path) -> Outcome:
    connection.execute("SAVEPOINT job")
    try:
        outcome: Outcome = waiting, work(connection), None
    except BaseException as error:  # whatever a job raises, an interrupt as well, is for whoever waits for it
        connection.execute("ROLLBACK TO job")
        outcome = waiting, None, _problem(error, path)
    connection.execute("RELEASE job")
    return outcome


def _number(path: Path) -> int:
    """Which file it is, whatever it is called. What is written to one that was deleted is lost without a word."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        raise _elsewhere(path) from None


def _elsewhere(path: Path) -> StoreError:
    return StoreError(
        f"The database {path} was moved, deleted or replaced while it was open.",
        hint="Nothing more is written. Put it back, or start again and name its folder with --data-dir.",
    )


def _problem(error: BaseException, path: Path) -> BaseException:
    return store_error(error, path) if isinstance(error, sqlite3.Error) else error


def _tell(outcomes: list[Outcome]) -> None:
    """Wake whoever waits. An event loop is woken once for all of its coroutines: that costs as much as a write."""
    on_loops: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        if isinstance(outcome[0], Future):
            _settle([outcome])
        else:
            on_loops.setdefault(outcome[0].get_loop(), []).append(outcome)
    for loop, theirs in on_loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle, theirs)


def _settle(outcomes: list[Outcome]) -> None:
    for waiting, result, problem in outcomes:
        if waiting.done():  # the caller was cancelled meanwhile
            continue
        if problem is None:
            waiting.set_result(result)
        elif isinstance(problem, StopIteration) and not isinstance(waiting, Future):  # a coroutine cannot be given one
            waiting.set_exception(RuntimeError(f"A write raised {problem!r}."))
        else:
            waiting.set_exception(problem)


def connect(path: Path) -> sqlite3.Connection:
    """A connection with our settings; transactions are explicit. The file must exist."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    add_functions(connection)
    return connection


def create_private_file(path: Path) -> None:
    """Make sure ``path`` exists, is a file, can be written and is its owner's alone. Raises ``StoreReadOnly``.

    A file that is there is not opened: closing it again would drop the locks that SQLite holds on it elsewhere in this
    process (https://sqlite.org/howtocorrupt.html 2.2).
    """
    make_private_dir(path.parent)
    try:
        _create_unless_there(path)
    except OSError as error:
        raise StoreReadOnly(
            f"The database {path} cannot be written: {error.strerror}.",
            hint=f"Nothing was changed. Try chmod u+w {path}, or name another folder with --data-dir.",
        ) from error
    if not path.stat().st_mode & 0o200:  # what root could still write is read-only on purpose
        raise StoreReadOnly(
            f"The database {path} is read-only.", hint=f"Nothing was changed. Give yourself the right: chmod u+w {path}"
        )
    make_private(path)


def _create_unless_there(path: Path) -> None:
    try:  # by its real path, for a link may lead to where nothing is yet
        os.close(os.open(os.path.realpath(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors become ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def store_error(error: sqlite3.Error, path: Path) -> AicmoError:
    """One clear sentence for what SQLite refused. The message of an unforeseen error is kept."""
    text = str(error)
    primary = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if primary == sqlite3.SQLITE_INTERRUPT:
        return Interrupted("Nobody waited for this any more.")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreLocked(
            f"The database {path} is locked by another program.", hint="Try again when that program has finished."
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreReadOnly(
            f"The database {path} cannot be opened for writing ({text}).",
            hint="Nothing was changed. Check the folder's rights.",
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(
            f"{path} is damaged or not a database ({text}).",
            hint="Nothing was changed. Put a backup in its place, or move it away to begin anew.",
        )
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return StoreError(
            f"The disk refused a write to {path} ({text}).",
            hint="Free some space; nothing half-written was kept.",
            retryable=True,
        )
    return AicmoError(f"The database {path} refused a statement: {text}.")
