"""The screens there are, by name: the modes, the keys, the palette and the tests walk this table.

A screen's module is imported when it is first shown, so the app opens as fast as its first screen. A new screen is a
module and a style sheet here, and one line in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aicmo_tui.screens.frame import Frame


@dataclass(frozen=True, slots=True)
class Entry:
    where: str
    """``module:Class``."""
    key: str
    """A function key; its digit does the same where nothing is being typed."""
    title: str
    answers: str
    """The question the screen answers."""


SCREENS = {
    "home": Entry("aicmo_tui.screens.home:HomeScreen", "f2", "Home", "What needs me now?"),
    "health": Entry(
        "aicmo_tui.screens.health:HealthScreen", "f3", "Health", "Who serves, how well, what to do about it?"
    ),
    "contacts": Entry("aicmo_tui.screens.contacts:ContactsScreen", "f4", "Contacts", "Who is there?"),
    "composer": Entry("aicmo_tui.screens.composer:ComposerScreen", "f5", "Composer", "What do I say, and to whom?"),
    "campaigns": Entry(
        "aicmo_tui.screens.campaigns:CampaignsScreen", "f6", "Campaigns", "Who got it, who did not, and why?"
    ),
    "analytics": Entry("aicmo_tui.screens.analytics:AnalyticsScreen", "f8", "Analytics", "What came of it?"),
}
FIRST = "home"


def factory(mode: str) -> Callable[[], Frame]:
    """What builds the screen, once it is asked for."""

    def build() -> Frame:
        from importlib import import_module

        module, name = SCREENS[mode].where.split(":")
        screen: Frame = getattr(import_module(module), name)()
        return screen

    return build
