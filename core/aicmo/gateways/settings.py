"""What the configuration blocks of several providers have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Limits(BaseModel):
    """``limits = { second = 10, day = 500 }``: how many calls or messages may be made in any span of that length.

    What counts them is not the provider: mail is counted from the ledger, everything else over all processes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    second: int | None = Field(default=None, gt=0)
    minute: int | None = Field(default=None, gt=0)
    hour: int | None = Field(default=None, gt=0)
    day: int | None = Field(default=None, gt=0)
