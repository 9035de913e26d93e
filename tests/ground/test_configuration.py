"""The configuration: what is refused says file, key and fix; what is in force says where it came from."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.config import FROM_ENVIRONMENT, Config, load_config
from aicmo.errors import ConfigInvalid
from aicmo.first_config import PROVIDER, Answers, Value, as_toml
from aicmo.paths import Paths
from aicmo.text import one_line
from aicmo.workspace import open_workspace, provider_settings

SMTP = '[providers.smtp-main]\nkind = "smtp"\nhost = "h.example"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def written(file: Path, text: str | bytes) -> Path:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(0o600)
    return file


def refused(file: Path, **environ: str) -> ConfigInvalid:
    """The error of loading ``file`` and of every provider in it."""
    with pytest.raises(ConfigInvalid) as raised:
        config = load_config(file, required=True, environ=environ)
        for name in config.providers:
            provider_settings(config, name)
    assert raised.value.exit_code == 6
    assert raised.value.hint
    assert "\n" not in raised.value.message
    return raised.value


WRONG = [
    ('[sender]\nnmae = "x"', ["sender.nmae", "not a setting"], "name"),
    ("[chain]", ["chain", "not a setting"], "chains"),
    ("zzz = 1", ["zzz"], "sender"),
    ("[sender]\nname = 3", ["sender.name", "string"], "config.example.toml"),
    ("sender = 3", ["sender"], "config.example.toml"),
    ("chains = 3", ["chains"], "config.example.toml"),
    ("providers = 3", ["providers"], "config.example.toml"),
    ("[providers]\nx = 3", ["providers.x"], "config.example.toml"),
    ('[chains]\nemail_sending = "smtp-main"', ["chains.email_sending"], "config.example.toml"),
    ("[chains]\nemail_sendin = []", ["chains.email_sendin", "capability"], "email_sending"),
    (SMTP + '[chains]\nemail_sending = ["smtp-mian"]', ["email_sending", "smtp-mian"], "smtp-main"),
    ('[chains]\nemail_sending = ["nothing"]', ["email_sending", "nothing"], "[providers.nothing]"),
    (SMTP + '[chains]\nemail_sending = ["smtp-main", "smtp-main"]', ["email_sending", "twice"], "once"),
    (SMTP + "prot = 25", ["providers.smtp-main.prot"], "port"),
    (SMTP + "limits = { secnd = 1 }", ["providers.smtp-main.limits.secnd"], "second"),
    (SMTP + 'port = "x"', ["providers.smtp-main.port", "integer"], "config.example.toml"),
    (SMTP + "port = 0", ["providers.smtp-main.port"], "config.example.toml"),
    (SMTP + 'security = "ssl"', ["providers.smtp-main.security", "starttls"], "config.example.toml"),
    ('[providers.x]\nkind = "smtp"', ["providers.x.host", "missing"], "config.example.toml"),
    ("[providers.x]", ["providers.x.kind", "missing"], "smtp"),
    ('[providers.x]\nkind = "pigeon"', ["providers.x.kind", "pigeon"], "smtp"),
    ("a = 1 2", ["not valid TOML", "line 1"], "line"),
]


@pytest.mark.parametrize(("text", "named", "hint"), WRONG, ids=[row[0].replace("\n", " ") for row in WRONG])
def test_what_is_wrong_is_named_with_file_key_and_fix(text: str, named: list[str], hint: str, file: Path) -> None:
    error = refused(written(file, text))
    assert all(each in error.message for each in (str(file), *named)), error.message
    assert hint in error.hint


def test_a_hostile_key_cannot_act_in_the_message(file: Path) -> None:
    error = refused(written(file, '"\\u001b[2J\\nx" = 1'))
    assert "\x1b" not in error.message


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    assert "aicmo init" in refused(file).hint
    assert "UTF-8" in refused(written(file, b'[sender]\nname = "\xff"')).message
    file.unlink()
    file.mkdir()
    assert str(file) in refused(file).message


def test_a_byte_order_mark_does_no_harm(file: Path) -> None:
    assert load_config(written(file, b'\xef\xbb\xbf[sender]\nname = "Ada"'), environ={}).sender.name == "Ada"


def test_a_value_of_a_wrong_type_is_not_repeated_because_it_may_be_a_secret(file: Path) -> None:
    error = refused(written(file, SMTP + "password = 4815162342"))
    assert "providers.smtp-main.password" in error.message and "4815162342" not in error.message + error.hint


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_password_in_a_file_that_others_can_read_is_refused(mode: int, file: Path) -> None:
    written(file, SMTP + 'password = "canary"').chmod(mode)
    error = refused(file)
    assert "chmod 600" in error.hint and "canary" not in error.message + error.hint
    written(file, SMTP + 'password_env = "X"').chmod(mode)
    load_config(file, environ={})


def test_the_environment_wins_over_the_file_and_both_are_remembered(file: Path) -> None:
    written(file, '[sender]\nname = "File"\nemail = "file@a.example"')
    config = load_config(file, environ={"AICMO_SENDER_EMAIL": "env@a.example"})
    assert (config.sender.name, config.sender.email) == ("File", "env@a.example")
    assert config.origin("sender.name") == str(file)
    assert config.origin("sender.email") == "environment AICMO_SENDER_EMAIL"
    assert config.origin("sender.reply_to") == "default"


def test_the_usual_smtp_names_work_without_a_file(file: Path) -> None:
    environ = {
        "SMTP_HOST": "h.example",
        "SMTP_PORT": "465",
        "SMTP_SECURITY": "tls",
        "SMTP_USERNAME": "ada",
        "SMTP_PASSWORD": "canary",
    }
    config = load_config(file, environ=environ)
    assert config.file is None
    assert config.chains == {"email_sending": ["smtp"]}
    settings = provider_settings(config, "smtp")
    assert (settings.host, settings.port, settings.security, settings.username) == ("h.example", 465, "tls", "ada")
    assert config.origin("providers.smtp.port") == "environment SMTP_PORT"
    assert "canary" not in repr(config)
    assert "password" not in config.providers["smtp"]


def test_the_usual_smtp_names_leave_a_chain_of_the_file_alone(file: Path) -> None:
    config = load_config(
        written(file, SMTP + '[chains]\nemail_sending = ["smtp-main"]'), environ={"SMTP_HOST": "other.example"}
    )
    assert config.chains == {"email_sending": ["smtp-main"]}


def test_the_usual_names_of_the_other_services_are_enough_without_a_file(file: Path) -> None:
    names = {each.needs: "x" for each in FROM_ENVIRONMENT} | {"AIRTABLE_BASE_ID": "appXXXXXXXXXXXXXX"}
    config = load_config(file, environ=names)
    assert config.chains == {
        "email_sending": ["smtp"],
        "reply_fetching": ["imap"],
        "lead_enrichment": ["apollo", "dropcontact"],
        "email_verification": ["dropcontact"],
        "crm_sync": ["airtable"],
    }
    assert all(provider_settings(config, name) for name in config.providers)
    assert config.origin("chains.lead_enrichment") == "environment DROPCONTACT_API_KEY"


def test_the_files_own_provider_of_a_kind_is_the_only_one(file: Path) -> None:
    written(
        file, '[providers.mine]\nkind = "apollo"\napi_key_env = "APOLLO_API_KEY"\n[chains]\nlead_enrichment = ["mine"]'
    )
    config = load_config(file, environ={"APOLLO_API_KEY": "x"})
    assert (list(config.providers), config.chains) == (["mine"], {"lead_enrichment": ["mine"]})


def test_what_is_wrong_in_the_environment_is_blamed_on_it(file: Path) -> None:
    written(file, "")
    error = refused(file, SMTP_HOST="h.example", SMTP_PORT="many")
    assert "environment SMTP_PORT" in error.message and str(file) not in error.message


def test_no_repr_of_a_configuration_shows_a_secret(file: Path) -> None:
    config = load_config(written(file, SMTP + 'password = "canary"\n[providers.a]\napi_key = "canary"'), environ={})
    assert "canary" not in repr(config) + str(config) + repr(config.model_dump())
    assert provider_settings(config, "smtp-main").password.get_secret_value() == "canary"


def test_a_provider_in_a_chain_it_cannot_serve_is_refused(tmp_path: Path) -> None:
    config = Config.model_validate(
        {"chains": {"crm_sync": ["s"]}, "providers": {"s": {"kind": "smtp", "host": "h.example"}}}
    )
    with (
        open_workspace(Paths(tmp_path / "c.toml", tmp_path / "data"), config) as workspace,
        pytest.raises(ConfigInvalid, match=r"chains\.crm_sync names s"),
    ):
        workspace.chain("crm_sync")


@given(st.text(min_size=1).map(one_line), st.text(st.characters().filter(str.isprintable), min_size=1))
def test_what_is_written_first_is_read_back_to_the_letter(name: str, password: str) -> None:
    server: dict[str, Value] = {"kind": "smtp", "host": "h.example", "port": 25, "password_cmd": [name, password]}
    values = tomllib.loads(as_toml(Answers({"name": name, "email": "a@b.example"}, server, password)))
    assert values["sender"] == {"name": name, "email": "a@b.example"}
    assert values["providers"][PROVIDER] == {**server, "password": password}
    assert values["chains"] == {"email_sending": [PROVIDER]}
