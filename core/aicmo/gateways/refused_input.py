"""Our own bad input, several times in a row at one provider: which records, and what was said of them.

Nobody is to blame and nothing is closed; but three refusals with no answer between them are no accident, and a person
who sees the records sees the reason. At most three are kept, short, and an address is never kept whole.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.gateways.attempt import Attempt
from aicmo.text import one_line

IN_A_ROW = 3
"""So many are no accident; and so many are kept, the newest."""
RENEWED_S = 60.0
"""When that many are kept, another is written only so long after the last: a bad import must not write for each row."""
STALE_S = 86_400.0
"""What was refused longer ago is no matter for today."""
_SAID, _WHOM = 120, 40
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'=]+@([^\s<>()\[\],;:\"'@]+)")


@dataclass(frozen=True, slots=True)
class Sample:
    at: datetime
    code: str
    said: str
    """The provider's words, on one line, at most 120 characters, with every address shortened."""
    record: str
    """What was refused, shortened: ``a…@example.com``; empty when the call was about no single record."""

    @property
    def told(self) -> str:
        """As a person reads it."""
        return ": ".join(part for part in (self.record, " ".join(filter(None, (self.code, self.said)))) if part)


def shortened(record: str) -> str:
    """``a…@example.com`` for an address; the first three characters of anything else. Enough to find it again."""
    record = one_line(record)
    name, at, domain = record.rpartition("@")
    if at and name:
        return one_line(f"{name[0]}…@{domain}", limit=_WHOM)
    return record if len(record) <= 3 else f"{record[:3]}…"


def sampled(stored: str, attempt: Attempt, record: str, now: datetime) -> str:
    """``stored`` with one refusal more, as it is kept."""
    said = _ADDRESS.sub(lambda found: shortened(found[0]), one_line(attempt.detail))
    fresh = [rfc3339(now), one_line(attempt.code, limit=_WHOM), one_line(said, limit=_SAID), shortened(record)]
    return json.dumps([*_rows(stored), fresh][-IN_A_ROW:], ensure_ascii=False, separators=(",", ":"))


def samples(stored: str) -> tuple[Sample, ...]:
    """Oldest first."""
    return tuple(Sample(parse_rfc3339(at), code, said, record) for at, code, said, record in _rows(stored))


def worth_writing(stored: str, now: datetime) -> bool:
    """Whether one refusal more would tell a person anything."""
    kept = samples(stored)
    return len(kept) < IN_A_ROW or not timedelta() <= now - kept[-1].at < timedelta(seconds=RENEWED_S)


def repeated(stored: str, now: datetime) -> tuple[Sample, ...]:
    """The samples, when it happened often enough in a row and not too long ago; else none."""
    kept = samples(stored)
    recent = bool(kept) and now - kept[-1].at < timedelta(seconds=STALE_S)
    return kept if recent and len(kept) >= IN_A_ROW else ()


def _rows(stored: str) -> list[list[str]]:
    rows: list[list[str]] = json.loads(stored) if stored else []
    return rows
