"""Nothing crosses from one account into another."""

from __future__ import annotations

import pytest

from callctl.model import AgentSettings, OverflowRule, QueueSettings
from callctl.records.accounts import (
    account_complaint,
    account_of_call,
    agent_complaint,
    display_name_complaint,
    may_go_on,
    may_serve,
    target_complaints,
)


@pytest.mark.parametrize(
    ("agent", "queue", "may"),
    [
        ("acme", "acme", True),
        ("acme", "*", True),
        ("*", "acme", True),
        ("*", "*", True),
        ("acme", "globex", False),
        ("default", "acme", False),
    ],
)
def test_an_agent_serves_queues_of_its_own_account_and_shared_ones(agent: str, queue: str, may: bool) -> None:
    assert may_serve(agent, queue) is may


@pytest.mark.parametrize(
    ("here", "there", "may"),
    [
        ("acme", "acme", True),
        ("acme", "*", True),
        ("*", "*", True),
        ("acme", "globex", False),
        ("*", "acme", False),
    ],
)
def test_callers_go_on_within_their_account_and_to_what_is_shared(here: str, there: str, may: bool) -> None:
    assert may_go_on(here, there) is may


def test_a_call_is_its_queues_and_in_a_shared_queue_its_own_accounts() -> None:
    assert account_of_call("acme", "globex") == "acme"
    assert account_of_call("*", "globex") == "globex"
    assert account_of_call("*", "") == "default"
    assert account_of_call("*", "*") == "default", "what is shared is nobody's call"


def test_every_target_of_a_queue_is_looked_at() -> None:
    queues = {
        "a": QueueSettings(
            name="a",
            account="acme",
            overflow=(OverflowRule(to="queue:b", waited=1), OverflowRule(to="extension:1", waited=2)),
            closed_target="queue:b",
        ),
        "b": QueueSettings(name="b", account="globex"),
    }
    assert [field for field, _ in target_complaints(queues["a"], queues)] == ["overflow", "closed_target"]
    assert list(target_complaints(queues["b"], queues)) == []


def test_an_agent_cannot_move_away_from_the_queues_that_it_serves() -> None:
    queues = {"a": QueueSettings(name="a", account="acme")}
    assert agent_complaint(AgentSettings(name="1", account="acme"), ["a", "gone"], queues) is None
    complaint = agent_complaint(AgentSettings(name="1", account="globex"), ["a"], queues)
    assert complaint == "agent 1 of account globex cannot serve queue a of account acme"


def test_what_an_account_and_a_person_may_be_called() -> None:
    assert account_complaint("acme") is account_complaint("*") is None
    for wrong in ("", " acme", "a/b", "a\x1b[1m"):
        assert account_complaint(wrong)
    assert display_name_complaint("") is display_name_complaint("Ada Lovelace") is None
    assert display_name_complaint("Ada\x07")
    assert display_name_complaint("x" * 101)
