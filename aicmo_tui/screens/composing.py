"""What is being written, and whether it is on disk: the composer's half that knows no widget.

A ``Sitting`` is one author at one text: it knows what they began from, so that it notices when somebody else wrote in
the meantime, and which version is its own to write over. All its verbs block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from aicmo.publishing import CONTENT_TYPES, Content, Contents, Draft
from aicmo.publishing.channels import CHANNELS
from aicmo.store.contents import Version
from aicmo.text import one_line

UNTITLED = "Untitled"


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in the fields."""

    name: str
    audience: str
    draft: Draft

    @property
    def title(self) -> str:
        """How the content is found again."""
        return one_line(self.name) or one_line(self.draft.subject) or UNTITLED

    @property
    def is_empty(self) -> bool:
        return not (self.draft.subject.strip() or self.draft.body.strip())


@dataclass(frozen=True, slots=True)
class Sitting:
    """One text that is being written."""

    type: str = "email"
    content: Content | None = None
    """``None`` until it was saved for the first time."""
    channel: str = ""
    """The one that is written; empty: the original."""
    version: Version | None = None
    """What the author began from, or saved last."""
    mine: int = 0
    """The number of the version that this sitting began, and may write over; 0: none yet."""
    meanwhile: int = 0
    """The number of somebody else's version that came in between at the last save; 0: none did."""

    @property
    def shows_on(self) -> str:
        """The channel whose rules hold; empty for an original that no channel shows as it is."""
        return self.channel or CONTENT_TYPES[self.type].original

    @property
    def is_mail(self) -> bool:
        return self.shows_on == "email"

    @property
    def is_titled(self) -> bool:
        return not self.channel_title or CHANNELS[self.shows_on].titled

    @property
    def channel_title(self) -> str:
        return CHANNELS[self.shows_on].title if self.shows_on else ""

    @property
    def channels(self) -> tuple[str, ...]:
        """All that this type is worded for, the original first."""
        return "", *CONTENT_TYPES[self.type].channels

    def keeps(self, written: Written) -> bool:
        """Whether what is written is on disk as it stands."""
        if self.version is None or self.content is None:
            return written.is_empty
        return self.version.draft == written.draft and self.content.title == self.title_of(written)

    def title_of(self, written: Written) -> str:
        """The name that was given; until then, an original's subject names it."""
        named = bool(one_line(written.name)) or not self.channel
        return written.title if named or self.content is None else self.content.title


def open_text(contents: Contents, content: Content, channel: str = "") -> Sitting:
    """What ``content`` says on ``channel`` now. Raises ``NotFound``."""
    return Sitting(content.type, content, channel, contents.wording(content.id, channel))


def save(contents: Contents, sitting: Sitting, written: Written) -> Sitting:
    """Put what is written on disk; the sitting as it is then. Raises what ``Contents.save`` does."""
    if sitting.content is None:
        content = contents.create(sitting.type, written.title, written.draft)
        made = contents.wording(content.id)
        return Sitting(content.type, content, "", made, mine=made.number)
    content, version, meanwhile, mine = sitting.content, sitting.version, 0, sitting.mine
    assert version is not None
    if written.draft != version.draft:
        saved = contents.save(
            content.id, written.draft, channel=sitting.channel, amend=mine == version.number, seen=version.draft
        )
        version, meanwhile, mine = saved.version, saved.meanwhile, saved.number
    if content.title != sitting.title_of(written):
        contents.rename(content.id, sitting.title_of(written))
    return replace(sitting, content=contents.get(content.id), version=version, mine=mine, meanwhile=meanwhile)
