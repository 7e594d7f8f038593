"""Lets in whoever may use the HTTP API over TCP: by a token, or by the cookie that one was exchanged for.

What was revoked is refused, and so is what comes too often, past the proxy, or from a page of somebody else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cache, partial
from http import HTTPStatus
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import structlog
import trio
from attrs import evolve
from starlette.exceptions import HTTPException
from starlette.requests import Request

from callctl.api.access import Principal, unauthorized
from callctl.api.browsers import check_browser
from callctl.api.claims import LONGEST_TOKEN, principal_of_claims, verified_claims
from callctl.api.key_store import KeyStore
from callctl.api.keys import header_of
from callctl.api.known_tokens import KnownTokens
from callctl.api.limits import Limits
from callctl.api.passwords import is_right
from callctl.api.sessions import CSRF_HEADER, SESSION_COOKIE, Session, Sessions, session_key
from callctl.api.tls import Tls
from callctl.config import Config
from callctl.config.paths import session_key as key_file
from callctl.config.settings import HttpSettings
from callctl.errors import InvalidToken
from callctl.model import Fact, TokenRecord
from callctl.refusals import Refusal, Refusals

if TYPE_CHECKING:
    from callctl.api.operations import Operation

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
NO_CSRF_HEADER = f"a change with a login needs the header {CSRF_HEADER}, as /login gave it"

SAFE_METHODS = ("GET", "HEAD")

MOST_GOOD_TOKENS = 1000
"""How many tokens are remembered that were verified, with at most 8 MB of text: checking a signature takes up
to 150 µs, and each client shows the same token again and again."""

IpAddress = IPv4Address | IPv6Address


class HttpAccess:
    """Who may use the HTTP API over TCP."""

    def __init__(
        self,
        config: Config,
        tokens: Iterable[TokenRecord],
        record: Callable[[Fact], None],
        now: Callable[[], float],
    ) -> None:
        """`tokens` are those of the database, `record` writes what changes, `now` is in epoch seconds."""
        settings = self.settings = config.http
        self.tokens = KnownTokens(tokens, record=record, now=now)
        self.keys = KeyStore(settings)
        self.tls = Tls(settings)
        self.limits = Limits()
        self._now = now
        self._key_file = key_file(config.server.database)
        self._sessions: Sessions | None = None
        self._one_password = trio.CapacityLimiter(1)
        self._good: OrderedDict[str, Principal] = OrderedDict()
        self._verified_with = self.keys.generation

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

    async def admit(self, request: Request, operation: Operation) -> Principal | None:
        """Return who asks, None where an operation is open to all. Raises HTTPException for a refusal."""
        if operation.is_health:
            return None
        self.limits.take_request(self.address_of(request))
        if operation.is_open_to_monitoring and self._monitoring_is_open:
            if self.settings.metrics != "open":
                check_browser(request, self.settings)
            return None
        self._refuse_strangers(request)
        if operation.scope is None:
            return None
        principal = await self.authenticate(request)
        self.limits.take_of_token(principal)
        operation.check(principal)
        return principal

    async def authenticate(self, request: Request) -> Principal:
        """Return who asks. Raises HTTPException for a request without a token or a login that is good."""
        if not self.settings.has_keys:
            raise self._refused(request, NO_KEYS)
        await self._check_open()
        token, cookie = bearer_of(request), request.cookies.get(SESSION_COOKIE)
        try:
            if token is not None:
                return await self.principal_of_token(token)
            if cookie is not None:
                return (await self.session_of(request, cookie)).principal
        except InvalidToken as error:
            raise self._refused(request, str(error), "invalid_token") from None
        raise self._refused(request, NO_TOKEN)

    async def principal_of_token(self, token: str) -> Principal:
        """Return who holds this token. Raises InvalidToken, with words for people."""
        try:
            principal = self._known_good(token) or await self._verified(token)
            if self.tokens.is_revoked(principal):
                raise InvalidToken("it was revoked")
        except InvalidToken as error:
            raise InvalidToken(f"the token is not accepted: {error}") from None
        return principal

    def _known_good(self, token: str) -> Principal | None:
        """Return who holds a token that was verified with the same keys, and has not ended since."""
        if self.keys.generation != self._verified_with:
            self._verified_with = self.keys.generation
            self._good.clear()
        principal = self._good.get(token)
        if principal is None or self._now() >= (principal.expires_at or 0.0):
            return None
        self._good.move_to_end(token)
        return principal

    async def _verified(self, token: str) -> Principal:
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken(f"it is longer than {LONGEST_TOKEN} characters")
        algorithm, kid = header_of(token)
        keys = await self.keys.keys_for(algorithm, kid)
        claims = verified_claims(token, algorithm, keys, self.settings, self._now())
        principal = principal_of_claims(claims, self.settings)
        if self.keys.generation == self._verified_with:
            self._good[token] = principal
            if len(self._good) > MOST_GOOD_TOKENS:
                self._good.popitem(last=False)
        return principal

    async def session_of(self, request: Request, cookie: str) -> Session:
        """Return the login that a request's cookie names, of a page that may use it.

        Raises InvalidToken for one that does not count, HTTPException for a page of somebody else.
        """
        check_browser(request, self.settings)
        session = (await self._cookies()).read(cookie, self.settings, self._now())
        if self.tokens.is_revoked(session.principal):
            raise InvalidToken("this login does not count any more")
        if request.method not in SAFE_METHODS and request.headers.get(CSRF_HEADER) != session.csrf_token:
            raise HTTPException(HTTPStatus.FORBIDDEN, NO_CSRF_HEADER)
        return session

    async def log_in_with_token(self, request: Request, token: str) -> tuple[Session, str]:
        """Return the login of whoever holds this token, and its cookie. Raises HTTPException."""
        check_browser(request, self.settings)
        await self._check_open()
        if not self.keys.checks_tokens:
            raise self._refused(request, NO_KEYS)
        try:
            principal = await self.principal_of_token(token)
        except InvalidToken as error:
            raise self._refused(request, str(error), "invalid_token") from None
        return (await self._cookies()).of_token(principal, self._now())

    async def log_in_with_password(self, request: Request, name: str, password: str) -> tuple[Session, str]:
        """Return the login of this user of `[http.users]`, and its cookie. Raises HTTPException."""
        check_browser(request, self.settings)
        await self._check_open()
        self.limits.take_login(self.address_of(request), name)
        user = self.settings.users.get(name)
        password_hash = user.password_hash if user is not None else None
        if not await is_right(password, password_hash, self._one_password) or user is None:
            raise self._refused(request, "there is no such user, or the password is another one")
        return (await self._cookies()).of_user(name, user, self._now())

    async def session_to_end(self, request: Request) -> Session | None:
        """Return the login that is to be ended, None where there is none. Raises HTTPException."""
        cookie = request.cookies.get(SESSION_COOKIE)
        if cookie is None:
            return None
        try:
            return await self.session_of(request, cookie)
        except InvalidToken:
            return None

    def end_session(self, session: Session) -> None:
        """Let a login count no longer, also in a copy of its cookie."""
        principal, now = session.principal, self._now()
        self.tokens.add(
            TokenRecord(
                jti=principal.session,
                subject=principal.subject,
                account=principal.account,
                scope=" ".join(sorted(principal.scopes)),
                agent=principal.agent,
                created_at=now,
                expires_at=principal.expires_at,
                revoked_at=now,
            )
        )

    def address_of(self, request: Request) -> IpAddress:
        """Return the address of the client, as its proxy says where there is one."""
        peer, trusted = peer_of(request), networks_of(self.settings.trusted_proxies)
        if not self.settings.behind_proxy or not any(peer in network for network in trusted):
            return peer
        # Each proxy appends whom it heard; what stands before the first that is not ours, anybody can invent.
        for said in reversed(request.headers.get("x-forwarded-for", "").split(",")):
            try:
                address = _plain(ip_address(said.strip()))
            except ValueError:
                break
            if not any(address in network for network in trusted):
                return address
        return peer

    @property
    def _monitoring_is_open(self) -> bool:
        return self.settings.metrics == "open" or self.settings.listen.is_loopback

    async def _check_open(self) -> None:
        await self.keys.wait_tried()
        if self.keys.why_closed:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, CLOSED, {"Retry-After": "30"})

    async def _cookies(self) -> Sessions:
        if self._sessions is None:
            key = await trio.to_thread.run_sync(partial(session_key, self._key_file))
            self._sessions = self._sessions or Sessions(key)
        return self._sessions

    def _refuse_strangers(self, request: Request) -> None:
        """Raise HTTPException for a request that did not come through the proxy, but unencrypted."""
        settings, peer = self.settings, peer_of(request)
        if settings.behind_proxy and not any(peer in each for each in networks_of(settings.trusted_proxies)):
            Refusals.of_this_run().note(
                Refusal.HTTP_PROXY, log.warning, "a request that came past the proxy", address=str(peer)
            )
            raise HTTPException(HTTPStatus.FORBIDDEN, PAST_THE_PROXY)

    def _refused(self, request: Request, detail: str, error: str = "") -> HTTPException:
        address = self.address_of(request)
        self.limits.charge_bad_token(address)
        Refusals.of_this_run().note(
            Refusal.HTTP_UNAUTHORIZED,
            log.warning,
            "a request without a good token",
            address=str(address),
            why=detail,
        )
        return unauthorized(detail, error)


def bearer_of(request: Request) -> str | None:
    """Return the token that a request shows, None if it shows none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def peer_of(request: Request) -> IpAddress:
    """Return the address that a request came from over TCP."""
    host = request.client.host if request.client is not None else "::1"
    return _plain(ip_address(host.partition("%")[0]))


def _plain(address: IpAddress) -> IpAddress:
    """Return an IPv4 address as such, also where an IPv6 socket heard it."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@cache
def networks_of(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that the configuration names."""
    return tuple(map(ip_network, texts))
