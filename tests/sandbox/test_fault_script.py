from __future__ import annotations

import json

import pytest
from hand_clock import HandClock

from aicmo.errors import InvalidInput
from aicmo.sandbox.faults import HTTP_SERVERS, SERVERS, Fault, FaultScript, parse_faults


def test_the_first_rule_that_fits_happens_and_is_used_up() -> None:
    busy, shut = Fault("mail", "reply", reply="451 busy", times=2), Fault("mail", "drop", times=1)
    script = FaultScript([busy, shut])

    assert [script.pick("smtp-a", "mail") for _ in range(4)] == [busy, busy, shut, None]


def test_a_rule_without_times_always_happens() -> None:
    script = FaultScript([Fault("mail", "drop")])

    assert all(script.pick("smtp-b", "mail") for _ in range(100))


def test_a_rule_is_for_its_server_phase_and_recipient_only() -> None:
    script = FaultScript([Fault("rcpt", "drop", server="smtp-a", recipient="*@Bad.example")])

    assert script.pick("smtp-b", "rcpt", "x@bad.example") is None
    assert script.pick("smtp-a", "data", "x@bad.example") is None
    assert script.pick("smtp-a", "rcpt", "x@good.example") is None
    assert script.pick("smtp-a", "rcpt", "X@bad.example") is not None


def test_after_data_a_rule_fits_when_one_of_the_recipients_does() -> None:
    script = FaultScript([Fault("dot", "drop", recipient="b@*")])

    assert script.pick("smtp-a", "dot", "a@x.example", "b@x.example") is not None


def test_a_rule_holds_from_after_s_until_before_until_s() -> None:
    clock = HandClock()
    script = FaultScript([Fault("mail", "drop", after_s=5, until_s=10)], clock=clock)

    held = []
    for clock.at in (1000.0, 1004.9, 1005.0, 1009.9, 1010.0):
        held.append(script.pick("smtp-a", "mail") is not None)

    assert held == [False, False, True, True, False]
    assert script.remaining() == []


def test_refusing_follows_its_window_and_names_the_next_change() -> None:
    clock = HandClock()
    script = FaultScript([Fault("connect", "refuse", server="smtp-a", after_s=2, until_s=6)], clock=clock)

    assert (script.refuses("smtp-a"), script.next_change_s()) == (False, 2)
    clock.at += 2
    assert (script.refuses("smtp-a"), script.next_change_s()) == (True, 4)
    assert not script.refuses("smtp-b")
    clock.at += 4
    assert (script.refuses("smtp-a"), script.next_change_s()) == (False, None)


def test_a_rule_for_all_is_for_those_that_know_its_phase_and_action() -> None:
    script = FaultScript([Fault("connect", "reply", reply="421 busy"), Fault("auth", "drop"), Fault("request", "hang")])

    def suffers(phase: str) -> list[str]:
        return [server for server in SERVERS if script.pick(server, phase, "/path")]

    assert suffers("connect") == ["smtp-a", "smtp-b"]
    assert suffers("auth") == ["smtp-a", "smtp-b", "imap"]
    assert suffers("request") == [*HTTP_SERVERS]


def test_a_rule_may_be_for_some_paths_only() -> None:
    script = FaultScript([Fault("request", "drop", path="*/People/match")])

    assert script.pick("apollo", "request", "/api/v1/auth/health") is None
    assert script.pick("apollo", "request", "/api/v1/people/match") is not None


def test_a_script_survives_json() -> None:
    faults = (
        Fault("rcpt", "reply", server="smtp-b", reply="550 5.1.1 nobody", recipient="a*", times=3),
        Fault("body", "drop", body_bytes=10, until_s=1.5),
        Fault("request", "reply", server="apollo", status=429, headers={"retry-after": "7"}, body="{}", path="*/match"),
        Fault("connect", "reply", server="imap", reply="* BYE busy"),
    )

    assert parse_faults(json.loads(json.dumps([fault.as_dict() for fault in faults]))) == faults


@pytest.mark.parametrize(
    "rules",
    [
        {},
        ["mail"],
        [{"phase": "mail"}],
        [{"phase": "mail", "action": "drop", "colour": "red"}],
        [{"phase": "tea", "action": "drop"}],
        [{"phase": "mail", "action": "explode"}],
        [{"phase": "mail", "action": "drop", "server": "smtp-c"}],
        [{"phase": "mail", "action": "refuse"}],
        [{"phase": "connect", "action": "refuse", "times": 1}],
        [{"phase": "mail", "action": "reply"}],
        [{"phase": "mail", "action": "drop", "reply": "421 bye"}],
        [{"phase": "mail", "action": "reply", "reply": "421 bye\r\nMAIL FROM:<x>"}],
        [{"phase": "mail", "action": "drop", "recipient": "a@b.example"}],
        [{"phase": "mail", "action": "drop", "times": 0}],
        [{"phase": "mail", "action": "drop", "times": True}],
        [{"phase": "mail", "action": "slow", "seconds": -1}],
        [{"phase": "mail", "action": "slow", "seconds": "1"}],
        [{"phase": "mail", "action": "drop", "after_s": 2, "until_s": 1}],
        [{"phase": "mail", "action": "drop", "server": "apollo"}],
        [{"phase": "request", "action": "drop", "server": "smtp-a"}],
        [{"phase": "request", "action": "cut"}],
        [{"phase": "mail", "action": "huge"}],
        [{"phase": "request", "action": "reply"}],
        [{"phase": "request", "action": "reply", "status": 42}],
        [{"phase": "request", "action": "reply", "reply": "451 busy"}],
        [{"phase": "request", "action": "drop", "status": 500}],
        [{"phase": "request", "action": "reply", "status": 500, "headers": {"a": "b\r\nc: d"}}],
        [{"phase": "request", "action": "reply", "status": 500, "headers": ["a"]}],
        [{"phase": "request", "action": "drop", "recipient": "a@b.example"}],
        [{"phase": "mail", "action": "drop", "path": "/x"}],
        [{"phase": "connect", "action": "reply", "server": "apollo", "reply": "421 bye"}],
        [{"phase": "connect", "action": "reply", "server": "imap", "reply": "421 bye"}],
        [{"phase": "auth", "action": "reply", "server": "smtp-a", "reply": "NO later"}],
        [{"phase": "response", "action": "huge", "megabytes": 0}],
    ],
    ids=repr,
)
def test_a_rule_that_makes_no_sense_is_refused(rules: object) -> None:
    with pytest.raises(InvalidInput):
        parse_faults(rules)
