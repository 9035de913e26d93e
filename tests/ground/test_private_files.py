"""What we create is for its owner alone."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aicmo.config import Config
from aicmo.errors import StoreReadOnly
from aicmo.log import MAX_BYTES, logging_to, start_log, stop_log
from aicmo.paths import Paths, find_paths, make_private_dir
from aicmo.workspace import open_workspace


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """A person whose files are for everybody, unless somebody says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_everything_in_the_data_folder_is_private(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config.toml", tmp_path / "new" / "data")
    config = Config.model_validate(
        {
            "chains": {"email_sending": ["s"]},
            "providers": {"s": {"kind": "smtp", "host": "127.0.0.1", "port": 9, "security": "none"}},
        }
    )

    async def send() -> None:
        async with open_workspace(paths, config) as workspace:
            with logging_to(paths.log_file) as log:
                log.info("begun")
                await workspace.publishing.outbox().run()
            files = [path for path in paths.data_dir.rglob("*") if path.is_file()]
            assert {path.name for path in files} >= {"aicmo.db", "health.db", "sender.lock", "aicmo.log"}
            assert {path.name: oct(mode(path)) for path in files if mode(path) & 0o177} == {}

    asyncio.run(send())
    assert mode(paths.data_dir) == mode(paths.data_dir.parent) == 0o700


def test_a_folder_that_was_there_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    make_private_dir(folder)
    assert mode(folder) == 0o755


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreReadOnly, match="cannot be created") as raised:
        make_private_dir(tmp_path / "file" / "data")
    assert "--data-dir" in raised.value.hint


def test_an_argument_wins_over_the_environment_and_that_over_the_platform(tmp_path: Path) -> None:
    environ = {"AICMO_CONFIG": "/env/c.toml", "AICMO_DATA_DIR": "/env/data"}
    assert find_paths(config="/arg/c.toml", environ=environ) == Paths(Path("/arg/c.toml"), Path("/env/data"))
    assert find_paths(data_dir="/arg/data", environ=environ) == Paths(Path("/env/c.toml"), Path("/arg/data"))
    usual = find_paths(environ={})
    assert usual.config_file.name == "config.toml" and "aicmo" in usual.config_file.parts
    assert usual.data_dir.name == "aicmo"
    assert find_paths(config="~/c.toml", environ={}).config_file == Path.home() / "c.toml"


# --- the log ----------------------------------------------------------------------------------------------------------


def test_an_event_is_one_plain_line_whatever_it_holds(tmp_path: Path) -> None:
    with logging_to(tmp_path / "aicmo.log") as log:
        log.warning("%s said: %s", "smtp-a", "550 no\r\n2026-01-01 FAKE LINE\x1b[2J" + "x" * 9000)
        log.debug("not written")
    (line,) = (tmp_path / "aicmo.log").read_text().splitlines()
    assert "WARNING aicmo smtp-a said: 550 no 2026-01-01 FAKE LINE[2J" in line
    assert len(line) == 4000


def test_a_traceback_is_whole_and_indented_so_that_it_cannot_pass_for_events(tmp_path: Path) -> None:
    with logging_to(tmp_path / "aicmo.log") as log:
        try:
            raise RuntimeError("first\n2026-01-01 FAKE\x1b LINE")
        except RuntimeError as error:
            log.error("unforeseen", exc_info=error)
    first, *rest = (tmp_path / "aicmo.log").read_text().splitlines()
    assert first.endswith("ERROR aicmo unforeseen")
    assert rest[0] == "    Traceback (most recent call last):" and "RuntimeError: first" in rest[-2]
    assert all(line.startswith("    ") and "\x1b" not in line for line in rest)


def test_a_full_log_is_put_aside_and_both_are_private(tmp_path: Path) -> None:
    file = tmp_path / "aicmo.log"
    file.write_text("x" * (MAX_BYTES + 1))
    with logging_to(file) as log:
        log.info("one more")
    assert "one more" in file.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aicmo.log", "aicmo.log.1"]
    assert mode(file) == mode(tmp_path / "aicmo.log.1") == 0o600


class _FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_stops_the_log_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = start_log(tmp_path / "aicmo.log")
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(_FullDisk()).close()
    logging.getLogger("aicmo").error("nowhere to write this")
    stop_log(handler)
    assert capsys.readouterr() == ("", "")


def test_a_stopped_log_leaves_no_handler_behind(tmp_path: Path) -> None:
    before = list(logging.getLogger("aicmo").handlers)
    stop_log(start_log(tmp_path / "aicmo.log"))
    assert logging.getLogger("aicmo").handlers == before


def test_once_our_log_is_closed_records_reach_whoever_embeds_us(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with logging_to(tmp_path / "aicmo.log") as log:
        log.error("into the file")
    logging.getLogger("aicmo.somewhere").error("to the caller")
    assert [record.message for record in caplog.records] == ["to the caller"]
    assert "into the file" in (tmp_path / "aicmo.log").read_text()
