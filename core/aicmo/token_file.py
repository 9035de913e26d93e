"""Where OAuth tokens are kept: one file per provider, for its owner alone, replaced in one step.

A refresh token that rotates is worth exactly one use, so what a server gave is on the disk (written beside, fsync,
renamed) before anything else happens, and only the holder of the lock writes. The operating system frees that lock
however its holder ends. A write that was killed between fsync and rename is completed by whoever holds it next.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import StoreDamaged, StoreNewer, StoreReadOnly
from aicmo.paths import make_private_dir
from aicmo.token_state import Tokens

_VERSION = 1
_TIMES = frozenset({"expires_at", "refreshed_at", "asked_at", "trouble_at", "retry_at"})
_KNOWN = frozenset(each.name for each in fields(Tokens))


class TokenFile:
    """The tokens of one provider. Nothing is created before the lock is taken."""

    def __init__(self, folder: Path, provider: str) -> None:
        self._folder = folder
        name = quote(provider, safe="")
        self._file = folder / f"{name}.json"
        self._beside = folder / f"{name}.new"
        self._lock = folder / f"{name}.lock"

    def load(self) -> Tokens:
        """What is kept; ``Tokens()`` when there is no file. Raises ``StoreError``."""
        try:
            return _read(self._file.read_text(encoding="utf-8"), self._file)
        except FileNotFoundError:
            return Tokens()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreReadOnly(
                f"{self._file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}.",
                hint=f"Try: chmod 600 {self._file}",
            ) from None

    @contextlib.contextmanager
    def hold(self) -> Iterator[bool]:
        """Be the only one to write while inside; yields False, at once, when somebody else is.

        Raises ``StoreReadOnly``.
        """
        with self._translated():
            make_private_dir(self._folder)
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self._complete()
            yield True
        finally:
            os.close(handle)

    def save(self, tokens: Tokens) -> None:
        """Replace what is kept; on the disk when this returns. Only while held. Raises ``StoreReadOnly``."""
        values = {
            name: rfc3339(value) if isinstance(value, datetime) else value for name, value in asdict(tokens).items()
        }
        content = json.dumps({"version": _VERSION, **values}, indent=1).encode()
        with self._translated():
            handle = os.open(self._beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            self._put_in_place()

    def _complete(self) -> None:
        """Finish what a killed writer had whole on the disk. A torn write is overwritten by the next one."""
        try:
            _read(self._beside.read_text(encoding="utf-8"), self._beside)
        except (OSError, UnicodeDecodeError, StoreDamaged):
            return
        with self._translated():
            self._put_in_place()

    def _put_in_place(self) -> None:
        os.replace(self._beside, self._file)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreReadOnly(
                f"Tokens cannot be kept in {self._folder}: {error.strerror}.",
                hint="Make room there, or choose another folder with --data-dir.",
            ) from None


def _read(text: str, file: Path) -> Tokens:
    # No error of the parser is chained: it carries the text, and the text is secret.
    damaged = StoreDamaged(
        f"{file} is damaged.", hint=f"Remove it; the configured refresh token is then used anew: rm {file}"
    )
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise damaged from None
    if not isinstance(values, dict) or not isinstance(version := values.pop("version", None), int):
        raise damaged
    if version > _VERSION:
        raise StoreNewer(f"{file} was written by a newer AICMO.", hint="Install that one, or a newer one.")
    try:
        return Tokens(**{name: _value(name, value) for name, value in values.items() if name in _KNOWN})
    except (TypeError, ValueError):
        raise damaged from None


def _value(name: str, value: object) -> Any:
    if name in _TIMES:
        return None if value is None else parse_rfc3339(str(value))
    if not isinstance(value, str):
        raise TypeError(name)
    return value
