"""Where a rule of a queue sends callers: the kinds of targets, and which queue one names."""

from __future__ import annotations

QUEUE_TARGET = "queue:"
TARGETS = (QUEUE_TARGET, "extension:", "voicemail:", "hangup:")


def target_queue(target: str) -> str | None:
    """Return the queue that a target names, or None if it names none."""
    return target.removeprefix(QUEUE_TARGET) if target.startswith(QUEUE_TARGET) else None
