"""The ledger as the campaign screen shows it, as a file: CSV for a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aicmo.crm.spreadsheet import create_csv, escaped
from aicmo.errors import InvalidInput
from aicmo.store.deliveries import Delivery

COLUMNS = (
    *("email", "state", "cause", "reason", "code", "provider", "at", "retry_at", "attempts", "step", "variant"),
    "message_id",
)


def export(name: str, ledger: Sequence[Delivery]) -> Path:
    """Write a new file, its owner's alone, and say where it is. Raises ``InvalidInput``, also when there is one."""
    import csv

    path = Path(name).expanduser().absolute()
    if path.exists():
        raise InvalidInput(f"{path} is there already; it was left as it is.", hint="Name another file.")
    with create_csv(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for delivery in ledger:
            writer.writerow([escaped(str(getattr(delivery, column))) for column in COLUMNS])
    return path
