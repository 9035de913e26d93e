"""``aicmo init``: from nothing to a configuration that has been tried.

What an option does not say is asked for on a terminal; without one, what is missing is named. The mail server is tried
for real before anything is written. The password is never printed, and never an option: others can read those.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import ApprovalNeeded, AuthNeeded, InvalidInput, ProviderUnavailable
from aicmo.text import one_line
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.first_config import Answers
    from aicmo.gateways.providers.smtp import SmtpProvider

SECURITIES = ("starttls", "tls", "none")
PLACES = ("env", "command", "keyring", "file")


def _address(text: str) -> str:
    from aicmo.crm.address import normalise

    try:
        return normalise(text).email
    except InvalidInput as error:
        raise click.BadParameter(error.message) from None


def _words(command: str) -> list[str]:
    """A command line as the shell would split it; no shell will see it."""
    words = shlex.split(one_line(command))
    if not words:
        raise click.BadParameter("The command is empty.")
    return words


@verb(changes=True)
@click.option("--name", help="The name people see beside your address.")
@click.option("--email", metavar="ADDRESS", type=_address, help="The address you write from.")
@click.option("--postal-address", metavar="TEXT", help="Your street address; commercial mail has to carry one.")
@click.option("--host", help="The mail server.")
@click.option("--port", type=click.IntRange(1, 65535), help="Else the usual one of --security.")
@click.option("--security", type=click.Choice(SECURITIES), help="Else starttls.")
@click.option("--username", help="To log in with; empty for a server that asks for none.")
@click.option("--password-env", metavar="NAME", help="The password is in this environment variable.")
@click.option("--password-cmd", metavar="COMMAND", type=_words, help="The password is what this command prints.")
@click.option(
    "--password-in",
    type=click.Choice(["keyring", "file"]),
    help="Keep the password there: the system's keyring, or the 0600 file. Asked for, or read from stdin.",
)
@click.option("--no-check", is_flag=True, help="Write it without trying the mail server.")
def init(run: Run, no_check: bool, **given: Any) -> None:
    """Ask who you are and how your mail goes out, try it, and write the configuration."""
    from aicmo.first_config import write

    file = run.paths.config_file
    if file.exists() and not run.confirm(f"{file} exists. Put a new one in its place?"):
        raise ApprovalNeeded(
            f"{file} exists, and nobody agreed to replace it.", hint="Say --yes to replace it; a copy is kept."
        )
    answers = _ask({key: one_line(value) if isinstance(value, str) else value for key, value in given.items()})
    provider = _provider(answers)
    checked = None if no_check else _try(run, provider)
    copy = None if run.dry_run else write(file, answers)
    record = {
        "schema": "aicmo.init/1",
        "status": "dry_run" if run.dry_run else "done",
        "config_file": str(file),
        "copy": str(copy) if copy else None,
        "server": "not tried" if checked is None else "ok" if checked else "failed",
    }
    told = {None: "was not tried", True: "answers, and lets you in", False: "did not let you in"}[checked]
    lines = [f"{answers.server['host']} {told}."]
    if run.dry_run:
        lines.append(f"{file} would be written. Nothing was changed.")
    else:
        lines.append(f"{file} is written, for your eyes alone.{f' The one before is {copy}' if copy else ''}")
        lines.append("Next: aicmo contact import people.csv")
    output.document(record, run.form, lines)


# --- asking -----------------------------------------------------------------------------------------------------------


def _ask(given: dict[str, Any]) -> Answers:
    """Everything, from the options, or else from the person. Raises ``click.UsageError`` or ``InvalidInput``."""
    from aicmo.first_config import Answers
    from aicmo.gateways.smtp_settings import DEFAULT_PORTS

    name = _asked(given, "name", "Your name, as people see it")
    email = _asked(given, "email", "The address you write from", kind=_address)
    postal = _asked(given, "postal_address", "Your postal address (commercial mail has to carry one)")
    host = _asked(given, "host", "Mail server", suggested=f"smtp.{email.rpartition('@')[2]}")
    security = _asked(given, "security", "Security", default="starttls", kind=click.Choice(SECURITIES))
    port = _asked(given, "port", "Port", default=DEFAULT_PORTS[security], kind=click.IntRange(1, 65535))
    server = {"kind": "smtp", "host": host, "port": port, "security": security}
    password, in_keyring = None, False
    username = given["username"]
    if username is None and _on_terminal() and click.confirm("Does it ask for a user name?", default=True, err=True):
        username = click.prompt("User name", default=email, err=True)
    if username:
        place, where = _password_place(given)
        server |= {"username": username}
        if place in ("keyring", "file"):
            password, in_keyring = _password(), place == "keyring"
        else:
            server |= where
    return Answers({"name": name, "email": email, "postal_address": postal}, server, password, in_keyring)


def _password_place(given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Which of ``PLACES`` holds the password, and the key that says so in the file."""
    if given["password_env"]:
        return "env", {"password_env": given["password_env"]}
    if given["password_cmd"]:
        return "command", {"password_cmd": given["password_cmd"]}
    if given["password_in"]:
        return given["password_in"], {}
    if not _on_terminal():
        missing = "Missing option '--password-env', '--password-cmd' or '--password-in'."
        raise click.UsageError(missing, click.get_current_context())
    place = click.prompt("Where is the password kept?", type=click.Choice(PLACES), default="keyring", err=True)
    if place == "env":
        return place, {"password_env": click.prompt("Environment variable", default="SMTP_PASSWORD", err=True)}
    if place == "command":
        return place, {"password_cmd": click.prompt("Command that prints it", type=_words, err=True)}
    return place, {}


