"""Who belongs to whom: what an account may be called, who may serve which queue, and where callers may go.

Each queue and each agent has an account; that of what all share is `*`. Nothing and nobody crosses from one
account into another: an agent serves queues of its own account and shared ones, and a shared agent serves
any. A caller goes on to queues of the same account and to shared ones. In a shared queue callers of every
account wait, so it can name no queue of a single account as the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from callctl.model import DEFAULT_ACCOUNT, EVERY_ACCOUNT, AgentSettings, QueueSettings
from callctl.records.names import name_complaint
from callctl.records.targets import target_queue

LONGEST_DISPLAY_NAME = 100
"""More is not readable in any table."""


def account_complaint(account: str) -> str | None:
    """Return what is wrong with the account of a queue or an agent; None if nothing.

    >>> account_complaint("acme")
    """
    return name_complaint(account)


def display_name_complaint(name: str) -> str | None:
    """Return what is wrong with the name of an agent that people are shown; None if nothing, also for ""."""
    if name.isprintable() and len(name) <= LONGEST_DISPLAY_NAME:
        return None
    return f"must have at most {LONGEST_DISPLAY_NAME} printable characters"


def may_serve(agent_account: str, queue_account: str) -> bool:
    """Say whether an agent of the one account may serve a queue of the other."""
    return EVERY_ACCOUNT in (agent_account, queue_account) or agent_account == queue_account


def may_go_on(from_account: str, to_account: str) -> bool:
    """Say whether a caller who is with one account may go on to a queue of the other."""
    return to_account in (from_account, EVERY_ACCOUNT)


def account_of_call(queue_account: str, call_account: str) -> str:
    """Return whose a visit is: the queue's, or in a shared queue that of the call.

    `call_account` is that of the visit before it, or the `account_id` of the dialplan.
    """
    if queue_account != EVERY_ACCOUNT:
        return queue_account
    return call_account if call_account not in ("", EVERY_ACCOUNT) else DEFAULT_ACCOUNT


def tier_complaint(agent: AgentSettings, queue: QueueSettings) -> str | None:
    """Return why this agent cannot serve this queue; None if it can."""
    if may_serve(agent.account, queue.account):
        return None
    return (
        f"agent {agent.name} of account {agent.account} cannot serve queue {queue.name} of account "
        f"{queue.account}"
    )


def agent_complaint(
    agent: AgentSettings, served: Iterable[str], queues: Mapping[str, QueueSettings]
) -> str | None:
    """Return why this agent cannot have its account and serve the queues of these names; None if it can."""
    known = (queues[name] for name in served if name in queues)
    return next(filter(None, (tier_complaint(agent, queue) for queue in known)), None)


def targets_of(queue: QueueSettings) -> Iterator[tuple[str, str]]:
    """Yield each queue to which this one sends callers, with the field that says so."""
    targets = [("overflow", rule.to) for rule in queue.overflow]
    for field, target in (*targets, ("closed_target", queue.closed_target)):
        if (name := target_queue(target)) is not None:
            yield field, name


def target_complaints(queue: QueueSettings, queues: Mapping[str, QueueSettings]) -> Iterator[tuple[str, str]]:
    """Yield each field of a queue that sends callers into another account, and what is wrong with it."""
    for field, name in targets_of(queue):
        other = queues.get(name)
        if other is not None and not may_go_on(queue.account, other.account):
            yield (
                field,
                f"queue {queue.name} of account {queue.account} cannot send callers to queue {name} of "
                f"account {other.account}",
            )
