"""`callctl queue add/set/remove` while no server runs; a running one is asked (test_roster_of_a_server)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from callctl.store.loading import load_queues
from callctl.store.schema import open_history
from tests.cli.conftest import Run


def stored():
    with closing(open_history(Path("callctl.db"))) as connection:
        return {queue.name: queue for queue in load_queues(connection)}


def test_a_queue_is_added_changed_and_removed(run: Run) -> None:
    ran = run(
        *("queue", "add", "sales", "strategy=round-robin", "max-wait-time=300", "announce-sound=a.wav,b.wav"),
        *("account=acme", "hours={ open = ['Mon-Fri 09:00-17:00'] }"),
    )
    assert (ran.code, ran.out) == (0, "queue sales added\n")
    queue = stored()["sales"]
    assert (queue.strategy, queue.max_wait_time, queue.account) == ("round-robin", 300, "acme")
    assert queue.announce_sound == ("a.wav", "b.wav")
    assert run("queue", "set", "sales", "ring_timeout=15", "wrap-up-time=3").out == "queue sales changed\n"
    queue = stored()["sales"]
    assert (queue.ring_timeout, queue.wrap_up_time, queue.max_wait_time) == (15, 3, 300)
    assert queue.hours is not None
    assert run("queue", "remove", "sales").out == "queue sales removed\n"
    assert stored() == {}


def test_the_row_is_pleasant_to_read(run: Run) -> None:
    run("queue", "add", "sales", "account=acme")
    with closing(sqlite3.connect("callctl.db")) as connection:
        [row] = connection.execute("SELECT name, account, settings ->> 'strategy' FROM queues").fetchall()
    assert row == ("sales", "acme", "longest-idle-agent")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "sales"), 1, "there is a queue sales already; callctl queue set changes it"),
        (("set", "nowhere", "weight=2"), 1, "there is no queue nowhere"),
        (("remove", "nowhere"), 1, "there is no queue 'nowhere'"),
        (("set", "sales"), 2, "nothing to set; give KEY=VALUE"),
        (("set", "sales", "weight"), 2, "'weight' is not of the form KEY=VALUE"),
        (("set", "sales", "weight=0"), 2, "weight: must be above 0"),
        (("set", "sales", "wieght=1"), 2, 'did you mean "weight"?'),
        (("set", "sales", "closed-target=queue:x"), 2, "there is no queue 'x' to overflow to"),
        (("set", "sales", "account=acme", "closed-target=queue:caller"), 1, "cannot send callers to queue"),
        (("add", "a/b"), 2, "a name has no slash"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    Path("callctl.toml").write_text("[queue.caller]\n")
    run("queue", "add", "sales")
    before = stored()
    ran = run("queue", *arguments)
    assert (ran.code, words in ran.err) == (code, True), ran.err
    assert stored() == before


@pytest.mark.parametrize(
    "arguments", [("add", "caller"), ("set", "caller", "weight=2"), ("remove", "caller")]
)
def test_a_queue_of_the_file_is_changed_there_alone(run: Run, arguments: tuple[str, ...]) -> None:
    Path("callctl.toml").write_text("[queue.caller]\n")
    ran = run("queue", *arguments)
    assert (ran.code, "queue caller stands in callctl.toml:1; change it there" in ran.err) == (1, True)


def test_agents_serve_queues_of_the_database(run: Run) -> None:
    run("queue", "add", "sales", "account=acme")
    run("agent", "add", "1001", "--account", "acme")
    run("agent", "add", "1002")
    assert run("tier", "add", "sales", "1001").code == 0
    assert run("tier", "add", "sales", "1002").code == 1
    assert run("queue", "set", "sales", "account=globex").code == 1
    assert run("tier", "add", "nowhere", "1001").code == 1
