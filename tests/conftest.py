"""What every test shares."""

from __future__ import annotations

import os

import pytest

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each program that a test starts compiles everything anew


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, which is what the app runs on."""
    return "asyncio"
