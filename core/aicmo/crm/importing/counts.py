"""How many rows, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

_SUMMED = ("created", "updated", "unchanged", "skipped", "rejected")


@dataclass(frozen=True, slots=True)
class ImportCounts:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    """Already there, and the row had nothing to add."""
    skipped: int = 0
    """Already there, and the policy is ``keep``."""
    rejected: int = 0
    conflicts: int = 0
    """Rows among them with a value that ``fill`` left alone."""
    stages_kept: int = 0
    """Rows among them that would have moved somebody back in their stage."""
    opted_out: int = 0
    """Rows among them of which the file itself says that they must not be written to."""
    suppressed: int = 0
    """Rows among them of people who must not be written to, whoever said so."""

    @property
    def rows(self) -> int:
        """Rows that were not blank: the sum of the first five."""
        return sum(getattr(self, name) for name in _SUMMED)

    def __add__(self, other: ImportCounts) -> ImportCounts:
        return ImportCounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def as_dict(self) -> dict[str, int]:
        """Every row once: ``rows``, and the five that it is the sum of."""
        return {"rows": self.rows, **{name: getattr(self, name) for name in _SUMMED}}

    def as_stored(self) -> dict[str, int]:
        """All of it; ``from_stored`` takes it back."""
        return {"rows": self.rows, **asdict(self)}

    @classmethod
    def from_stored(cls, counts: Mapping[str, int]) -> ImportCounts:
        return cls(**{name: counts.get(name, 0) for name in cls.__slots__})
