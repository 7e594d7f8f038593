"""Calls are listed, one is told step by step, and those that are alive can be steered."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from callctl.cli import call
from callctl.cli.stage import open_stage
from callctl.model import (
    CallEvent,
    CallRecord,
    CallState,
    OfferRecord,
    OfferResult,
    Outcome,
    QueueSettings,
    Reason,
)
from tests.cli.conftest import Run
from tests.cli.history import ADA, BOB, CYD, HOSTILE, NINE, arrival, is_harmless, morning, write


@pytest.fixture(autouse=True)
def history(run: Run) -> None:
    write(Path("callctl.db"), morning())


def test_calls_are_listed_newest_first(run: Run) -> None:
    assert [row["uuid"] for row in run("call", "list", "--json").json] == [CYD, BOB, ADA]
    head, *lines = run("call", "list").out.splitlines()
    assert head.split() == [
        "joined",
        "call",
        "queue",
        "number",
        "dialled",
        "state",
        "reason",
        "target",
        "agent",
        "wait",
        "talk",
        "offers",
    ]
    assert lines[2].split() == [
        "2026-11-22",
        "09:00:00",
        "aaaaaaaa",
        *("caller", "4930111", "ended", "BRIDGED", "1001", "10", "40", "2"),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--live"], [CYD]),
        (["--queue", "sales"], [CYD]),
        (["--agent", "1001"], [ADA]),
        (["--number", "4930222"], [BOB]),
        (["--dialled", "4930555"], [BOB]),
        (["--outcome", "abandoned"], [BOB]),
        (["--reason", "BRIDGED"], [ADA]),
        (["--from", "2026-11-22T09:01"], [CYD, BOB]),
        (["--from", "2026-11-22T10:01+01:00"], [CYD, BOB]),
        (["--to", "2026-11-22T09:01Z"], [ADA]),
        (["--limit", "1"], [CYD]),
        (["--queue", "caller", "--limit", "1"], [BOB]),
        (["--queue", "none"], []),
    ],
)
def test_a_list_can_be_cut_down(run: Run, arguments: list[str], expected: list[str]) -> None:
    assert [row["uuid"] for row in run("call", "list", *arguments, "--json").json] == expected


def test_a_call_is_told_step_by_step(run: Run) -> None:
    assert run("call", "show", ADA).out.splitlines() == [
        f"call {ADA} from Ada 4930111",
        "  visit visit-aaaa, queue caller, switch fs1, source sip_trunk",
        "  2026-11-22T09:00:00.000Z  joined",
        "      +1.000 s  offered: 1002  (busy after 1.0 s, USER_BUSY)",
        "      +3.000 s  chose 1001 by top-down; not 1002: was busy",
        "      +4.000 s  offered: 1001  (answered after 5.0 s)",
        "  ended BRIDGED, hung up by agent, NORMAL_CLEARING, waited 10.0 s, talked 40.0 s with 1001, "
        "on hold 20.0 s",
    ]


def test_each_ring_of_the_same_agent_has_its_own_result(run: Run) -> None:
    rings = [
        OfferRecord(
            id=f"again-{number}",
            call="visit-cccc",
            agent="1001",
            leg_uuid=f"leg-{number}",
            offered_at=NINE + 130 + number * 10,
            ended_at=NINE + 132 + number * 10,
            result=result,
        )
        for number, result in enumerate((OfferResult.NO_ANSWER, OfferResult.REJECTED))
    ]
    events = [
        CallEvent(call="visit-cccc", at=ring.offered_at + 0.1, event="offered", detail="1001")
        for ring in rings
    ]
    write(Path("callctl.db"), [*rings, *events])
    offered = [line for line in run("call", "show", CYD).out.splitlines() if "offered" in line]
    assert [line.partition("(")[2] for line in offered] == ["no-answer after 2.0 s)", "rejected after 2.0 s)"]


@pytest.mark.fault(6)
@pytest.mark.parametrize(
    "arguments", [["show", "dddd"], ["show", "dddd", "--json"], ["list"], ["list", "--json"]]
)
def test_what_a_caller_is_called_cannot_steer_the_terminal(run: Run, arguments: list[str]) -> None:
    eve = arrival("dddddddd-0000-4000-8000-000000000004", NINE + 200, HOSTILE, HOSTILE)
    steps = [
        CallEvent(call=eve.call, at=NINE + 201, event="offered", detail=HOSTILE),
        CallEvent(call=eve.call, at=NINE + 202, event="key", detail=HOSTILE),
    ]
    write(Path("callctl.db"), [CallRecord(arrival=eve, state=CallState.WAITING), *steps])
    ran = run("call", *arguments)
    assert "owned" in ran.out
    assert is_harmless(ran.out)
    if "--json" in arguments:
        assert ran.json[0]["caller_name"] == HOSTILE
    else:
        assert len(ran.out.splitlines()) == (6 if "show" in arguments else 5)


def test_an_error_cannot_steer_the_terminal(run: Run) -> None:
    ran = run("call", "show", HOSTILE)
    assert ran.code == 1
    assert is_harmless(ran.err)


def test_a_call_that_is_alive_has_no_end_yet(run: Run) -> None:
    assert run("call", "show", CYD).out.splitlines()[-1] == "  not ended: waiting"


def test_the_beginning_of_a_uuid_is_enough(run: Run) -> None:
    assert f"call {BOB} from 4930222" in run("call", "show", "bbbbbbbb").out


def test_the_story_as_json_has_offers_and_steps(run: Run) -> None:
    (visit,) = run("call", "show", "aaaaaaaa", "--json").json
    assert (visit["uuid"], visit["skills"]) == (ADA, {"english": 2})
    assert [offer["result"] for offer in visit["offers"]] == ["busy", "answered"]
    assert len(visit["steps"]) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["show", "nobody"], 1, "there is no call 'nobody' in the history"),
        (["list", "--from", "tomorrow-ish"], 2, "'tomorrow-ish' is no time; write 2026-11-22"),
        (["list", "--outcome", "lost"], 2, "'lost' is not one of"),
        (["list", "--limit", "0"], 2, "--limit"),
        (["hangup", ADA], 1, "no server runs on"),
        (["withdraw", ADA], 1, "no server runs on"),
        (["transfer", ADA, "1000"], 1, "no server runs on"),
        (["priority", ADA, "5"], 1, "no server runs on"),
        (["priority", ADA, "much"], 2, "'much' is not a valid float"),
        (["priority", ADA, "-x"], 2, "'-x' is not a valid float"),
        (["priority", ADA, "5", "--soon"], 2, "unexpected extra argument"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    run: Run, arguments: list[str], code: int, expected: str
) -> None:
    ran = run("call", *arguments)
    assert ran.code == code
    assert expected in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["hangup", ADA], f"/api/v1/calls/{ADA}/hangup", {"cause": "NORMAL_CLEARING"}),
        (
            ["hangup", "aaaaaaaa", "--cause", "USER_BUSY"],
            f"/api/v1/calls/{ADA}/hangup",
            {"cause": "USER_BUSY"},
        ),
        (["withdraw", CYD], f"/api/v1/calls/{CYD}/withdraw", None),
        (["priority", "cccc", "300"], f"/api/v1/calls/{CYD}/priority", {"base_score": 300.0}),
        pytest.param(
            ["priority", "cccc", "-30"],
            f"/api/v1/calls/{CYD}/priority",
            {"base_score": -30.0},
            marks=pytest.mark.fault(19.8),
        ),
        (
            ["transfer", CYD, "1000"],
            f"/api/v1/calls/{CYD}/transfer",
            {"extension": "1000", "context": "default"},
        ),
    ],
)
def test_an_order_goes_to_the_server(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], path: str, body: dict[str, object] | None
) -> None:
    posted: list[tuple[str, object]] = []

    class Server:
        def post(self, path: str, body: object) -> None:
            posted.append((path, body))

    monkeypatch.setattr(call, "need_server", lambda _config: Server())
    ran = run("call", *arguments)
    assert (ran.code, ran.err) == (0, "")
    assert arguments[1] in ran.out
    assert posted == [(path, body)]


async def test_what_a_server_refuses_is_said_in_its_words(run: Run, tmp_path: Path) -> None:
    await trio.Path("other.toml").write_text('[server]\ndatabase = "other.db"\n')
    async with open_stage(tmp_path / "other.db", QueueSettings(name="caller"), seed=1):
        ran = await trio.to_thread.run_sync(run, "call", "hangup", ADA, "--config", "other.toml")
    assert ran.code == 1
    assert ADA in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.fault(22)
def test_the_number_that_was_dialled_is_shown(run: Run) -> None:
    assert "dialled_number 4930555" in run("call", "show", BOB).out
    [row] = run("call", "list", "--dialled", "4930555", "--json").json
    assert (row["uuid"], row["dialled_number"]) == (BOB, "4930555")


@pytest.mark.fault(30)
def test_the_end_of_an_overflow_names_its_target(run: Run) -> None:
    sent_on = CallRecord(
        arrival=arrival("dddddddd-0000-4000-8000-000000000004", NINE + 180, "4930444"),
        state=CallState.ENDED,
        outcome=Outcome.OVERFLOWED,
        reason=Reason.OVERFLOW,
        target="voicemail:1000",
        ended_at=NINE + 190,
    )
    write(Path("callctl.db"), [sent_on])
    assert "ended OVERFLOW, on to voicemail:1000" in run("call", "show", "dddd").out
    [row] = run("call", "list", "--reason", "OVERFLOW", "--json").json
    assert row["target"] == "voicemail:1000"
    assert "OVERFLOW  voicemail:1000" in run("call", "list", "--reason", "OVERFLOW").out
