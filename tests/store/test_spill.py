"""The file beside the database: nothing in it is lost, however it was left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from callctl.store.rows import Action, Entry
from callctl.store.spill import Spill
from tests.store.samples import no_file_grows_beyond


def entry(number: int) -> Entry:
    return Entry(Action.PUT, "tiers", {"queue": "ü", "agent": str(number), "level": 1, "position": number})


@pytest.fixture
def spill(tmp_path: Path) -> Spill:
    opened = Spill(tmp_path / "spill.jsonl", tmp_path / "callctl.db")
    opened.open()
    return opened


def drain(spill: Spill, portion_rows: int = 2) -> list[Entry]:
    found: list[Entry] = []
    while spill.rows_left:
        portion = spill.read(portion_rows)
        assert portion.unreadable == []
        found += portion.entries
        spill.mark_replayed(portion)
    return found


def test_rows_come_back_in_order_and_the_file_goes_with_the_last(spill: Spill) -> None:
    entries = [entry(number) for number in range(5)]
    spill.append(entries[:3])
    spill.append(entries[3:])
    assert spill.rows_left == 5
    assert drain(spill) == entries
    assert not spill.path.exists()
    spill.append(entries)
    assert drain(spill) == entries


def test_rows_that_come_during_the_replay_follow_the_others(spill: Spill) -> None:
    spill.append([entry(0), entry(1)])
    portion = spill.read(1)
    spill.mark_replayed(portion)
    spill.append([entry(2)])
    assert [*portion.entries, *drain(spill)] == [entry(0), entry(1), entry(2)]


def test_a_replay_that_a_crash_interrupted_begins_anew(spill: Spill) -> None:
    spill.append([entry(0), entry(1), entry(2)])
    spill.mark_replayed(spill.read(1))
    after_the_crash = Spill(spill.path, spill.path.with_name("callctl.db"))
    after_the_crash.open()
    assert drain(after_the_crash) == [entry(0), entry(1), entry(2)]


def test_a_line_that_a_crash_tore_off_is_cut_and_the_rest_is_kept(spill: Spill) -> None:
    spill.append([entry(0), entry(1)])
    with spill.path.open("ab") as file:
        file.write(b'{"put": "tiers", "row": {"queue": "\xc3')
    after_the_crash = Spill(spill.path, spill.path.with_name("callctl.db"))
    after_the_crash.open()
    assert after_the_crash.rows_left == 2
    after_the_crash.append([entry(2)])
    assert drain(after_the_crash) == [entry(0), entry(1), entry(2)]


def test_a_write_that_fails_half_way_adds_nothing(spill: Spill) -> None:
    spill.append([entry(0)])
    size = spill.path.stat().st_size
    with no_file_grows_beyond(size + 20), pytest.raises(OSError, match="large"):
        spill.append([entry(1)])
    assert spill.path.stat().st_size == size
    assert spill.rows_left == 1
    spill.append([entry(2)])
    assert drain(spill) == [entry(0), entry(2)]


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1, 2]",
        b'{"put": "tiers"}',
        b'{"put": "tiers", "row": []}',
        b'{"put": "tiers", "row": {"queue": ["a"]}}',
        b'{"put": "tiers", "row": {"queue); DROP TABLE calls; --": "a"}}',
        b'{"put": "sqlite_schema", "row": {"name": "a"}}',
        b'{"execute": "tiers", "row": {"queue": "a"}}',
        b"\xff\xfe",
    ],
)
def test_a_line_that_is_no_row_is_set_apart(spill: Spill, line: bytes) -> None:
    spill.append([entry(0)])
    with spill.path.open("ab") as file:
        file.write(line + b"\n")
    spill.open()
    portion = spill.read(10)
    assert portion.entries == [entry(0)]
    assert portion.unreadable == [line.decode("utf-8", "replace")]
    spill.mark_replayed(portion)
    assert not spill.path.exists()


def test_a_call_that_an_older_callctl_left_gets_its_account(spill: Spill) -> None:
    spill.append([Entry(Action.PUT, "calls", {"id": name, "account_id": name}) for name in ("", "acme")])
    assert [found.row["account"] for found in drain(spill)] == ["default", "acme"]
