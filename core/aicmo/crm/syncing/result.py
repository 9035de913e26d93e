"""What a sync came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from aicmo.gateways.attempt import Outcome

Status = Literal["done", "partly", "cancelled", "skipped", "locked"]
"""``partly``: it stopped before its end, or some rows could not be brought over. ``skipped``: there is no CRM.
``locked``: another program is syncing."""
EXAMPLES = 20
"""How many conflicts and warnings of each kind a result names; the others are counted."""


@dataclass(slots=True)
class PullCounts:
    """Rows of people there; ``read`` is the sum of the others."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    """Deleted here, there twice, or nobody who was asked for."""
    rejected: int = 0
    """Without an address, or with one that is none."""


@dataclass(slots=True)
class PushCounts:
    """People and their rows there."""

    created: int = 0
    updated: int = 0
    failed: int = 0
    """The CRM refused them; their next sync tries again."""
    gone: int = 0
    """Their rows were deleted there: they stay here, and are not sent there any more."""
    unknown: int = 0
    """The answer was lost: they may be there, and are written again next time, which makes no second row."""


@dataclass(slots=True)
class InteractionCounts:
    """Calls, meetings, notes, replies, messages."""

    pulled: int = 0
    pushed: int = 0
    skipped: int = 0
    """Rows there that name nobody who is here."""
    failed: int = 0
    unknown: int = 0


class Conflict(NamedTuple):
    email: str
    field: str
    ours: str
    theirs: str
    original: str
    kept: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why it stopped."""

    outcome: Outcome
    reason: str
    retry_at: datetime | None


@dataclass(slots=True)
class SyncResult:
    provider: str = ""
    status: Status = "done"
    reason: str = ""
    """Why nothing was done, when it was skipped or locked."""
    direction: str = "both"
    dry_run: bool = False
    pull: PullCounts = field(default_factory=PullCounts)
    push: PushCounts = field(default_factory=PushCounts)
    interactions: InteractionCounts = field(default_factory=InteractionCounts)
    conflict_count: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    """The first ``EXAMPLES``; all are kept in the store."""
    suppressed: int = 0
    """Who must not be written to from now on, because the CRM says so."""
    stages_kept: int = 0
    """Rows whose stage only a person's word here could lead to."""
    deleted_there: int = 0
    """Linked rows that a full reading did not find."""
    change_id: int | None = None
    """What undo takes back; ``None`` when nothing was changed here."""
    problem: Problem | None = None
    warnings: list[str] = field(default_factory=list)
    _warned: dict[str, int] = field(default_factory=dict)

    def warn(self, kind: str, sentence: str) -> None:
        """Keep a warning; of a kind only the first few, the others are counted."""
        count = self._warned[kind] = self._warned.get(kind, 0) + 1
        if count <= EXAMPLES and sentence not in self.warnings:
            self.warnings.append(sentence)

    @property
    def unnamed(self) -> int:
        """Warnings that were only counted."""
        return sum(max(count - EXAMPLES, 0) for count in self._warned.values())

    @property
    def did_anything(self) -> bool:
        return bool(
            self.pull.read or self.push.created or self.push.updated or self.push.unknown or self.interactions.pushed
        )

    def counts(self) -> dict[str, dict[str, int]]:
        return {name: asdict(getattr(self, name)) for name in ("pull", "push", "interactions")}
