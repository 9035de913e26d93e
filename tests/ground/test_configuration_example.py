"""``config.example.toml`` is the manual of the configuration: it has to be whole, and true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from aicmo.config import Config, load_config
from aicmo.gateways import PROVIDERS, load
from aicmo.workspace import provider_settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
_HELD_BACK = re.compile(r"^# (?=\w+ = )", re.MULTILINE)


def written_out(tmp_path: Path) -> Path:
    """The example with every line that is held back uncommented."""
    file = tmp_path / "config.toml"
    file.write_text(_HELD_BACK.sub("", EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")
    file.chmod(0o600)
    return file


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        tables = "*." if get_origin(field.annotation) is dict else ""  # each under a name of the person's own
        for kind in (field.annotation, *get_args(field.annotation)):  # a table may be left out
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from keys(kind, f"{prefix}{name}.{tables}")


def has(values: dict[str, Any], key: str) -> bool:
    first, _, rest = key.partition(".")
    if first == "*":
        return any(has(table, rest) for table in values.values())
    return first in values and (not rest or not isinstance(values[first], dict) or has(values[first], rest))


def test_it_loads_as_it_stands_and_written_out(tmp_path: Path) -> None:
    for file in (EXAMPLE, written_out(tmp_path)):
        config = load_config(file, required=True, environ={})
        for name in config.providers:
            provider_settings(config, name)


def test_it_holds_every_key_of_the_configuration(tmp_path: Path) -> None:
    values = tomllib.loads(written_out(tmp_path).read_text(encoding="utf-8"))
    assert not [key for key in keys(Config) if not has(values, key)]


def test_it_holds_every_key_of_every_kind_of_provider(tmp_path: Path) -> None:
    text = written_out(tmp_path).read_text(encoding="utf-8")
    blocks = list(tomllib.loads(text)["providers"].values())
    for kind in PROVIDERS:
        of_this_kind = [block for block in blocks if block["kind"] == kind]
        for key in keys(load(kind).Settings):
            # a key of a small table may stand in the comment beside it
            explained = re.search(rf"^.*\b{key.partition('.')[0]} = .*\b{key.rpartition('.')[2]}\b", text, re.MULTILINE)
            # and those of a table that several kinds have are explained once
            assert explained or any(has(it, key) for it in (blocks if "." in key else of_this_kind)), f"{kind}: {key}"


def test_what_it_says_of_a_key_that_is_left_out_is_what_then_holds(tmp_path: Path) -> None:
    """The values of the lines held back are the defaults, but for the four that have none."""
    shown, out = (load_config(file, environ={}) for file in (EXAMPLE, written_out(tmp_path)))
    left_out = provider_settings(shown, "smtp-main").model_dump()
    said = provider_settings(out, "smtp-main").model_dump()
    assert {key for key in said if said[key] != left_out[key]} == {"password_cmd", "password", "ca_file", "warm_up"}