def _password() -> str:
    if _on_terminal():
        password: str = click.prompt("Password", hide_input=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password or not password.isprintable():
        raise InvalidInput("That is no password.", hint="It is one line of text; without a terminal, on stdin.")
    return password


def _asked(
    given: dict[str, Any], key: str, question: str, *, default: Any = None, suggested: Any = None, kind: Any = None
) -> Any:
    """One answer. ``default`` holds without a terminal, too; ``suggested`` is only for a person to agree with."""
    if given[key]:
        return given[key]
    if _on_terminal():
        return click.prompt(question, default=default or suggested, type=kind, err=True)
    if default is None:
        raise click.UsageError(f"Missing option '--{key.replace('_', '-')}'.", click.get_current_context())
    return default


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


# --- trying -----------------------------------------------------------------------------------------------------------


def _provider(answers: Answers) -> SmtpProvider:
    """The mail server as it will be configured. Raises ``ConfigInvalid`` for what cannot be right."""
    import tomllib

    from pydantic import SecretStr

    from aicmo.config import Config
    from aicmo.first_config import PROVIDER, as_toml
    from aicmo.gateways import load
    from aicmo.workspace import provider_settings, secret_source

    config = Config.model_validate(tomllib.loads(as_toml(answers)))
    block = dict(config.providers[PROVIDER])
    if answers.password:
        block["password"] = SecretStr(answers.password)
    settings = provider_settings(config, PROVIDER)
    provider: SmtpProvider = load("smtp")(PROVIDER, settings, secret=secret_source(PROVIDER, block))
    return provider


def _try(run: Run, provider: SmtpProvider) -> bool:
    """Whether the server lets us in; when not, the person may keep it all the same.

    Raises ``AuthNeeded`` or ``ProviderUnavailable`` when nobody wants that.
    """
    run.say("Trying the mail server …")
    attempt = run_async(provider.check())
    if attempt.outcome == "ok":
        return True
    said = " ".join(part for part in (attempt.code, attempt.detail) if part)
    if _on_terminal():
        output.say(f"It did not work ({attempt.phase}): {said}")
        if click.confirm("Keep these answers all the same?", default=False, err=True):
            return False
    error = AuthNeeded if attempt.outcome == "auth" else ProviderUnavailable
    raise error(
        f"The mail server was tried and did not let us in ({attempt.phase}): {said}",
        hint="Nothing was written. Mend it, or write it untried with --no-check.",
    )
