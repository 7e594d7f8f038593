"""How often a client may ask over TCP: a token bucket for each address, and one for each token.

Health is not limited, so that monitoring sees a server under load as it is. Each refusal says when to come
again, and is counted.
"""

from __future__ import annotations

from collections.abc import Hashable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network

import structlog
import trio
from starlette.exceptions import HTTPException

from callctl.api.access import Principal
from callctl.api.rates import Buckets, Rate, retry_after
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)

OF_AN_ADDRESS = Rate(per_second=500.0, burst=2000.0)
"""Behind one address may be a whole call centre: each browser asks once a second or two, and all of them
come at once after a restart."""

OF_A_TOKEN = Rate(per_second=250.0, burst=1000.0)
"""A request costs about a millisecond of the event loop; a quarter of it is what one client may have."""

BAD_TOKEN_COSTS = 20.0
"""As many requests of its address as a token that is no good counts for: 25 of them a second."""

OF_LOGINS = Rate(per_second=0.2, burst=10.0)
"""From one address, and for one user: a person mistypes a few times, a program guesses for years."""

MOST_OF_A_NAME = 100
"""Characters of a user's name that are remembered: anybody can send a long one."""


class Limits:
    """All buckets of one server."""

    def __init__(self) -> None:
        self._addresses = Buckets(OF_AN_ADDRESS)
        self._tokens = Buckets(OF_A_TOKEN)
        self._logins = Buckets(OF_LOGINS)

    def take_request(self, address: IPv4Address | IPv6Address) -> None:
        """Count a request of an address. Raises HTTPException where there were too many."""
        wait = self._addresses.take(_site_of(address), trio.current_time())
        self._refuse(wait, Refusal.HTTP_RATE, "too many requests come from this address", str(address))

    def take_of_token(self, principal: Principal) -> None:
        """Count a request with a token. Raises HTTPException where there were too many."""
        wait = self._tokens.take(_name_of(principal), trio.current_time())
        self._refuse(wait, Refusal.HTTP_RATE, "too many requests with this token", principal.subject)

    def charge_bad_token(self, address: IPv4Address | IPv6Address) -> None:
        """Count a token that was no good."""
        self._addresses.charge(_site_of(address), trio.current_time(), BAD_TOKEN_COSTS)

    def take_login(self, address: IPv4Address | IPv6Address, user: str) -> None:
        """Count an attempt to log in with a password. Raises HTTPException where there were too many."""
        now = trio.current_time()
        wait = max(
            self._logins.take(_site_of(address), now), self._logins.take(("user", user[:MOST_OF_A_NAME]), now)
        )
        self._refuse(wait, Refusal.HTTP_LOGINS, "too many attempts to log in", str(address))

    def _refuse(self, wait_seconds: float, kind: Refusal, why: str, whose: str) -> None:
        if wait_seconds <= 0:
            return
        Refusals.of_this_run().note(kind, log.warning, why, whose=whose)
        raise HTTPException(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{why}; come again in {retry_after(wait_seconds)} s",
            {"Retry-After": retry_after(wait_seconds)},
        )


def _site_of(address: IPv4Address | IPv6Address) -> Hashable:
    """Return what counts as one address: of IPv6 everybody has 2**64 at least."""
    return IPv6Network((int(address), 64), strict=False) if isinstance(address, IPv6Address) else address


def _name_of(principal: Principal) -> Hashable:
    return principal.jti or (principal.account, principal.subject)
