"""What AICMO is set to: one TOML file, the usual environment names, and the built-in defaults.

The models below are the validator: an unknown key, a wrong type or an unreadable file gives one sentence naming the
file, the key and the fix. A provider's own block is handed on as it is; the provider's ``Settings`` model validates it
when the workspace is opened. Every value remembers where it came from, for ``aicmo config show``.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from aicmo.errors import ConfigInvalid
from aicmo.sending_config import SendingSettings
from aicmo.text import one_line, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

CAPABILITIES = (
    "lead_enrichment",
    "email_verification",
    "email_sending",
    "crm_sync",
    "reply_fetching",
    "social_posting",
    "website_publishing",
    "webhook_dispatch",
)

ChannelName = Literal["email", "linkedin", "x", "instagram", "website", "bluesky"]

SENDER_ENV = {
    "AICMO_SENDER_NAME": "name",
    "AICMO_SENDER_EMAIL": "email",
    "AICMO_SENDER_POSTAL_ADDRESS": "postal_address",
}


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A provider that the usual environment names describe, where the file has none of its kind."""

    kind: str
    """Also the provider's name."""
    capabilities: tuple[str, ...]
    needs: str
    """Without this name there is no such provider."""
    settings: Mapping[str, str]
    """Environment name -> key of the block."""
    secret: str
    """The environment name that holds the secret, and the key that points at it."""
    secret_key: str


FROM_ENVIRONMENT = (
    FromEnvironment(
        "smtp",
        ("email_sending",),
        "SMTP_HOST",
        {"SMTP_HOST": "host", "SMTP_PORT": "port", "SMTP_SECURITY": "security", "SMTP_USERNAME": "username"},
        "SMTP_PASSWORD",
        "password_env",
    ),
    FromEnvironment(
        "imap",
        ("reply_fetching",),
        "IMAP_HOST",
        {"IMAP_HOST": "host", "IMAP_PORT": "port", "IMAP_SECURITY": "security", "IMAP_USERNAME": "username"},
        "IMAP_PASSWORD",
        "password_env",
    ),
    FromEnvironment("apollo", ("lead_enrichment",), "APOLLO_API_KEY", {}, "APOLLO_API_KEY", "api_key_env"),
    FromEnvironment(
        "dropcontact",
        ("lead_enrichment", "email_verification"),
        "DROPCONTACT_API_KEY",
        {},
        "DROPCONTACT_API_KEY",
        "api_key_env",
    ),
    FromEnvironment(
        "airtable",
        ("crm_sync",),
        "AIRTABLE_API_KEY",
        {"AIRTABLE_BASE_ID": "base_id"},
        "AIRTABLE_API_KEY",
        "api_key_env",
    ),
)
"""In the order in which they serve a capability that the file gives no chain."""

SECRET_KEYS = frozenset({"password", "api_key"})
"""The keys of a provider's block that hold a secret itself; ``Config`` carries them as ``SecretStr``."""


def _hidden(block: dict[str, Any]) -> dict[str, Any]:
    """So that no traceback or repr of a configuration shows a secret."""
    return {
        key: SecretStr(value) if key in SECRET_KEYS and isinstance(value, str) else value
        for key, value in block.items()
    }


LONGEST_TOKEN = 40
"""Characters of a delivery's token: of campaign ten million and delivery a hundred billion."""
_HTTPS_PAGE = re.compile(r"https://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?/[!#-;=?-Z_a-z~-]{0,600}")
"""With a token in it, still one line of a header (RFC 5322 2.1.1)."""
_DOMAIN_NAME = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")


def _domain_name(value: str) -> str:
    if value and not _DOMAIN_NAME.fullmatch(value.lower()):
        raise ValueError("it is no name in DNS, such as example.com")
    return value.lower()


PlainLine = Annotated[str, AfterValidator(lambda value: one_line(value, limit=500))]


class Sender(BaseModel):
    """Who writes: in every message's From, and in the footer the law asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: PlainLine = ""
    """The name people see beside the address."""
    email: PlainLine = ""
    """The From address, which also reads the replies."""
    postal_address: PlainLine = ""
    """A street address; commercial mail has to carry one (CAN-SPAM, 15 U.S.C. 7704)."""
    reply_to: PlainLine = ""
    """Where replies go, if not to ``email``."""


class HealthSettings(BaseModel):
    """How often providers are asked how they are, and how long the answer counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check_interval_seconds: int = Field(default=300, ge=10, le=86_400)
    """Between the app's free checks of each provider; also those of ``aicmo health --watch``."""
    stale_after_seconds: int = Field(default=3600, ge=10)
    """What was seen longer ago says nothing of now: the status is then unknown."""


