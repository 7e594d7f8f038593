"""Passwords of `[http.users]`: argon2 says whether one is right, in a thread, one after another.

Each check takes 64 MB and some 50 ms on purpose, so that a stolen hash is of little use; a flood of logins
must not take that from the calls. An unknown user takes as long as a known one, so that nobody learns who is.
"""

from __future__ import annotations

from functools import cache

import trio

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024
"""Characters."""


def hash_of(password: str) -> str:
    """Return the hash of a password, as it stands in `[http.users]`; blocks."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


async def is_right(password: str, password_hash: str | None, limiter: trio.CapacityLimiter) -> bool:
    """Say whether this is the password of that hash; of None, which stands for no such user, none is."""
    if len(password) > LONGEST_PASSWORD:
        return False
    matches = await trio.to_thread.run_sync(_matches, password, password_hash, limiter=limiter)
    return matches and password_hash is not None


def _matches(password: str, password_hash: str | None) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import Argon2Error, InvalidHashError

    try:
        return PasswordHasher().verify(password_hash or _of_nobody(), password)
    except (Argon2Error, InvalidHashError):
        return False


@cache
def _of_nobody() -> str:
    return hash_of("the password of somebody who is not there")
