"""The verbs of writing: content in versions, seen as one of its readers will see it.

Plain methods over the store, so that the caller chooses the thread. Nothing here sends anything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.segments import select
from aicmo.errors import InvalidInput, NotFound
from aicmo.publishing.channels import CHANNELS, Count, counts_of
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.email.rules import PLAIN_RULES, MessageRules
from aicmo.publishing.preflight import CheckReport
from aicmo.publishing.preflight.sender import is_made_up
from aicmo.publishing.samples import Preview, a_reader, preview
from aicmo.publishing.wording import Wording
from aicmo.publishing.writing.comparing import Difference, compare
from aicmo.publishing.writing.content_types import CONTENT_TYPES
from aicmo.publishing.writing.fitness import Yardstick, asked_links, check_fit, refuse_unfit
from aicmo.store import Database, audiences, channel_texts, contents
from aicmo.store.channel_texts import Own
from aicmo.store.contents import Content, Draft, Version
from aicmo.text import one_line, plain, shown

FORMATS = ("markdown", "html")
LONGEST_BODY = 1_000_000
"""Characters. No mailbox shows a longer message whole."""
LONGEST_LINE = 1_000
"""Characters of a title, name, subject or preheader."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What came of saving."""

    version: Version
    """What is said now."""
    meanwhile: int = 0
    """The number of a version that somebody else wrote since this author last looked; 0: nobody did. It is kept, and
    what was saved is a version after it."""

    @property
    def number(self) -> int:
        return self.version.number


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions, and what differs."""

    before: Version
    after: Version
    differences: tuple[Difference, ...]


class Contents:
    """Where a verb takes a ``channel``, the empty one is the original, as is the one that shows it as it is."""

    def __init__(
        self,
        db: Database,
        sender: SenderIdentity,
        *,
        limits: Mapping[str, int] | None = None,
        rules: MessageRules = PLAIN_RULES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``limits``: what was configured in place of a channel's own; see ``counts_of``."""
        self._db = db
        self._sender = sender
        self._limits = limits or {}
        self._rules = rules
        made_up = is_made_up(sender.email.rpartition("@")[2].lower())
        self._yardstick = Yardstick(self._limits, made_up, rules.links.adds_utm and bool(rules.links.utm))
        self._clock = clock

    def create(self, type: str, title: str, draft: Draft) -> Content:
        """Raises ``InvalidInput`` for an unknown type or format, or a text beyond the bounds."""
        if type not in CONTENT_TYPES:
            raise InvalidInput(f"{shown(type)} is no content type.", hint=f"Choose one of: {', '.join(CONTENT_TYPES)}.")
        title, draft = checked_line(title, "title"), checked_draft(draft)
        if not title:
            raise InvalidInput("The title is empty.", hint="Give the content a name to find it by.")
        now = self._clock.now()
        return self._db.write(lambda db: contents.get(db, contents.create(db, type, title, draft, now)))

    def save(
        self, content_id: int, draft: Draft, *, channel: str = "", amend: bool = False, seen: Draft | None = None
    ) -> Saved:
        """Keep ``draft`` as the next version; an earlier one's approval does not hold for it. Raises ``NotFound``.

        On a channel, what differs from the original becomes its own, and what says the same follows the original from
        now on. ``amend`` is for saving while one writes: see ``contents.save``. ``seen`` is what the author began from:
        when it is not what stands there any more, the other's words stay a version, and these become the next.
        """
        draft, now = checked_draft(draft), self._clock.now()

        def save(db: sqlite3.Connection) -> Saved:
            key = self._key(db, content_id, channel)
            before = self._latest(db, content_id, key)
            began = before.draft if seen is None else seen
            if not key:
                moved = before.draft not in (began, draft)
                contents.save(db, content_id, draft, now, amend=amend and not moved)
            else:
                own = _own(before, began, draft, contents.get(db, content_id).draft)
                moved = any(getattr(before.draft, name) != getattr(began, name) for name in before.own)
                channel_texts.save(db, content_id, key, own, now, amend=amend and not moved)
            after = self._latest(db, content_id, key)
            return Saved(after, before.number if moved and after.number != before.number else 0)

        return self._db.write(save)

    def reset(self, content_id: int, channel: str, *fields: str) -> Version:
        """Let the channel follow the original again, in these of ``subject`` and ``body``, or in both.

        Raises ``NotFound``, or ``InvalidInput`` for the original itself.
        """
        now = self._clock.now()

        def follow(db: sqlite3.Connection) -> Version:
            key = self._key(db, content_id, channel)
            if not key:
                raise InvalidInput("That is the original itself.", hint="Go back to a version of it with: restore")
            own = channel_texts.own_of(db, content_id, key)
            if not fields or "subject" in fields:
                own = replace(own, subject=None)
            if not fields or "body" in fields:
                own = replace(own, body=None, format=None)
            return channel_texts.save(db, content_id, key, own, now)

        return self._db.write(follow)

    def rename(self, content_id: int, title: str) -> Content:
        """Raises ``NotFound``, or ``InvalidInput`` for an empty one."""
        title = checked_line(title, "title")
        if not title:
            raise InvalidInput("The title is empty.", hint="Give the content a name to find it by.")

        def rename(db: sqlite3.Connection) -> Content:
            contents.rename(db, content_id, title)
            return contents.get(db, content_id)

        return self._db.write(rename)

    def list(self) -> list[Content]:
        """The latest written first."""
        return self._db.read(contents.listed)

    def get(self, content_id: int) -> Content:
        """Raises ``NotFound``."""
        return self._db.read(lambda db: contents.get(db, content_id))

    def channels(self, content_id: int) -> tuple[str, ...]:
        """Where it may be worded otherwise than the original. Raises ``NotFound``."""
        return CONTENT_TYPES[self.get(content_id).type].channels

    # --- versions ---------------------------------------------------------------------------------------------------

    def wording(self, content_id: int, channel: str = "") -> Version:
        """What the channel would show now. Raises ``NotFound``, or ``InvalidInput`` where the content does not fit."""
        return self._db.read(lambda db: self._latest(db, content_id, self._key(db, content_id, channel)))

    def versions(self, content_id: int, channel: str = "") -> tuple[Version, ...]:
        """All that were saved, the latest first. Raises as ``wording`` does."""
        return self._db.read(lambda db: tuple(self._versions(db, content_id, self._key(db, content_id, channel))))

    def version(self, content_id: int, number: int, channel: str = "") -> Version:
        """Raises as ``wording`` does, and ``NotFound`` for a number that is not there."""
        return self._db.read(lambda db: self._version(db, content_id, self._key(db, content_id, channel), number))

    def compare(
        self, content_id: int, before: int | None = None, after: int | None = None, channel: str = ""
    ) -> Comparison:
        """Two versions: without ``after`` the latest; without ``before`` the one before that.

        Without either, a channel is compared with the original. Raises ``NotFound``.
        """
        key = self._db.read(lambda db: self._key(db, content_id, channel))
        if key and before is None and after is None:
            first, second = self.wording(content_id), self.wording(content_id, key)
            first = replace(first, draft=channel_texts.shown(key, Own(), first.draft))
        else:
            second = self.wording(content_id, key) if after is None else self.version(content_id, after, key)
            first = self.version(content_id, max(1, second.number - 1) if before is None else before, key)
        return Comparison(first, second, compare(first.draft, second.draft))

    def restore(self, content_id: int, number: int, channel: str = "") -> Saved:
        """Say again what that version said: as a next version, so that nothing in between is lost.

        A channel gets back what was its own then. Raises ``NotFound``.
        """
        now = self._clock.now()

        def again(db: sqlite3.Connection) -> Saved:
            key = self._key(db, content_id, channel)
            version = self._version(db, content_id, key, number)
            if not key:
                contents.save(db, content_id, version.draft, now)
            else:
                subject = version.draft.subject if "subject" in version.own else None
                body = version.draft.body if "body" in version.own else None
                own = Own(subject, body, version.draft.format if body is not None else None)
                channel_texts.save(db, content_id, key, own, now)
            return Saved(self._latest(db, content_id, key))

        return self._db.write(again)

    # --- approval ---------------------------------------------------------------------------------------------------

    def approve(self, content_id: int, channel: str = "") -> Version:
        """Approve what the channel shows now. Raises ``InvalidInput`` or ``TemplateInvalid`` for what could not go."""
        now = self._clock.now()

        def approve(db: sqlite3.Connection) -> Version:
            content, key = contents.get(db, content_id), self._key(db, content_id, channel)
            self.refuse_unfit(content.type, key, self._latest(db, content_id, key).draft)
            if key:
                return channel_texts.approve(db, content_id, key, now)
            contents.approve(db, content.draft.hash, now)
            return self._latest(db, content_id, key)

        return self._db.write(approve)

    def withdraw(self, content_id: int, channel: str = "") -> Version:
        """Take back the approval of what the channel shows now; what has begun to be sent goes on."""

        def withdraw(db: sqlite3.Connection) -> Version:
            key = self._key(db, content_id, channel)
            contents.withdraw(db, self._latest(db, content_id, key).hash)
            return self._latest(db, content_id, key)

        return self._db.write(withdraw)

    def approved(self, content_id: int, channel: str = "") -> Version | None:
        """The last version that was approved; the approval holds while its hash is that of what is shown now."""
        return next((version for version in self.versions(content_id, channel) if version.approved_at), None)

    def refuse_unfit(self, type: str, channel: str, draft: Draft) -> None:
        """Raises what would keep such a draft from being approved."""
        kind = CONTENT_TYPES[type]
        refuse_unfit(kind, channel or kind.original, checked_draft(draft), self._yardstick)

    def refuse_unseen(self, type: str, channel: str, *, subject: str = "", preheader: str = "") -> None:
        """Raises ``InvalidInput`` for words that no reader would see there; empty ones are none."""
        kind = CONTENT_TYPES[type]
        shown_on = [channel or kind.original] if channel or kind.original else kind.channels
        where = " or ".join(CHANNELS[each].title for each in shown_on)
        if subject.strip() and not any(CHANNELS[each].titled for each in shown_on):
            raise InvalidInput(f"Nobody sees a subject on {where}.", hint="Write what is to be read into the body.")
        if preheader.strip() and "email" not in shown_on:
            raise InvalidInput(f"Nobody sees a preheader on {where}: only inboxes show one.")

    def check(self, type: str, channel: str, draft: Draft) -> CheckReport:
        """What is wrong with a post or a page; of a message, ask ``Preflight.words``. Asks nobody."""
        kind = CONTENT_TYPES[type]
        return check_fit(kind, channel or kind.original, checked_draft(draft), self._yardstick)

    def links(self, type: str, channel: str, draft: Draft) -> tuple[str, ...]:
        """The addresses that a post or a page leads to, each once, in their order."""
        return asked_links(channel or CONTENT_TYPES[type].original, checked_draft(draft))

    def counts(self, channel: str, draft: Draft) -> tuple[Count, ...]:
        """How long the draft is on that channel, against its limits."""
        return counts_of(channel, draft, self._limits)

    def _key(self, db: sqlite3.Connection, content_id: int, channel: str) -> str:
        """The channel as the store knows it: empty for the original. Raises ``NotFound`` or ``InvalidInput``."""
        kind = CONTENT_TYPES[contents.get(db, content_id).type]
        if channel in ("", kind.original):
            return ""
        if channel not in kind.channels:
            there = ", ".join(filter(None, (kind.original, *kind.channels)))
            raise InvalidInput(f"{kind.title} has no version for {shown(channel)}.", hint=f"Choose one of: {there}.")
        return channel

    def _version(self, db: sqlite3.Connection, content_id: int, key: str, number: int) -> Version:
        found = {version.number: version for version in self._versions(db, content_id, key)}
        if number not in found:
            where = f" on {CHANNELS[key].title}" if key else ""
            there = f"There are 1 to {max(found)}." if found else "None was saved yet."
            raise NotFound(f"Content {content_id} has no version {number}{where}.", hint=there)
        return found[number]

    def _latest(self, db: sqlite3.Connection, content_id: int, key: str) -> Version:
        return channel_texts.latest(db, content_id, key) if key else self._versions(db, content_id, key)[0]

    def _versions(self, db: sqlite3.Connection, content_id: int, key: str) -> Sequence[Version]:
        return channel_texts.versions(db, content_id, key) if key else contents.versions(db, content_id)

    def fields(self) -> tuple[str, ...]:
        """What a template may ask for: a contact's own fields, the custom ones, and what is always there."""
        own = [name for name in audiences.CONTACT_FIELDS if name not in ("domain", "stage")]
        custom = self._db.read(audiences.custom_fields)
        return (*own, *custom, "sender.name", "campaign.name", "unsubscribe", "postal_address")

    # --- as somebody sees it ----------------------------------------------------------------------------------------

    def preview(self, draft: Draft, *, audience: str = "", email: str = "", campaign_name: str = "Preview") -> Preview:
        """The message as ``email``, or else the first of ``audience``, would get it; nothing is sent or written.

        One that belongs to a campaign is shown exactly by ``PublishingPipeline.preview``.

        Raises ``TemplateInvalid`` for what the template asks and this recipient lacks, ``NotFound`` when there is
        nobody.
        """
        now = self._clock.now()
        said = Wording(checked_draft(draft), self._sender, campaign_name, self._rules)
        reader = self._db.read(lambda db: a_reader(db, select(db, audience, now=now), email))
        return preview(said, reader, now)


