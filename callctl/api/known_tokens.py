"""The tokens that are known by name (`jti`): those that callctl made, and those that were revoked.

What is kept of a token is its name, who holds it and what it may do, never the token itself. One of another
issuer can be revoked by its name as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from callctl.api.access import Principal
from callctl.errors import UnknownToken
from callctl.model import EVERY_ACCOUNT, Fact, TokenRecord
from callctl.records.tokens import revoked


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