class TodaySettings(BaseModel):
    """What the list of the day shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    no_touch_days: int = Field(default=30, ge=1, le=3650)
    """Whoever is in touch with us and was not heard of for so long is shown."""


class EnrichmentSettings(BaseModel):
    """How providers are asked about people."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reenrich_after_days: int = Field(default=90, ge=0, le=3650)
    """So long what a provider said of somebody counts, a miss too; until then it is not asked about them again."""
    reverify_after_days: int = Field(default=90, ge=0, le=3650)
    """The same for the verdict on an address."""
    parallel: bool = False
    """Ask all providers of the chain about everybody, not only about whom those before them do not know."""
    batches_at_once: int = Field(default=16, ge=1, le=64)
    """On their way to each provider at the same time. A kill leaves so many batches unknown at the most."""


class Utm(BaseModel):
    """Campaign parameters that are added to the links of messages, so that the website's own figures name the mail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: PlainLine = Field(default="newsletter", min_length=1)
    medium: PlainLine = Field(default="email", min_length=1)
    campaign: PlainLine | None = Field(default=None, min_length=1)
    """Left out: the campaign's own name."""
    content: PlainLine | None = Field(default=None, min_length=1)
    """Left out: the variant, where there are several."""


class Links(BaseModel):
    """What is done with the links of messages, and where people unsubscribe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    utm: Utm | None = None
    """Left out: links stay as they are written."""
    unsubscribe_email: PlainLine = ""
    """Where unsubscribes are read; ``{token}`` in it where the server takes addresses with a ``+`` part. Left out:
    where replies are read."""
    unsubscribe_url: PlainLine = ""
    """A page of the person's own that takes a One-Click POST (RFC 8058)."""

    @field_validator("unsubscribe_email")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        local, _, domain = value.rpartition("@")
        if value and (not local or not domain or " " in value):
            raise ValueError("it is no e-mail address, such as unsubscribe+{token}@example.com")
        if value.count("{token}") > 1 or "{token}" in domain:
            raise ValueError("{token} may stand in it once, before the @")
        if len(local.replace("{token}", "x" * LONGEST_TOKEN)) > 64:
            raise ValueError("with a token in it, more than 64 characters stand before the @ (RFC 5321 4.5.3.1.1)")
        return value

    @field_validator("unsubscribe_url")
    @classmethod
    def _is_a_page(cls, value: str) -> str:
        if value and not _HTTPS_PAGE.fullmatch(value.replace("{token}", "~")):
            raise ValueError("it is no https address without spaces, such as https://example.com/u/{token}")
        if value and value.count("{token}") != 1:
            raise ValueError("{token}, which says who unsubscribes, has to stand in it once")
        return value


class Dkim(BaseModel):
    """Signing our own mail, for who runs the relay that it goes through; providers sign what they are given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domain: Annotated[str, AfterValidator(_domain_name)] = ""
    """The sender's; left out: nothing is signed."""
    selector: Annotated[str, AfterValidator(_domain_name)] = "aicmo"
    """The public key stands in DNS at ``SELECTOR._domainkey.DOMAIN``."""
    private_key_file: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    """PEM, RSA or Ed25519, readable by its owner alone."""
    private_key_env: str | None = None
    private_key_cmd: list[str] | None = None
    """A program that prints it; all of its output counts."""


class ChannelSettings(BaseModel):
    """What is otherwise on a channel than everybody has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int | None = Field(default=None, ge=1, le=1_000_000)
    """Characters of a post, counted as the channel counts; an X Premium account, say, takes 25,000."""


class Config(BaseModel):
    """The whole configuration, validated but for the providers' own blocks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: Sender = Sender()
    health: HealthSettings = HealthSettings()
    today: TodaySettings = TodaySettings()
    enrichment: EnrichmentSettings = EnrichmentSettings()
    sending: SendingSettings = SendingSettings()
    links: Links = Links()
    dkim: Dkim = Dkim()
    channels: dict[ChannelName, ChannelSettings] = Field(default_factory=dict)
    chains: dict[str, list[str]] = Field(default_factory=dict)
    """Capability -> provider names, first choice first."""
    providers: dict[str, Annotated[dict[str, Any], AfterValidator(_hidden)]] = Field(default_factory=dict)
    """Provider name -> its block, as written but for the secrets. ``kind`` says which adapter reads it."""

    _file: Path | None = None
    _origins: dict[str, str] = {}

    @property
    def file(self) -> Path | None:
        """The file that was read; ``None`` when there is none."""
        return self._file

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from: a file, an environment name, or ``default``."""
        return self._origins.get(key, "default")

    def where(self, key: str) -> str:
        """Where a person has to look for a dotted key that is wrong, or missing."""
        return self._origins.get(key) or (str(self.file) if self.file else "The environment")


def load_config(file: Path, *, required: bool = False, environ: Mapping[str, str] = os.environ) -> Config:
    """Read ``file`` and the environment. The environment wins over the file.

    A missing file is an empty one, unless ``required`` (the person named it). Raises ``ConfigInvalid``.
    """
    values = _read_toml(file, required=required)
    origins = {key: str(file) for key in _leaves(values)}
    _apply_environment(values, origins, environ)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise config_error(error, Config, where=str(file)) from None
    config._file = file if file.exists() else None
    config._origins = origins
    _check_references(config, file)
    _check_privacy(config, file)
    return config


def config_error(error: ValidationError, model: type[BaseModel], *, where: str, prefix: str = "") -> ConfigInvalid:
    """The first fault of a validation as one sentence naming file (or environment), key and fix."""
    fault = error.errors(include_url=False)[0]
    key = one_line(prefix + ".".join(str(part) for part in fault["loc"]), limit=120)
    if fault["type"] == "extra_forbidden":
        known = _known_keys(model, fault["loc"][:-1])
        near = get_close_matches(str(fault["loc"][-1]), known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
        return ConfigInvalid(f"{where}: {key} is not a setting.", hint=hint)
    if fault["type"] == "missing":
        return ConfigInvalid(f"{where}: {key} is missing.", hint="config.example.toml shows it.")
    # The value itself could be a secret, so only its type is named.
    return ConfigInvalid(f"{where}: {key}: {_complaint(fault)}.", hint="config.example.toml shows every key.")


def _complaint(fault: ErrorDetails) -> str:
    text = one_line(fault["msg"]).removeprefix("Value error, ").rstrip(".")
    given = type(fault["input"]).__name__
    return (
        f"{text[0].lower()}{text[1:]} (a {given} is given)" if "type" in fault["type"] else text[0].lower() + text[1:]
    )


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys of ``model``, or of the model that sits in it at ``path``."""
    for part in path:
        kind = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        tables = [it for it in (kind, *get_args(kind)) if isinstance(it, type) and issubclass(it, BaseModel)]
        if not tables:
            return []
        model = tables[0]
    return sorted(model.model_fields)


