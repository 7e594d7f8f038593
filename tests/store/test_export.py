"""What other programs get: CSV, JSON, and Asterisk's queue_log."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from callctl.model import (
    AgentState,
    AgentStatus,
    CallEvent,
    CallRecord,
    Fact,
    HungUpBy,
    OfferResult,
    Reason,
)
from callctl.store.export import export_csv, export_json
from callctl.store.loading import open_reader
from callctl.store.queue_log import export_queue_log
from callctl.store.reports import Selection
from tests.store.samples import NOON, database_with, ended, handled, offer, span

EPOCH = int(NOON)
Export = Callable[[sqlite3.Connection, Selection], Iterator[str]]


def exported(path: Path, export: Export, selection: Selection | None = None) -> str:
    with closing(open_reader(path)) as reader:
        return "".join(export(reader, selection or Selection()))


def named(record: CallRecord, name: str) -> CallRecord:
    return evolve(record, arrival=evolve(record.arrival, caller_name=name, skills={"english": 2}))


AWKWARD = 'Müller, "Jo"\nnext|line'


def test_csv_carries_every_column_and_awkward_names(path: Path) -> None:
    database_with(path, named(ended("a", wait=9.5), AWKWARD), ended("b", wait=1, joined_at=NOON + 1))
    rows = list(csv.DictReader(io.StringIO(exported(path, export_csv), newline="")))
    assert [row["id"] for row in rows] == ["a", "b"]
    assert rows[0]["caller_name"] == AWKWARD.replace("\n", " ")
    assert rows[0]["wait_seconds"] == "9.5"
    assert rows[0]["bridged_at"] == ""


def test_json_is_one_list_with_values_where_the_columns_hold_json(path: Path) -> None:
    database_with(path, named(ended("a", wait=9.5), AWKWARD), ended("b", wait=1, joined_at=NOON + 1))
    rows = json.loads(exported(path, export_json))
    assert [row["id"] for row in rows] == ["a", "b"]
    assert rows[0]["caller_name"] == AWKWARD
    assert rows[0]["skills"] == {"english": 2}
    assert rows[0]["bridged_at"] is None


HOSTILE = "\x1b]0;owned\x07\x9b2J\nforged\x85line\u202e"
"""A name that sets a terminal's title, clears it, forges a line, and turns text around."""


@pytest.mark.fault(6)
@pytest.mark.parametrize("export", [export_csv, export_json, export_queue_log])
def test_no_export_steers_a_terminal_or_forges_a_line(path: Path, export: Export) -> None:
    call = named(ended("a", wait=9.5, number=HOSTILE), HOSTILE)
    database_with(path, call, span("1001", NOON, NOON + 1), span("1001", NOON + 1, NOON + 2))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        pause = "UPDATE agent_spans SET status = 'On Break', reason = ? WHERE started_at LIKE '%:01.000Z'"
        connection.execute(pause, (HOSTILE,))
    out = exported(path, export)
    assert "owned" in out
    assert "forged" in out
    assert all(line.isprintable() for line in out.replace("\r\n", "\n").split("\n"))
    assert [line for line in out.splitlines() if line.startswith("forged")] == []
    if export is export_json:
        [row] = json.loads(out)
        assert row["caller_name"] == HOSTILE  # A program reads it as it was.


