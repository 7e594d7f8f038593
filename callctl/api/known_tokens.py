"""The tokens that are known by name (`jti`): those that callctl made, and those that were revoked.

What is kept of a token is its name, who holds it and what it may do, never the token itself. One of another
issuer can be revoked by its name as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import evolve

from callctl.api.access import Principal
from callctl.api.claims import LONGEST_NAME
from callctl.errors import ConfigError, UnknownToken
from callctl.model import EVERY_ACCOUNT, Fact, Scope, TokenRecord

LONGEST_SECONDS = 10 * 366 * 24 * 3600.0
"""How long a token may count at most: one that counts for ever is forgotten, and found by others."""


class KnownTokens:
    """All of them, as they stand; whoever checks a token asks here whether it was revoked."""

    def __init__(
        self, known: Iterable[TokenRecord], *, record: Callable[[Fact], None], now: Callable[[], float]
    ) -> None:
        """`known` are those of the database; `record` writes what changes."""
        self._by_jti = {each.jti: each for each in known}
        self._record = record
        self._now = now

    def all(self) -> list[TokenRecord]:
        """Return them, newest first."""
        return sorted(self._by_jti.values(), key=lambda each: (-each.created_at, each.jti))

    def add(self, token: TokenRecord) -> None:
        """Take in a token that was made, or revoked."""
        self._by_jti[token.jti] = token
        self._record(token)

    def is_revoked(self, principal: Principal) -> bool:
        """Say whether the token or the login of `principal` was revoked, by its account or for all."""
        if not self._by_jti:
            return False
        known = [self._by_jti.get(name) for name in (principal.jti, principal.session) if name]
        return any(
            each is not None
            and each.revoked_at is not None
            and each.account in (principal.account, EVERY_ACCOUNT)
            for each in known
        )

    def revoke(self, jti: str, by: Principal) -> None:
        """Let a token count no longer. Raises UnknownToken for one of another account."""
        known = self._by_jti.get(jti)
        if known is not None and not by.sees(known.account):
            raise UnknownToken(f"there is no token {jti!r}")
        self.add(revoked(known, jti, by.account, self._now()))


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
