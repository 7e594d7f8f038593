"""Keeps the keys that tokens are checked with, and follows an issuer who changes them, without a restart.

A key set is looked at again at times, and at once where a token names a key (`kid`) that nobody knows; but
not for each token, as anybody can invent names. Files and the network are read in threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from urllib.error import HTTPError, URLError

import structlog
import trio
from attrs import frozen

from callctl.api.keys import MOST_KEY_BYTES, Key, candidates, keys_of_set, read_key_set, read_keys
from callctl.config.settings import HttpSettings
from callctl.errors import ConfigError

log = structlog.get_logger(__name__)

FETCH_SECONDS = 10.0
"""How long an issuer may take to give its keys."""

TRY_AGAIN_SECONDS = 30.0
"""When an issuer that did not answer is asked again."""

FIRST_SECONDS = 3.0
"""How long the first requests wait for the keys to be read."""

STALE_SECONDS = 24 * 3600.0
"""How long keys count that could not be looked at again: an issuer that is down does not lock everybody out,
and nobody can keep a revoked key alive for ever by cutting us off from the issuer."""


@frozen
class Pace:
    """How often a key set is read: every `usual` seconds, and again after `least` for an unknown key."""

    usual: float
    least: float


OF_A_FILE = Pace(usual=5.0, least=1.0)
OF_A_URL = Pace(usual=300.0, least=10.0)


class KeyStore:
    """All keys of `[http]`."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._keys: Sequence[Key] = ()
        self._set: Sequence[Key] = ()
        self._set_read_at = -math.inf
        """When the key set was read last, with success, on Trio's clock."""
        self._set_tried_at = -math.inf
        self._file_problem = "" if not settings.has_keys else "the keys are being read"
        self._set_problem = ""
        self._turn = trio.Lock()
        self._again = trio.Event()
        self._tried = trio.Event()
        self._changes = 0

    @property
    def generation(self) -> tuple[int, bool]:
        """What is another value whenever a token that was good may not be so any more."""
        return self._changes, self._is_stale

    @property
    def problems(self) -> list[str]:
        """What is wrong with the keys, in words."""
        return [each for each in (self._file_problem, self._set_problem) if each]

    @property
    def why_closed(self) -> str:
        """Why nobody can be let in by a token, though keys are set; "" if they can.

        A file that cannot be used closes everything, as it is not known who was to be let in by it.
        """
        return self._file_problem or ("" if self._keys or self._set else self._set_problem)

    @property
    def checks_tokens(self) -> bool:
        """Whether there is a key, or is to be one."""
        settings = self._settings
        return any(
            (settings.jwt_secret_file, settings.jwt_public_key_file, settings.jwks_file, settings.jwks_url)
        )

    async def run(self) -> None:
        """Read the keys, and follow them, until cancelled."""
        while True:
            self._again = trio.Event()
            await self._read_files()
            if self._pace is None:
                self._set, self._set_problem = (), ""
                self._tried.set()
                await self._again.wait()
            else:
                await self._follow_set(self._pace)

    async def wait_tried(self) -> None:
        """Return when the keys were read for the first time, or could not be."""
        with trio.move_on_after(FIRST_SECONDS):
            await self._tried.wait()

    def reload(self, settings: HttpSettings) -> None:
        """Read all keys anew; until that is done the old ones count."""
        self._settings = settings
        self._changes += 1
        self._again.set()

    async def keys_for(self, algorithm: str, kid: str) -> list[Key]:
        """Return the keys that may check a token whose header says this.

        Where a key set does not have the `kid`, it is looked at again first, unless that was just done.
        """
        found = self._candidates(algorithm, kid)
        if kid and self._pace is not None and not any(key.kid == kid for key in self._set):
            await self._read_set_again(self._pace.least)
            found = self._candidates(algorithm, kid)
        return found

    def _candidates(self, algorithm: str, kid: str) -> list[Key]:
        return candidates([*self._keys, *(() if self._is_stale else self._set)], algorithm, kid)

    @property
    def _is_stale(self) -> bool:
        return trio.current_time() > self._set_read_at + STALE_SECONDS

    @property
    def _pace(self) -> Pace | None:
        if self._settings.jwks_file is not None:
            return OF_A_FILE
        return OF_A_URL if self._settings.jwks_url else None

    async def _read_files(self) -> None:
        self._changes += 1
        try:
            self._keys = await trio.to_thread.run_sync(read_keys, self._settings, abandon_on_cancel=True)
            self._file_problem = ""
            self._changes += 1
        except ConfigError as error:
            self._keys = ()
            self._file_problem = str(error)
            log.error("the HTTP API is closed: a key cannot be used; telephony goes on", why=str(error))

    async def _follow_set(self, pace: Pace) -> None:
        """Keep the key set up to date until all is to be read anew."""
        while not self._again.is_set():
            await self._read_set_again(0.0)
            self._tried.set()
            # An issuer that does not answer is asked again soon.
            pause = min(pace.usual, TRY_AGAIN_SECONDS) if self._set_problem else pace.usual
            with trio.move_on_after(pause):
                await self._again.wait()

    async def _read_set_again(self, least: float) -> None:
        """Read the key set, unless that was tried within the `least` seconds."""
        async with self._turn:
            if trio.current_time() < self._set_tried_at + least:
                return
            self._set_tried_at = trio.current_time()
            try:
                found = await self._read_set()
            except ConfigError as error:
                if str(error) != self._set_problem:
                    log.error("the key set cannot be read; the keys of before count on", why=str(error))
                self._set_problem = str(error)
                return
            names = sorted(key.kid for key in found)
            if names != sorted(key.kid for key in self._set):
                log.info("keys for tokens", kids=names)
            self._changes += 1
            self._set, self._set_problem, self._set_read_at = found, "", trio.current_time()

    async def _read_set(self) -> Sequence[Key]:
        settings = self._settings
        read: Callable[[], Sequence[Key]]
        if settings.jwks_file is not None:
            read = partial(read_key_set, settings.jwks_file, settings)
        else:
            read = partial(fetch_key_set, settings.jwks_url, settings)
        with trio.move_on_after(FETCH_SECONDS):
            return await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=_readers())
        raise ConfigError(f"{settings.jwks_file or settings.jwks_url}: no answer within {FETCH_SECONDS:g} s")


