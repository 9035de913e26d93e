"""Two thousand strings that strangers might send, through every screen: names, companies, tags, subjects, answers.

Many on each visit: the store is filled with a chunk of them, every screen is drawn, scrolled and looked into.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from driving import app_on, text_of
from sample import HOSTILE, NOW, open_filled
from test_hostile_names import STEERING

from aicmo.clock import rfc3339
from aicmo.errors import AicmoError
from aicmo.provider_state import COOLING, OK, StateChange
from aicmo.workspace import Workspace
from aicmo_tui.screens import SCREENS
from aicmo_tui.widgets.lazy_table import LazyTable

STRINGS, CHUNKS, SEED = 2_000, 8, 20261122
PIECES = (
    *HOSTILE,
    *("[/]", "[bold]", "[@click=app.quit]", "[[", "]]", "\\[", "[$error]", "{{ x }}", "{% raw %}", "%s", "{0}"),
    *(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    *("\x1b[2J", "\x1b]0;t\x07", "\x1b[31m", "\x9b31m", "\x1bP1$r\x1b\\", "\u200b", "\u200d", "\ufeff", "\u2028"),
    *(
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "👍🏽",
        "é",
        "e\u0301" * 40,
        "小龍女",
        "ﷺ",
        "ｗｉｄｅ",
        "\U0001f468\u200d",
        "\ud7ff",
        "\U0010ffff",
    ),
    *("a" * 5_000, "小" * 3_000, " " * 500, "\t" * 20, "\n" * 20, "=cmd|'/c calc'!A1", "<script>", "&#27;", "'; --"),
)


def strings() -> list[str]:
    """The same for a seed: pieces alone, then put together at random."""
    chance = random.Random(SEED)
    mixed = ("".join(chance.choices(PIECES, k=chance.randint(1, 6))) for _ in range(STRINGS - len(PIECES)))
    return [*PIECES, *mixed]


def fill(workspace: Workspace, chunk: list[str]) -> None:
    """Past every door where text is made plain: what a store holds that something else has written."""

    def write(db):
        for number, text in enumerate(chunk):
            address = f"f{number:03}@fuzz.example"
            db.execute(
                "INSERT INTO contact (address, email, first_name, last_name, company, title, domain, created_at, "
                "updated_at) VALUES (?, ?, ?, ?, ?, ?, 'fuzz.example', ?, ?)",
                (address, address, text, text[::-1], text, text, rfc3339(NOW), rfc3339(NOW)),
            )
        contacts = [row[0] for row in db.execute("SELECT id FROM contact ORDER BY id DESC LIMIT ?", (len(chunk),))]
        for contact_id, text in zip(contacts, chunk, strict=True):
            db.execute("INSERT OR IGNORE INTO tag (key, name) VALUES (?, ?)", (text, text))
            tag = db.execute("SELECT id FROM tag WHERE key = ?", (text,)).fetchone()[0]
            db.execute("INSERT INTO contact_tag (contact_id, tag_id) VALUES (?, ?)", (contact_id, tag))
        for row, text in zip(db.execute("SELECT id FROM delivery ORDER BY id").fetchall(), chunk * 2, strict=False):
            db.execute("UPDATE delivery SET reason = ?, code = ? WHERE id = ?", (text, text[:9], row[0]))
        for row, text in zip(db.execute("SELECT id FROM campaign").fetchall(), chunk, strict=False):
            db.execute("UPDATE campaign SET name = ?, pause_reason = ? WHERE id = ?", (text, text, row[0]))
        for row, text in zip(db.execute("SELECT id FROM content_version").fetchall(), chunk, strict=False):
            db.execute("UPDATE content_version SET subject = ? WHERE id = ?", (text, row[0]))

    workspace.db.write(write)
    health = workspace.services.health_db
    assert health is not None
    for text in chunk:

        def said(found, text=text):
            changed = replace(found, last_error_text=text, last_error_code=text[:9])
            return changed, StateChange(found.name, NOW, OK, COOLING, text)

        health.update("smtp-spare", said)


@pytest.mark.parametrize("number", range(CHUNKS))
async def test_no_string_breaks_or_steers_any_screen(number: int, tmp_path: Path) -> None:
    everything = strings()
    assert len(everything) == STRINGS
    chunk = everything[number::CHUNKS]
    with open_filled(tmp_path, people=8) as workspace:
        fill(workspace, chunk)
        app = app_on(workspace)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            for mode in SCREENS:
                app.action_show_screen(mode)
                for _ in range(6):
                    await pilot.pause()
                    await app.workers.wait_for_complete([it for it in app.workers if it.group.startswith("ask:")])
                for table in app.screen.query(LazyTable):
                    table.focus()
                    for _ in range(1 + table.total // 30):
                        await pilot.press("down", "pagedown")
                        assert not STEERING.search(text_of(app)), mode
            app.open_campaign(1)
            await pilot.pause()
            for text in chunk[:6]:
                app.tell(text)
                app.report(AicmoError(text, hint=text))
                await pilot.pause()
                assert not STEERING.search(text_of(app))
                await pilot.press("escape")
            assert app.is_running
