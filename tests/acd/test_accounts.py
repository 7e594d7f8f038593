"""Agents and callers of different accounts never meet, whatever is configured meanwhile."""

from __future__ import annotations

import pytest

from callctl.errors import ForeignAccount, UnknownQueue
from callctl.model import AgentSettings, QueueSettings, Tier
from tests.acd.floorplan import Centre


def test_a_place_in_a_queue_of_another_account_is_refused() -> None:
    centre = Centre(account="acme")
    centre.agent("anna", queues=(), account="globex")
    with pytest.raises(ForeignAccount, match="anna of account globex cannot serve queue q of account acme"):
        centre.d.put_tier(Tier(queue="q", agent="anna"), 0.0)
    assert centre.d.agent("anna", 0.0).tiers == {}


@pytest.mark.parametrize(("agent", "queue"), [("*", "acme"), ("acme", "*"), ("acme", "acme")])
def test_what_is_shared_serves_all_and_is_served_by_all(agent: str, queue: str) -> None:
    centre = Centre(account=queue)
    centre.agent("anna", account=agent)
    centre.join("c1", account="acme")
    assert centre.offer().agent == "anna"


def test_an_agent_who_moves_to_another_account_leaves_the_seat_and_may_come_back_to_it() -> None:
    centre = Centre(account="acme")
    centre.agent("anna", account="acme")
    settings = AgentSettings(name="anna", account="globex", contact="user/anna")
    centre.d.put_agent(settings, 1.0)
    assert centre.d.queue("q", 1.0).present == 0
    centre.join("c1", 1.0, account="acme")
    assert centre.offers() == []
    centre.d.put_agent(AgentSettings(name="anna", account="acme", contact="user/anna"), 2.0)
    assert centre.offer().agent == "anna"


def test_a_queue_that_moves_to_another_account_is_left_by_its_agents() -> None:
    centre = Centre(account="acme")
    centre.agent("anna", account="acme")
    centre.agent("shared", account="*")
    centre.d.put_queue(QueueSettings(name="q", account="globex"), 1.0)
    assert sum(centre.d.queue("q", 1.0).agents.values()) == 1
    centre.d.put_queue(QueueSettings(name="q", account="acme"), 2.0)
    assert sum(centre.d.queue("q", 2.0).agents.values()) == 2
    assert centre.d.check_invariants(2.0) == []


def test_a_tier_of_the_database_that_crosses_is_kept_and_gives_no_seat() -> None:
    centre = Centre(account="acme")
    centre.agent("anna", queues=(), account="globex")
    centre.d.keep_tier(Tier(queue="q", agent="anna"), 0.0)
    assert sum(centre.d.queue("q", 0.0).agents.values()) == 0
    centre.d.put_queue(QueueSettings(name="q", account="globex"), 1.0)
    assert sum(centre.d.queue("q", 1.0).agents.values()) == 1


def test_a_call_of_another_account_joins_no_queue() -> None:
    centre = Centre(account="acme")
    with pytest.raises(UnknownQueue):
        centre.join("c1", account="globex")
    assert centre.d.members(0.0) == ()


def test_the_last_agent_of_a_caller_is_not_told_in_a_queue_that_it_does_not_serve() -> None:
    centre = Centre(account="acme", preferred_agent_seconds=1000)
    centre.queue("p", account="globex", preferred_agent_seconds=1000)
    centre.agent("anna", account="globex", queues=("p",))
    centre.d.remember_talk("4930123", "anna", 0.0)
    centre.join("c1", 1.0, account="acme", caller_number="4930123")
    centre.join("c2", 1.0, queue="p", account="globex", caller_number="4930123")
    assert centre.member("c1", 1.0).arrival.preferred_agent == ""
    assert centre.member("c2", 1.0).arrival.preferred_agent == "anna"
