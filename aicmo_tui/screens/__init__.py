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
    """A function key, whose digit does the same where nothing is being typed; of a screen over others, a letter."""
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
    "calendar": Entry("aicmo_tui.screens.calendar:CalendarScreen", "f9", "Calendar", "What goes out when?"),
}
OVER = {
    "duplicates": Entry(
        "aicmo_tui.screens.duplicates:DuplicatesScreen", "u", "Duplicates", "Who is in the list twice?"
    ),
    "companies": Entry("aicmo_tui.screens.companies:CompaniesScreen", "o", "Companies", "Where do they work?"),
    "today": Entry("aicmo_tui.screens.today:TodayScreen", "t", "Today", "Whom do I get back to?"),
}
"""The screens that stand over another one until ``escape``; their keys work on those that offer them."""
FIRST = "home"
OPENING = "opening"
"""The mode before all others, until the workspace is open; nobody comes back to it."""


def load(name: str) -> type[Frame]:
    """The screen's class, its module imported; that takes some milliseconds the first time."""
    from importlib import import_module

    module, class_name = (SCREENS | OVER)[name].where.split(":")
    screen: type[Frame] = getattr(import_module(module), class_name)
    return screen


def factory(mode: str) -> Callable[[], Frame]:
    """What builds the screen, once it is asked for."""
    return lambda: load(mode)()
