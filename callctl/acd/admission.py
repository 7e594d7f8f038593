"""Whether a queue lets one more caller in: the limits of VOCABULARY, each refusal with its own error."""

from __future__ import annotations

from callctl.acd.queue import Queue
from callctl.errors import QueueClosed, QueueEmpty, QueueFull


def admit(queue: Queue, now: float) -> None:
    """Raise QueueClosed, QueueFull or QueueEmpty if nobody may join `queue` at `now`.

    Outside the opening hours a queue with a `closed-target` lets callers in, to send them there.
    """
    settings = queue.settings
    if not queue.is_open(now):
        if not settings.closed_target:
            raise QueueClosed(f"the queue {queue.name!r} is closed at this time")
        return
    if settings.max_callers and queue.callers >= settings.max_callers:
        raise QueueFull(f"{queue.callers} callers wait in {queue.name!r} already, no more may")
    if not settings.join_when_empty and not queue.present:
        raise QueueEmpty(f"nobody serves the queue {queue.name!r}")
