"""What a token for the HTTP API may be: who holds it, for how long, and what is left of a revoked one."""

from __future__ import annotations

from attrs import evolve

from callctl.errors import ConfigError, UnknownToken
from callctl.model import Scope, TokenRecord

LONGEST_NAME = 200
"""Of a subject, an account, an agent and a `jti`: they stand in the log."""

LONGEST_SECONDS = 10 * 366 * 24 * 3600.0
"""How long a token may count at most: one that counts for ever is forgotten, and found by others."""


def new_token(
    *, jti: str, subject: str, account: str, scope: str, agent: str, seconds: float, now: float
) -> TokenRecord:
    """Return what a new token is to be. Raises ConfigError for one that could be of no use."""
    if not subject.strip() or len(subject) > LONGEST_NAME or not subject.isprintable():
        raise ConfigError(f"subject: must be 1 to {LONGEST_NAME} printable characters: who holds the token")
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise ConfigError(f"a token counts for 1 second to {LONGEST_SECONDS / 86400:.0f} days")
    if Scope.AGENT in scope.split() and not agent:
        raise ConfigError("agent: the scope agent acts for one agent; say for which")
    return TokenRecord(
        jti=jti,
        subject=subject,
        account=account,
        scope=" ".join(each for each in Scope if each in scope.split()),
        agent=agent,
        created_at=now,
        expires_at=now + seconds,
    )


def revoked(known: TokenRecord | None, jti: str, account: str, now: float) -> TokenRecord:
    """Return a token as it is after it was revoked `now`, for `account` if nothing is known of it.

    One that was revoked before keeps its time. Raises UnknownToken for what can be the name of none.
    """
    if known is not None:
        return known if known.revoked_at is not None else evolve(known, revoked_at=now)
    if not jti or len(jti) > LONGEST_NAME or not jti.isprintable():
        raise UnknownToken(f"{jti[:40]!r} can be the name (jti) of no token")
    return TokenRecord(jti=jti, account=account, created_at=now, revoked_at=now)
