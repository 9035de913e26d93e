"""What every verb has in common: its options, how it is run, how it fails.

A verb is a function that takes a ``Run`` first, and is added to its noun with ``@verb``. Options that all verbs share
may stand anywhere on the line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, TypeVar

import click

from aicmo.errors import AicmoError, Interrupted
from aicmo.paths import Paths, find_paths
from aicmo.text import one_line
from aicmo_tui.cli import NOUNS, output
from aicmo_tui.cli.output import Form

T = TypeVar("T")
_LARGEST = 2**63 - 1
"""The largest integer that SQLite holds."""


class _Number(click.ParamType):
    """A whole number from ``least`` to what the database can hold, which nobody needs to read about in a help text."""

    name = "number"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            self.fail(f"{one_line(str(value), limit=60)!r} is no whole number.", param, ctx)
        if not self.least <= number <= _LARGEST:
            self.fail(f"{number} is too {'small' if number < self.least else 'large'}.", param, ctx)
        return number


ROW_ID, AT_MOST = _Number(0), _Number(1)
PARTLY_FAILED = 5
"""The one exit code that no error has: some of it was done."""


@dataclass(frozen=True, slots=True)
class Run:
    """One call of a verb: what all verbs are told."""

    config: str | None = None
    data_dir: str | None = None
    form: Form = field(default_factory=Form)
    """How the answer is printed."""
    yes: bool = False
    """The person agrees beforehand to what would be asked."""
    quiet: bool = False
    dry_run: bool = False

    @property
    def paths(self) -> Paths:
        return find_paths(config=self.config, data_dir=self.data_dir)

    def load_config(self) -> Any:
        """The configuration in force. Raises ``ConfigInvalid``."""
        from aicmo.config import load_config

        named = bool(self.config or os.environ.get("AICMO_CONFIG"))
        return load_config(self.paths.config_file, required=named)

    def open_workspace(self) -> Any:
        """The workspace; the caller closes it. In a dry run its writes are undone.

        Raises ``ConfigInvalid`` or ``StoreError``.
        """
        from aicmo.workspace import open_workspace

        return open_workspace(self.paths, self.load_config(), rehearsal=self.dry_run)

    def say(self, text: str) -> None:
        """Talk: to stderr, unless ``--quiet``, or a program listens, for which stderr holds an error or nothing."""
        if self.form.is_text and not self.quiet:
            output.say(text)

    def confirm(self, question: str) -> bool:
        """Ask on a terminal; ``--yes`` answers. Without either, nobody agreed. A dry run needs nobody's word."""
        if self.yes or self.dry_run:
            return True
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return click.confirm(question, default=False, err=True)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end. Ctrl-C cancels it, as it may do itself on a signal: both are ``Interrupted``."""
    import asyncio

    try:
        return asyncio.run(work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise Interrupted("Interrupted.", hint="What was not done is kept; aicmo run goes on with it.") from None


_PLAIN_OPTIONS = (
    click.Option(["--config"], metavar="PATH", help="The configuration file (AICMO_CONFIG)."),
    click.Option(["--data-dir"], metavar="DIR", help="Where the database lies (AICMO_DATA_DIR)."),
    click.Option(["--yes"], is_flag=True, help="Agree beforehand to what would be asked."),
    click.Option(["--quiet"], is_flag=True, help="No talk on stderr but errors."),
    click.Option(["--no-color"], is_flag=True, help="No colour (NO_COLOR)."),
    click.Option(["--json"], metavar="[=FIELD,…]", default=None, help="One JSON document on stdout."),
)
_LIST_OPTIONS = (
    click.Option(["--ndjson"], is_flag=True, help="One JSON object a line."),
    click.Option(["--csv"], is_flag=True, help="CSV with a header."),
)
_DRY_RUN = click.Option(["--dry-run"], is_flag=True, help="Say what would be done, and change nothing.")
_FAILURE_CODE = "aicmo.failure_code"
_SHARED = ("config", "data_dir", "yes", "quiet", "no_color", "json", "ndjson", "csv", "dry_run")


class _Verb(click.Command):
    """A command with the shared options, which hands its function a ``Run``."""

    failure_code: int | None = None
    """What each of its failures exits with; ``None``: what the failure says."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options first, then everything else: no option is short but -h, so ``-stage:new`` is a term of a query."""
        if self.failure_code is not None:
            ctx.meta[_FAILURE_CODE] = self.failure_code
        valued = {
            name for each in self.params if isinstance(each, click.Option) and not each.is_flag for name in each.opts
        }
        options: list[str] = []
        words: list[str] = []
        rest = iter(args)
        for arg in rest:
            if arg == "--":
                words += rest
            elif arg == "--json":  # it may stand alone; without this click would take the next word for its value
                options.append("--json=")
            elif arg in valued:
                value = next(rest, None)
                if value is None:
                    raise click.BadOptionUsage(arg, f"Option {arg!r} requires an argument.", ctx)
                options += [arg, value]
            else:
                (options if arg.startswith("--") or arg == "-h" else words).append(arg)
        return super().parse_args(ctx, [*options, "--", *words])

    def invoke(self, ctx: click.Context) -> Any:
        told = {name: ctx.params.pop(name, None) for name in _SHARED}
        run = _merged(ctx.obj or Run(), told)
        ctx.find_root().obj = ctx.params["run"] = run
        return super().invoke(ctx)


