"""A process that only sends stays on one core, and may use all of them again afterwards."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from aicmo.one_core import on_one_core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no other system has a way to ask for it")


def test_every_thread_stays_on_one_core_and_is_free_again_afterwards() -> None:
    before = os.sched_getaffinity(0)
    go, looked, over = threading.Event(), threading.Event(), threading.Event()
    seen: dict[str, set[int]] = {}

    def wait_and_see() -> None:
        go.wait()
        seen["there before"] = os.sched_getaffinity(0)
        looked.set()
        over.wait()
        seen["afterwards"] = os.sched_getaffinity(0)

    earlier = threading.Thread(target=wait_and_see)
    earlier.start()
    with on_one_core():
        here = os.sched_getaffinity(0)
        go.set()
        begun = threading.Thread(target=lambda: seen.update(begun=os.sched_getaffinity(0)))
        begun.start()
        begun.join()
        looked.wait()
    over.set()
    earlier.join()
    assert len(here) == 1
    assert here <= before
    assert (seen["there before"], seen["begun"]) == (here, here)
    assert (os.sched_getaffinity(0), seen["afterwards"]) == (before, before)


def test_it_is_free_again_after_an_error() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), on_one_core():
        1 / 0  # noqa: B018  # any error
    assert os.sched_getaffinity(0) == before
