"""Lets in whoever may use the HTTP API over TCP: tokens are checked, and what was revoked is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import structlog
import trio
from attrs import evolve
from starlette.exceptions import HTTPException
from starlette.requests import Request

from callctl.api.access import Principal, unauthorized
from callctl.api.claims import LONGEST_TOKEN, principal_of_claims, verified_claims
from callctl.api.key_store import KeyStore
from callctl.api.keys import header_of
from callctl.api.known_tokens import KnownTokens
from callctl.api.tls import Tls
from callctl.config.settings import HttpSettings
from callctl.errors import InvalidToken
from callctl.model import Fact, TokenRecord
from callctl.refusals import Refusal, Refusals

log = structlog.get_logger(__name__)

NO_KEYS = (
    "no key is set with which tokens can be checked; set jwt-secret-file, jwt-public-key-file, jwks-file or "
    "jwks-url in [http] of callctl.toml, and start callctl again"
)
NO_TOKEN = "show a token: Authorization: Bearer TOKEN (callctl token create makes one)"
CLOSED = (
    "the HTTP API is closed, as a key in [http] of callctl.toml cannot be used; callctl's log, callctl check "
    "and /readyz say what is wrong"
)

PAST_THE_PROXY = "this is reached through its proxy alone (behind-proxy and trusted-proxies in [http])"

IpAddress = IPv4Address | IPv6Address


class HttpAccess:
    """Who may use the HTTP API over TCP."""

    def __init__(
        self,
        settings: HttpSettings,
        tokens: Iterable[TokenRecord],
        record: Callable[[Fact], None],
        now: Callable[[], float],
    ) -> None:
        """`settings` are `[http]`, `tokens` those of the database, `now` is the time in epoch seconds.

        `record` writes what changes.
        """
        self.settings = settings
        self.tokens = KnownTokens(tokens, record=record, now=now)
        self.keys = KeyStore(settings)
        self.tls = Tls(settings)
        self._now = now

    async def run(self) -> None:
        """Read the keys and follow their changes, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keys.run)
            nursery.start_soon(self.tls.run)

    def reload(self, settings: HttpSettings) -> None:
        """Take over `settings`, and read all keys and the certificate anew.

        Where it listens, and whether it speaks TLS there, stays as it was at the start.
        """
        self.settings = evolve(settings, listen=self.settings.listen)
        self.keys.reload(self.settings)
        self.tls.reload(self.settings)

    @property
    def problems(self) -> list[str]:
        """What keeps the API closed, or may soon do so, in words."""
        return [*self.keys.problems, *filter(None, [self.tls.problem])]

    async def authenticate(self, request: Request) -> Principal:
        """Return who asks. Raises HTTPException for a request without a token that is good."""
        self._refuse_strangers(request)
        token = bearer_of(request)
        if not self.settings.has_keys:
            raise self._refused(NO_KEYS, "")
        await self.keys.wait_tried()
        if self.keys.why_closed:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, CLOSED, {"Retry-After": "30"})
        if token is None:
            raise self._refused(NO_TOKEN, "")
        try:
            principal = await self.principal_of_token(token)
        except InvalidToken as error:
            raise self._refused(f"the token is not accepted: {error}", "invalid_token") from None
        return principal

    async def principal_of_token(self, token: str) -> Principal:
        """Return who holds this token. Raises InvalidToken, with words for people."""
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken(f"it is longer than {LONGEST_TOKEN} characters")
        algorithm, kid = header_of(token)
        keys = await self.keys.keys_for(algorithm, kid)
        claims = verified_claims(token, algorithm, keys, self.settings, self._now())
        principal = principal_of_claims(claims, self.settings)
        if self.tokens.is_revoked(principal):
            raise InvalidToken("it was revoked")
        return principal

    def _refuse_strangers(self, request: Request) -> None:
        """Raise HTTPException for a request that did not come through the proxy, but unencrypted."""
        settings, peer = self.settings, peer_of(request)
        if settings.behind_proxy and not any(peer in each for each in networks_of(settings.trusted_proxies)):
            Refusals.of_this_run().note(
                Refusal.HTTP_PROXY, log.warning, "a request that came past the proxy", address=str(peer)
            )
            raise HTTPException(HTTPStatus.FORBIDDEN, PAST_THE_PROXY)

    def _refused(self, detail: str, error: str) -> HTTPException:
        Refusals.of_this_run().note(
            Refusal.HTTP_UNAUTHORIZED, log.warning, "a request without a good token", why=detail
        )
        return unauthorized(detail, error)


def bearer_of(request: Request) -> str | None:
    """Return the token that a request shows, None if it shows none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def peer_of(request: Request) -> IpAddress:
    """Return the address that a request came from over TCP, an IPv4 address as such on an IPv6 socket too."""
    host = request.client.host if request.client is not None else "::1"
    address = ip_address(host.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@cache
def networks_of(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that the configuration names."""
    return tuple(map(ip_network, texts))
