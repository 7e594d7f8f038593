"""As many open files as the system allows: each call has a socket, and the usual 1,024 are too few."""

from __future__ import annotations

import resource

OTHER_FILES = 500
"""What a process has open besides: 200 connections each of `[http]` and of the control socket at most, the
database and its readers, the switches."""

STREAM_FILES = 1000
"""What the streams of `[http]` may have open. Where the system allows few files, these are not set aside."""


def raise_file_limit(calls: int) -> int:
    """Let this process, and those that it starts, have all files that they may; return for how many calls.

    `calls` are as many as it is to take: where the system sets no bound, it asks for just enough.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = max(soft, calls + OTHER_FILES + STREAM_FILES) if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(0, files - OTHER_FILES)
