"""One sender per database: a lock that is free again however its holder ends."""

from __future__ import annotations

from aicmo.store.file_lock import file_lock as sender_lock

__all__ = ["sender_lock"]
