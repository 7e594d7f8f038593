"""Which keys of a telephone a queue may give a meaning, and which of them contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from callctl.model import QueueSettings
from callctl.records.contacts import callback_complaint

KEYS = "0123456789*#ABCD"


def keys_complaint(keys: str) -> str | None:
    """Return what is wrong with a text of keys, each of which counts; None if nothing."""
    wrong = sorted(set(keys) - set(KEYS))
    return f"may hold keys of a telephone only, 0 to 9, * and #, not {wrong[0]!r}" if wrong else None


def key_complaint(key: str) -> str | None:
    """Return what is wrong with one key, or none at all (""); None if nothing."""
    return keys_complaint(key) or ("must be a single key" if len(key) > 1 else None)


def queue_complaints(queue: QueueSettings) -> Iterator[tuple[str, str]]:
    """Yield each field of a queue whose keys contradict others, and what is wrong with it."""
    if queue.callback_key and queue.callback_key in queue.exit_keys:
        yield "callback_key", f"{queue.callback_key!r} is one of exit-keys as well; give another key"
    if queue.callback_key and not queue.callback_dialstring:
        yield "callback_key", 'needs "callback-dialstring", such as "sofia/gateway/trunk/{number}"'
    if queue.callback_dialstring and (complaint := callback_complaint(queue.callback_dialstring)):
        yield "callback_dialstring", f"{complaint}, not {queue.callback_dialstring!r}"
