"""Who it comes from, as far as it shows without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aicmo.crm.domains import is_free_mail, registrable
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.preflight.report import Look, Problem, problem
from aicmo.text import shown

_REFUSING = frozenset(
    "gmail.com googlemail.com yahoo.com ymail.com rocketmail.com aol.com icloud.com me.com mac.com mail.ru".split()
)
"""Mail services whose DMARC, or whose own rules, turn away what claims to be from them and is not.

Google: "don't impersonate Gmail From: headers" (https://support.google.com/a/answer/81126). Apple: p=quarantine
(https://support.apple.com/en-us/102322). Yahoo, AOL and mail.ru: p=reject (spamresource.com, April 2014, October 2015;
mail.ru's postmaster pages).
"""
_ITS_SERVERS = {
    "googlemail.com": "gmail.com",
    "ymail.com": "yahoo.com",
    "rocketmail.com": "yahoo.com",
    "icloud.com": "me.com",
    "mac.com": "me.com",
}
"""Of them -> the registrable domain of its servers, where that is another one."""
_MADE_UP = ("example", "test", "invalid", "localhost", "local", "internal", "example.com", "example.net", "example.org")
"""Names that nobody can own: kept for examples, tests and inner networks (RFC 2606, RFC 6761, RFC 6762)."""
_NO_REPLY = ("noreply", "no-reply", "donotreply", "do-not-reply", "no_reply")


@dataclass(frozen=True, slots=True)
class Setting:
    """Who sends, through what, and who reads the answers: what the configuration says."""

    sender: SenderIdentity
    servers: Mapping[str, str] = field(default_factory=dict)
    """Mail server's name in the configuration -> its host; first choice first."""
    mailboxes: Sequence[str] = ()
    """The user names of the accounts that are read for replies."""
    reads_replies: bool = False
    """Whether any account is."""
    unsubscribe_email: str = ""
    """Where unsubscribes are read, if not where replies are."""

    @property
    def domain(self) -> str:
        return self.sender.email.rpartition("@")[2].lower()


def is_made_up(domain: str) -> bool:
    """Whether a lower-case domain is one that nobody can own, such as those of the demo and the tests."""
    return "." not in domain or any(domain == each or domain.endswith(f".{each}") for each in _MADE_UP)


def sender_problems(setting: Setting) -> tuple[list[Problem], list[Look]]:
    sender, problems = setting.sender, []
    if not sender.email:
        hint = "Set name and email under [sender], or run: aicmo init"
        problems.append(problem("sender_not_set", "No sender is set.", hint))
    else:
        problems += [*_free_mail(setting), *_replies(setting)]
        if not sender.name.strip():
            text = "No sender's name is set, so inboxes show the bare address; filters often hold that against it."
            problems.append(problem("sender_no_name", text, "Set name under [sender]."))
    if not sender.postal_address:
        text = "No postal address is set; commercial mail has to carry one."
        problems.append(problem("no_postal_address", text, "Set postal_address under [sender]."))
    if not setting.servers:
        hint = "Name one under [chains] email_sending, or run: aicmo init"
        problems.append(problem("no_server", "No mail server is configured.", hint))
    looks = [
        Look("sender", sender.email),
        Look("address"),
        Look("server", " then ".join(setting.servers)),
        Look("replies", ", ".join(setting.mailboxes)),
    ]
    return problems, looks


def _free_mail(setting: Setting) -> list[Problem]:
    service = registrable(setting.domain)
    if not is_free_mail(service):
        return []
    own = {service, _ITS_SERVERS.get(service, service)}
    others = [host for host in setting.servers.values() if registrable(host.lower()) not in own]
    if others and service in _REFUSING:
        text = (
            f"{shown(setting.sender.email)} is an address of {service}, and {others[0] or 'your server'} may not send "
            "for it: it would be turned away or taken for spam."
        )
        hint = f"Write from a domain of your own, or send through {service} itself."
        return [problem("sender_impersonates", text, hint)]
    text = f"{service} gives addresses to anybody: it allows few messages a day, and builds no name of your own."
    return [problem("free_mail_sender", text, "Write from a domain of your own.")]


def _replies(setting: Setting) -> list[Problem]:
    sender = setting.sender
    problems = []
    to = sender.reply_to or sender.email
    if to.partition("@")[0].lower() in _NO_REPLY:
        text = f"Replies go to {shown(to)}, which says that nobody reads them."
        problems.append(
            problem("no_reply_sender", text, "An answer is worth more than a click. Set reply_to under [sender].")
        )
    if not setting.reads_replies:
        text = f"AICMO reads no mailbox, so replies, bounces and opt-outs by mail to {shown(to)} are not seen."
        hint = "Name one under [chains] reply_fetching, or write down yourself who opts out: aicmo suppression add"
        problems.append(problem("replies_unread", text, hint))
        return problems
    known = {name.lower() for name in setting.mailboxes if "@" in name}
    domains = {registrable(name.rpartition("@")[2]) for name in known}
    for address in dict.fromkeys((to, setting.unsubscribe_email or to)):
        plain = address.lower().replace("+{token}", "")
        if known and plain not in known and registrable(plain.rpartition("@")[2]) not in domains:
            text = (
                f"Answers to {shown(address)} may not be seen: the mailbox that is read is {', '.join(sorted(known))}."
            )
            problems.append(problem("replies_elsewhere", text, "Have them forwarded there, or name their mailbox too."))
    return problems