def _merged(run: Run, told: dict[str, Any]) -> Run:
    """What was said before the noun, overlaid with what was said after the verb."""
    if told["no_color"]:
        os.environ["NO_COLOR"] = "1"  # what everything that could colour looks at
    form = run.form
    if told["json"] is not None:
        form = Form("json", tuple(name.strip() for name in told["json"].split(",") if name.strip()))
    elif told["ndjson"] or told["csv"]:
        form = Form("ndjson" if told["ndjson"] else "csv")
    return replace(
        run,
        config=told["config"] or run.config,
        data_dir=told["data_dir"] or run.data_dir,
        form=form,
        yes=bool(told["yes"] or run.yes),
        quiet=bool(told["quiet"] or run.quiet),
        dry_run=bool(told["dry_run"]),
    )


def verb(
    group: click.Group | None = None,
    name: str | None = None,
    *,
    lists: bool = False,
    changes: bool = False,
    failure_code: int | None = None,
    epilog: str | None = None,
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function a verb, of ``group`` or standing alone. ``lists``: its answer is rows. ``changes``: it has
    ``--dry-run``. ``failure_code``: what each of its failures exits with, in place of the usual table."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        # The wall of shared options comes after the verb's own, in help as in mind.
        command = click.command(name or function.__name__.rstrip("_"), cls=_Verb, epilog=epilog)(function)
        command.failure_code = failure_code
        command.params += [*(_LIST_OPTIONS if lists else ()), *((_DRY_RUN,) if changes else ()), *_PLAIN_OPTIONS]
        if group is not None:
            group.add_command(command)
        return command

    return decorate


class _Root(click.Group):
    """The nouns of ``NOUNS``, each loaded when it is called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        head: list[str] = []
        rest = list(args)
        while rest and rest[0].startswith("-"):  # only what stands before the noun is ours
            head.append("--json=" if rest[0] == "--json" else rest[0])
            if rest.pop(0) in ("--config", "--data-dir") and rest:
                head.append(rest.pop(0))
        return super().parse_args(ctx, head + rest)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. What nobody foresaw becomes one sentence, its traceback goes to the log."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            return 0  # whoever read our output has seen enough (`| head`)
        except (click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # the last net: a person gets a sentence, the log the traceback
            told = (
                error if isinstance(error, AicmoError | click.ClickException) else unexpected(error, ctx.obj or Run())
            )
            told.exit_code = ctx.meta.get(_FAILURE_CODE, told.exit_code)
            raise told from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        module, _, name = NOUNS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


def _root(ctx: click.Context, version: bool, **told: Any) -> None:
    """The marketing department of one person, in a terminal. Without a verb: open the app."""
    if version:
        from importlib.metadata import version as installed

        output.line(f"aicmo {installed('aicmo')}")
        ctx.exit(0)
    ctx.obj = _merged(Run(), {**dict.fromkeys(_SHARED), **told})
    if ctx.invoked_subcommand is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            output.say(ctx.get_help())
            ctx.exit(2)
        from aicmo_tui.cli.app import open_app

        open_app(ctx.obj)


root = _Root(
    "aicmo",
    callback=click.pass_context(_root),
    invoke_without_command=True,
    params=[click.Option(["--version"], is_flag=True, help="Say the version."), *_PLAIN_OPTIONS],
    help=_root.__doc__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code. Errors are told on stderr, as JSON where ``--json`` was asked for."""
    as_json = any(a == "--json" or a.startswith("--json=") or a == "--ndjson" for a in arguments)
    try:
        code = root.main(list(arguments), prog_name="aicmo", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except AicmoError as error:
        output.error(error.as_dict(), as_json)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        output.say(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f"See: {context.command_path if context else 'aicmo'} --help"
        output.error({"code": "usage", "message": error.format_message(), "retryable": False, "hint": hint}, as_json)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.error(Interrupted("Interrupted.").as_dict(), as_json)
        return Interrupted.exit_code


def unexpected(error: Exception, run: Run) -> AicmoError:
    """What a person is told of a fault of ours. Whoever mends it finds the traceback in the log, or with
    ``AICMO_DEBUG=1`` on stderr."""
    from aicmo.log import logging_to

    message = f"This should not have happened: {type(error).__name__}: {one_line(str(error), limit=200)}"
    if os.environ.get("AICMO_DEBUG"):
        import traceback

        output.say("".join(traceback.format_exception(error)))
        return AicmoError(message)
    try:
        with logging_to(run.paths.log_file) as log:
            log.error("unforeseen", exc_info=error)
    except (AicmoError, OSError):  # no place to write it down
        return AicmoError(message, hint="Say AICMO_DEBUG=1 before the command to see more.")
    return AicmoError(message, hint=f"More is written in {run.paths.log_file}.")