def fetch_key_set(url: str, settings: HttpSettings) -> Sequence[Key]:
    """Return the keys that an issuer publishes at `url`; blocks. Raises ConfigError."""
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class _NoRedirects(HTTPRedirectHandler):
        """An answer that leads elsewhere, perhaps to where no TLS is, is an error."""

        def redirect_request(self, *_arguments: object) -> None:
            return None

    where = f"http.jwks-url: {url}"
    request = Request(url, headers={"Accept": "application/json", "User-Agent": "callctl"})
    try:
        with build_opener(_NoRedirects).open(request, timeout=FETCH_SECONDS) as answer:
            content = answer.read(MOST_KEY_BYTES + 1)
    except HTTPError as error:
        error.close()
        leads = "; give the address that it leads to" if 300 <= error.code < 400 else ""
        raise ConfigError(f"{where}: answers with status {error.code}{leads}") from None
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise ConfigError(f"{where}: cannot be fetched: {reason}") from None
    if len(content) > MOST_KEY_BYTES:
        raise ConfigError(f"{where}: is longer than {MOST_KEY_BYTES} bytes")
    return keys_of_set(content, where, settings)


def _readers() -> trio.CapacityLimiter:
    """Return the limiter of this run: one that hangs keeps one thread, not all that there are."""
    try:
        return _READERS.get()
    except LookupError:
        limiter = trio.CapacityLimiter(2)
        _READERS.set(limiter)
        return limiter


_READERS: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("callctl.api.key_store")
