"""What a check says: what is wrong, and what was looked at and found right.

``KINDS`` is the table of everything that can be wrong; the docs and the tests walk it. An error stops the start, and
nothing that only the network can tell is one: a campaign must be able to start where no name server answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Kind(NamedTuple):
    topic: str
    severity: str
    """``error`` stops the start; ``warning`` does not."""


_ERRORS = {
    "no_subject": "subject",
    "no_body": "text part",
    "no_text_part": "text part",
    "template_invalid": "fields",
    "header_mismatch": "fields",
    "cannot_be_built": "fields",
    "missing_field": "fields",
    "mark_in_post": "fields",
    "over_limit": "length",
    "no_unsubscribe": "unsubscribe",
    "no_postal_address": "address",
    "address_not_shown": "address",
    "link_broken": "links",
    "link_unfilled": "links",
    "link_unsafe": "links",
    "sender_not_set": "sender",
    "sender_impersonates": "sender",
    "no_server": "server",
    "empty_audience": "audience",
    "all_suppressed": "audience",
}
_WARNINGS = {
    "subject_shouts": "subject",
    "subject_punctuation": "subject",
    "subject_pretends_reply": "subject",
    "subject_long": "subject",
    "subject_emoji": "subject",
    "subject_money": "subject",
    "subject_words": "subject",
    "no_preheader": "subject",
    "foreign_merge_tag": "fields",
    "not_filled": "fields",
    "link_placeholder": "links",
    "link_to_address": "links",
    "link_shortened": "links",
    "link_text_differs": "links",
    "link_repeated": "links",
    "link_untagged": "links",
    "link_reserved": "links",
    "link_not_clickable": "links",
    "link_dead": "links",
    "link_unanswered": "links",
    "many_hashtags": "hashtags",
    "image_unavailable": "images",
    "image_no_alt": "images",
    "images_only": "images",
    "many_images": "images",
    "faint_text": "colours",
    "faint_in_dark": "colours",
    "image_in_dark": "colours",
    "clipped": "size",
    "too_big": "size",
    "sender_no_name": "sender",
    "free_mail_sender": "sender",
    "no_reply_sender": "replies",
    "replies_unread": "replies",
    "replies_elsewhere": "replies",
    "many_suppressed": "audience",
    "role_addresses": "audience",
    "disposable_addresses": "audience",
    "larger_than_usual": "audience",
    "mailed_lately": "audience",
    "had_enough": "audience",
    "sent_before": "audience",
    "needs_one_click": "unsubscribe",
    "takes_days": "pace",
    "past_start": "schedule",
    "at_night": "schedule",
    "at_weekend": "schedule",
    "nobody_runs": "schedule",
    "sender_domain_gone": "MX",
    "mx_missing": "MX",
    "mx_null": "MX",
    "spf_missing": "SPF",
    "spf_broken": "SPF",
    "spf_open": "SPF",
    "spf_server_not_named": "SPF",
    "dkim_missing": "DKIM",
    "dkim_broken": "DKIM",
    "dkim_revoked": "DKIM",
    "dkim_weak": "DKIM",
    "dkim_other_key": "DKIM",
    "dkim_unaligned": "DKIM",
    "dkim_not_found": "DKIM",
    "dmarc_missing": "DMARC",
    "dmarc_broken": "DMARC",
    "dmarc_refuses": "DMARC",
    "dns_not_asked": "DNS",
}
KINDS = {
    **{code: Kind(topic, "error") for code, topic in _ERRORS.items()},
    **{code: Kind(topic, "warning") for code, topic in _WARNINGS.items()},
}
"""Code of a problem -> what it belongs to, and whether it stops the start. ``docs/sending.md`` says what each means."""

TOPICS = tuple(
    "fields,text part,length,unsubscribe,address,subject,links,hashtags,images,colours,size,sender,server,replies,"
    "audience,pace,schedule,SPF,DKIM,DMARC,MX,DNS".split(",")
)
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    """One of ``KINDS``."""
    severity: str
    message: str
    hint: str = ""
    count: int = 0
    """How many people it concerns; 0 when it is not about people."""
    people: tuple[str, ...] = ()
    """The first of their addresses."""
    query: str = ""
    """A contact query that finds them all; empty where none can."""

    @property
    def topic(self) -> str:
        return KINDS[self.code].topic


def problem(
    code: str, message: str, hint: str = "", *, count: int = 0, people: tuple[str, ...] = (), query: str = ""
) -> Problem:
    """A problem as severe as its kind."""
    return Problem(code, KINDS[code].severity, message, hint, count, people, query)


class Look(NamedTuple):
    """Something that was looked at, or could not be."""

    topic: str
    says: str = ""
    """What was found, in a phrase; or why nobody looked."""
    skipped: bool = False


class Status(NamedTuple):
    """How one topic stands."""

    topic: str
    status: str
    """``ok``, ``warning``, ``error``, or ``skipped``: nobody looked, and ``says`` has the reason."""
    says: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    audience: int = 0
    """Everyone the query selects; 0 also where only the words were looked at."""
    suppressed: int = 0
    """Those among them who will not be written to."""
    problems: tuple[Problem, ...] = ()
    looks: tuple[Look, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the campaign may start."""
        return not self.errors

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(each for each in self.problems if each.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(each for each in self.problems if each.severity == "warning")

    @property
    def topics(self) -> tuple[Status, ...]:
        """Each topic that was looked at, or has a problem, once."""
        worst = {each.topic: each.severity for each in (*self.warnings, *self.errors)}
        looks = {each.topic: each for each in self.looks}
        found = []
        for topic in TOPICS:
            look = looks.get(topic)
            if topic in worst:
                found.append(Status(topic, worst[topic], look.says if look and not look.skipped else ""))
            elif look is not None:
                found.append(Status(topic, "skipped" if look.skipped else "ok", look.says))
        return tuple(found)


def joined(reports: Iterable[CheckReport]) -> CheckReport:
    """Several looks at the same campaign as one."""
    every = list(reports)
    return CheckReport(
        max((each.audience for each in every), default=0),
        max((each.suppressed for each in every), default=0),
        tuple(dict.fromkeys(found for each in every for found in each.problems)),
        tuple(look for each in every for look in each.looks),
    )
