"""``aicmo config``: what is in force, and where it came from."""

from __future__ import annotations

from typing import Any

import click

from aicmo.secrets import MASK
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, verb


@click.group()
def config() -> None:
    """What AICMO is set to."""


@verb(config, lists=True)
def show(run: Run) -> None:
    """Every value in force, with where it came from; secrets are masked."""
    from aicmo.config import SECRET_KEYS

    loaded = run.load_config()
    found: list[dict[str, Any]] = []
    for key, value in _flat(
        {
            "sender": loaded.sender.model_dump(),
            "health": loaded.health.model_dump(),
            "chains": loaded.chains,
            "providers": _effective(loaded),
        }
    ):
        name = key.rpartition(".")[2]
        if name in SECRET_KEYS and value:
            value = MASK
        elif name == "url":
            value = _without_path(str(value))
        found.append({"key": key, "value": value, "source": loaded.origin(key)})
    paths = run.paths
    found += [
        {"key": "paths.config_file", "value": str(paths.config_file), "source": _place(run.config, "AICMO_CONFIG")},
        {"key": "paths.data_dir", "value": str(paths.data_dir), "source": _place(run.data_dir, "AICMO_DATA_DIR")},
    ]
    if run.form.is_text and loaded.file is None:
        run.say(f"There is no configuration file {paths.config_file}; these are the environment's and the defaults.")
    output.rows(found, run.form, ["key", "value", "source"], empty="Nothing is set.")


@verb(config)
def path(run: Run) -> None:
    """Where the configuration file and the data lie."""
    paths = run.paths
    record = {"config_file": str(paths.config_file), "data_dir": str(paths.data_dir)}
    output.document(record, run.form, [record["config_file"], record["data_dir"]])


def _effective(loaded: Any) -> dict[str, dict[str, Any]]:
    """Every provider's block with its defaults, validated. Raises ``ConfigInvalid``.

    The block of a kind that this version cannot speak to is shown as it is written.
    """
    from aicmo.gateways import PROVIDERS
    from aicmo.workspace import provider_settings

    return {
        name: provider_settings(loaded, name).model_dump(mode="json") if block.get("kind") in PROVIDERS else block
        for name, block in loaded.providers.items()
    }


def _without_path(url: str) -> str:
    """Where it leads. Whoever knows a hook's path may call it."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/{MASK}" if parts.path.strip("/") or parts.query else url


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}.")
        else:
            found.append((prefix + key, value))
    return found


def _place(given: str | None, environment: str) -> str:
    import os

    if given:
        return "command line"
    return f"environment {environment}" if os.environ.get(environment) else "default"