@pytest.mark.fault(6)
@pytest.mark.parametrize("name", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", " =1+1"])
def test_no_cell_of_an_export_is_a_formula(path: Path, name: str) -> None:
    database_with(path, named(ended("a", wait=9.5, number="+4930123"), name))
    [row] = csv.DictReader(io.StringIO(exported(path, export_csv), newline=""))
    assert row["caller_name"] == "'" + name.replace("\t", " ").replace("\r", " ")
    assert row["caller_number"] == "+4930123"


def test_an_export_of_nothing_is_well_formed(path: Path) -> None:
    database_with(path)
    assert json.loads(exported(path, export_json)) == []
    assert exported(path, export_csv).startswith("id,uuid,")
    assert exported(path, export_queue_log) == ""


def test_an_export_has_only_what_was_selected(path: Path) -> None:
    database_with(path, ended("a", wait=1), ended("b", wait=1, joined_at=NOON + 60))
    (row,) = json.loads(exported(path, export_json, Selection(since=NOON + 60)))
    assert row["id"] == "b"


def entered(record: CallRecord, position: int = 1) -> CallRecord:
    return evolve(record, position_at_entry=position)


def queue_log(path: Path, *facts: Fact) -> list[str]:
    database_with(path, *facts)
    return exported(path, export_queue_log).splitlines()


def test_an_answered_call_enters_rings_connects_and_completes(path: Path) -> None:
    call = entered(handled("a", wait=12.9, talk=100, hold=20, number="0301"), 3)
    assert queue_log(
        path,
        call,
        offer("o1", "a", "anna", OfferResult.NO_ANSWER, at=NOON + 1, ring=5.5),
        evolve(offer("o2", "a", "1001", OfferResult.ANSWERED, at=NOON + 7, ring=5), leg_uuid="leg-of-a"),
    ) == [
        f"{EPOCH}|uuid-of-a|caller|NONE|ENTERQUEUE||0301|3",
        f"{EPOCH + 6}|uuid-of-a|caller|anna|RINGNOANSWER|5500",
        f"{EPOCH + 12}|uuid-of-a|caller|1001|CONNECT|12|leg-of-a|5",
        f"{EPOCH + 132}|uuid-of-a|caller|1001|COMPLETEAGENT|12|120|3",
    ]


def test_a_caller_who_hangs_up_after_the_talk_completed_it(path: Path) -> None:
    call = evolve(handled("a", wait=1, talk=10), hung_up_by=HungUpBy.CALLER)
    assert queue_log(path, call)[-1].split("|")[4] == "COMPLETECALLER"


def test_a_caller_who_went_on_after_the_talk_was_transferred(path: Path) -> None:
    lines = queue_log(
        path,
        entered(handled("a", wait=1, talk=10)),
        CallEvent(call="a", at=NOON + 12, event="caller-went-on"),
    )
    assert lines[-1] == f"{EPOCH + 11}|uuid-of-a|caller|1001|TRANSFER|||1|10|1"


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (Reason.CALLER_HANGUP, "ABANDON|2|2|30"),
        (Reason.TIMEOUT, "EXITWITHTIMEOUT|2|2|30"),
        (Reason.NO_AGENT_TIMEOUT, "EXITWITHTIMEOUT|2|2|30"),
        (Reason.OVERFLOW, "EXITWITHTIMEOUT|2|2|30"),
        (Reason.EXIT_WITH_KEY, "EXITWITHKEY||2|2|30"),
        (Reason.EMPTY, "EXITEMPTY|2|2|30"),
        (Reason.FULL, "ABANDON|2|2|30"),
        (Reason.WITHDRAWN, "WITHDRAW|2|2|30"),
        (Reason.TRANSFERRED, "ABANDON|2|2|30"),
        (Reason.SWITCH_LOST, "ABANDON|2|2|30"),
        (Reason.ERROR, "ABANDON|2|2|30"),
    ],
)
def test_every_caller_who_entered_leaves(path: Path, reason: Reason, line: str) -> None:
    assert queue_log(path, entered(ended("a", wait=30, reason=reason), 2)) == [
        f"{EPOCH}|uuid-of-a|caller|NONE|ENTERQUEUE|||2",
        f"{EPOCH + 30}|uuid-of-a|caller|NONE|{line}",
    ]


def test_who_was_refused_at_the_door_never_entered(path: Path) -> None:
    empty, full = ended("a", wait=0, reason=Reason.EMPTY), ended("b", wait=0, reason=Reason.FULL)
    assert queue_log(path, empty, full) == [f"{EPOCH}|uuid-of-a|caller|NONE|JOINEMPTY"]


def test_a_separator_in_a_number_breaks_no_line(path: Path) -> None:
    assert queue_log(path, ended("a", wait=1, number="03|01\n"))[0].split("|")[6] == "03 01 "


def test_logins_and_pauses_are_the_changes_of_status(path: Path) -> None:
    out, on_break = AgentStatus.LOGGED_OUT, AgentStatus.ON_BREAK
    lines = queue_log(
        path,
        span("anna", NOON, NOON + 10, AgentState.IDLE, out),
        span("anna", NOON + 10, NOON + 20, AgentState.WAITING),
        span("anna", NOON + 20, NOON + 30, AgentState.RESERVED),
        evolve(span("anna", NOON + 30, NOON + 40, AgentState.IDLE, on_break), reason="lunch"),
        span("anna", NOON + 40, NOON + 70, AgentState.WAITING),
        span("anna", NOON + 70, None, AgentState.IDLE, out),
    )
    assert lines == [
        f"{EPOCH + 10}|NONE|NONE|anna|AGENTLOGIN|anna",
        f"{EPOCH + 30}|NONE|NONE|anna|PAUSEALL|lunch",
        f"{EPOCH + 40}|NONE|NONE|anna|UNPAUSEALL|",
        f"{EPOCH + 70}|NONE|NONE|anna|AGENTLOGOFF|anna|60",
    ]


def test_who_logs_in_to_a_break_logs_in_first(path: Path) -> None:
    lines = queue_log(path, span("anna", NOON, None, AgentState.IDLE, AgentStatus.ON_BREAK))
    assert [line.split("|")[4] for line in lines] == ["AGENTLOGIN", "PAUSEALL"]
