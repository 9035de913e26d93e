"""The two looks of the app: colours by role. No style sheet names a colour itself.

Beside them stand Textual's ``ansi-dark`` and ``ansi-light``, for people who want their terminal's own colours.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="aicmo-dark",
    primary="#7aa2c8",
    secondary="#5b7391",
    accent="#e0a458",
    success="#7fb685",
    warning="#e0b458",
    error="#e07a6e",
    foreground="#d8dde3",
    background="#14181d",
    surface="#1a1f26",
    panel="#232a33",
    dark=True,
)

LIGHT = Theme(
    name="aicmo-light",
    primary="#2f6690",
    secondary="#6b8299",
    accent="#a3591c",
    success="#2e7d4f",
    warning="#96680b",
    error="#b3392c",
    foreground="#20262d",
    background="#f7f5f1",
    surface="#efece6",
    panel="#e3dfd7",
    dark=False,
)

THEMES = (DARK, LIGHT)