def _read_toml(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        if required:
            raise ConfigInvalid(
                f"There is no configuration file {file}.", hint="Name another with --config, or run: aicmo init"
            ) from None
        return {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{file} is not valid TOML: {error}.", hint="Mend that line.") from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{file} is not UTF-8 text.", hint="Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigInvalid(f"{file} cannot be read: {error.strerror}.", hint=f"Try: chmod 600 {file}") from None


def _apply_environment(values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str]) -> None:
    """Lay the environment's values over the file's. Tables of a wrong type are left for the validator to name."""
    sender = values.setdefault("sender", {})
    for name, key in SENDER_ENV.items():
        if environ.get(name) and isinstance(sender, dict):
            sender[key] = environ[name]
            origins[f"sender.{key}"] = f"environment {name}"

    providers = values.setdefault("providers", {})
    chains = values.setdefault("chains", {})
    if not isinstance(providers, dict) or not isinstance(chains, dict):
        return
    kinds = {block.get("kind") for block in providers.values() if isinstance(block, dict)}
    from_file = set(chains)
    for described in FROM_ENVIRONMENT:
        name = described.kind
        if not environ.get(described.needs) or name in providers or name in kinds:
            continue
        providers[name], where = _from_environment(described, environ)
        origins |= {f"providers.{name}.{key}": f"environment {source}" for key, source in where.items()}
        for capability in described.capabilities:
            if capability not in from_file:
                chains.setdefault(capability, []).append(name)
                origins[f"chains.{capability}"] = f"environment {described.needs}"


def _from_environment(described: FromEnvironment, environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The provider's block, and for each of its keys the environment name it came from."""
    block: dict[str, Any] = {"kind": described.kind}
    where = {"kind": described.needs}
    for name, key in described.settings.items():
        if given := environ.get(name):
            block[key] = int(given) if key == "port" and given.isdecimal() else given
            where[key] = name
    if environ.get(described.secret):
        block[described.secret_key] = described.secret  # its name, not what it holds
        where[described.secret_key] = described.secret
    return block, where


def _check_references(config: Config, file: Path) -> None:
    for capability, names in config.chains.items():
        if capability not in CAPABILITIES and not capability.startswith("social_posting."):
            near = get_close_matches(capability, CAPABILITIES, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(CAPABILITIES)}."
            raise ConfigInvalid(f"{file}: chains.{one_line(capability, limit=60)} is not a capability.", hint=hint)
        for name in names:
            if name not in config.providers:
                near = get_close_matches(name, config.providers, n=1)
                hint = f"Did you mean {near[0]}?" if near else f"Add a [providers.{one_line(name, limit=60)}] block."
                raise ConfigInvalid(f"{file}: chains.{capability} names {shown(name)}, which is not there.", hint=hint)
        if len(set(names)) != len(names):
            raise ConfigInvalid(
                f"{file}: chains.{capability} names a provider twice.", hint="Name each once, first choice first."
            )


def _check_privacy(config: Config, file: Path) -> None:
    """A file that holds a password must be its owner's alone."""
    holds_secret = any(SECRET_KEYS & block.keys() for block in config.providers.values())
    if holds_secret and file.exists() and file.stat().st_mode & 0o077:
        raise ConfigInvalid(
            f"{file} holds a password and others can read it.",
            hint=f"Run: chmod 600 {file} — or use password_env or password_cmd.",
        )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys of everything that is not a table."""
    keys: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict):
            keys += _leaves(value, f"{prefix}{key}.")
        else:
            keys.append(prefix + key)
    return keys
