from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicmo.crm import CRMRepository, ImportResult
from aicmo.store import Database, open_database


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = open_database(tmp_path / "data" / "aicmo.db")
    yield database
    database.close()


@pytest.fixture
def crm(db: Database) -> CRMRepository:
    return CRMRepository(db)


Import = Callable[..., ImportResult]


@pytest.fixture
def imported(crm: CRMRepository, tmp_path: Path) -> Import:
    """Write text (as UTF-8) or bytes to ``people.csv`` and import it."""

    def run(content: str | bytes, **options: Any) -> ImportResult:
        path = tmp_path / "people.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return crm.import_file(path, **options)

    return run
