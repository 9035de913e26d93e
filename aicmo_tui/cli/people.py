"""What the verbs about people share: how a query is explained, a contact is told, a change is agreed to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aicmo.errors import ApprovalNeeded, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aicmo.crm import Contact
    from aicmo.store.undoing import Kept
    from aicmo_tui.cli.verb import Run

QUERY = (
    "QUERY is words to look for and terms such as tag:vip -stage:new (domain:acme.com or score:>=60) last_reply:<30d; "
    "none is everybody. docs/queries.md has them all."
)
NAMED = 20
"""How many of those whom an undo left alone are named in text."""


def contact_record(found: Contact) -> dict[str, Any]:
    """A contact as JSON tells it."""
    return {
        "email": found.email,
        "first_name": found.first_name,
        "last_name": found.last_name,
        "company": found.company,
        "title": found.title,
        "phone": found.phone,
        "domain": found.domain,
        "stage": found.stage,
        "tags": list(found.tags),
        "fields": found.fields,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
    }


def left_alone(kept: Sequence[Kept]) -> Iterator[str]:
    """Lines that name what an undo or a redo left as it is, the first twenty."""
    from aicmo.crm.history import told

    lines = list(told(kept))
    yield from (f"▲ {line}" for line in lines[:NAMED])
    if more := len(lines[NAMED:]):
        yield f"▲ … and {more:,} more; --json names them all."


def pair(text: str) -> tuple[str, str]:
    """``NAME=VALUE``. Raises ``InvalidInput``."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidInput(f"{text} names no value.", hint="Write it as NAME=VALUE.")
    return name.strip(), value.strip()


def agree(run: Run, question: str) -> None:
    """Ask, unless the person said ``--yes``. Raises ``ApprovalNeeded``."""
    if not run.confirm(question):
        raise ApprovalNeeded("Nobody agreed, so nothing was changed.", hint="Answer y on a terminal, or say --yes.")