def _own(before: Version, began: Draft, draft: Draft, original: Draft) -> Own:
    """What a channel has of its own when its author, who began from ``began``, has written ``draft``."""
    changed = {name for name in ("subject", "body") if getattr(draft, name) != getattr(began, name)}
    subject = draft.subject if "subject" in changed.union(before.own) else None
    body = draft.body if "body" in changed.union(before.own) else None
    own = Own(
        None if subject == original.subject else subject,
        None if (body, draft.format) == (original.body, original.format) else body,
    )
    return own if own.body is None else replace(own, format=draft.format)


def checked_draft(draft: Draft) -> Draft:
    """The draft made plain. Raises ``InvalidInput`` for an unknown format, or a text beyond the bounds."""
    if draft.format not in FORMATS:
        raise InvalidInput(f"{shown(draft.format)} is no format.", hint=f"Choose one of: {', '.join(FORMATS)}.")
    if len(draft.body) > LONGEST_BODY:
        raise InvalidInput(
            f"The body is longer than {LONGEST_BODY:,} characters.", hint="Shorten it, or link to the rest."
        )
    subject, preheader = checked_line(draft.subject, "subject"), checked_line(draft.preheader, "preheader")
    return Draft(subject, plain(draft.body), preheader, draft.format)


def checked_line(value: str, what: str) -> str:
    """``value`` on one plain line. Raises ``InvalidInput`` when it is too long; ``what`` names it then."""
    value = one_line(value)
    if len(value) > LONGEST_LINE:
        raise InvalidInput(f"The {what} is longer than {LONGEST_LINE:,} characters.", hint="Shorten it.")
    return value
