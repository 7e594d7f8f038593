"""An issuer's keys are followed without a restart: a new one counts at once, an old one soon no longer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field

from callctl.api import key_store
from callctl.api.claims import verified_claims
from callctl.api.key_store import KeyStore, Pace
from callctl.config.settings import HttpSettings
from callctl.errors import InvalidToken
from tests.api.house import until
from tests.api.issuer import Issuer, new_issuer, write_key_set

SLOW = Pace(usual=3600.0, least=0.0)
"""Looks again for an unknown key alone, and then each time."""


@pytest.fixture(scope="module")
def issuers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Issuer, Issuer]:
    directory = tmp_path_factory.mktemp("issuers")
    return new_issuer(directory, "ES256", "old"), new_issuer(directory, "ES256", "new")


@asynccontextmanager
async def running(settings: HttpSettings) -> AsyncIterator[KeyStore]:
    store = KeyStore(settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        await store.wait_tried()
        yield store
        nursery.cancel_scope.cancel()


async def accepts(store: KeyStore, issuer: Issuer, settings: HttpSettings) -> bool:
    keys = await store.keys_for(issuer.algorithm, issuer.kid)
    try:
        verified_claims(issuer.token(), issuer.algorithm, keys, settings, time.time())
    except InvalidToken:
        return False
    return True


@define
class Published:
    """A key set on a web server, which counts how often it was fetched."""

    url: str
    content: bytes = b""
    status: int = 200
    delay: float = 0.0
    fetched: int = 0
    headers: dict[str, str] = field(factory=dict)

    def publish(self, *issuers: Issuer) -> None:
        self.content = json.dumps({"keys": [issuer.described for issuer in issuers]}).encode()


@contextmanager
def web_server() -> Iterator[Published]:
    published = Published("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.fetched += 1
            time.sleep(published.delay)
            self.send_response(published.status)
            for name, value in published.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(published.content)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    published.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield published
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_a_key_that_an_issuer_adds_counts_at_once_and_one_that_it_removes_no_longer(
    tmp_path: Path, issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "OF_A_FILE", SLOW)
    old, new = issuers
    settings = HttpSettings(jwks_file=tmp_path / "jwks.json")
    write_key_set(tmp_path / "jwks.json", old)
    async with running(settings) as store:
        assert await accepts(store, old, settings)
        write_key_set(tmp_path / "jwks.json", new)
        assert await accepts(store, new, settings)
        assert not await accepts(store, old, settings)


async def test_a_removed_key_is_refused_soon_even_if_no_new_one_is_used(
    tmp_path: Path, issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "OF_A_FILE", Pace(usual=0.02, least=1.0))
    old, new = issuers
    settings = HttpSettings(jwks_file=tmp_path / "jwks.json")
    write_key_set(tmp_path / "jwks.json", old, new)
    async with running(settings) as store:
        assert await accepts(store, old, settings)
        write_key_set(tmp_path / "jwks.json", new)

        async def is_refused() -> bool:
            return not await accepts(store, old, settings)

        await until(is_refused)
        assert await accepts(store, new, settings)


async def test_a_damaged_key_set_leaves_the_keys_of_before(
    tmp_path: Path, issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "OF_A_FILE", SLOW)
    old, new = issuers
    settings = HttpSettings(jwks_file=tmp_path / "jwks.json")
    write_key_set(tmp_path / "jwks.json", old)
    async with running(settings) as store:
        (tmp_path / "jwks.json").write_text("{")
        assert not await accepts(store, new, settings)
        assert await accepts(store, old, settings)
        assert store.why_closed == ""
        [problem] = store.problems
        assert problem.startswith("http.jwks-file: ")


async def test_a_key_set_is_fetched_and_rotated_without_a_restart(
    issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "OF_A_URL", SLOW)
    old, new = issuers
    with web_server() as published:
        published.publish(old)
        settings = HttpSettings(jwks_url=published.url)
        async with running(settings) as store:
            assert await accepts(store, old, settings)
            assert published.fetched == 1, "a known key asks nobody"
            published.publish(new)
            assert await accepts(store, new, settings)
            assert not await accepts(store, old, settings)


async def test_invented_key_names_do_not_make_us_ask_the_issuer_each_time(
    issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "OF_A_URL", Pace(usual=3600.0, least=3600.0))
    old, _ = issuers
    with web_server() as published:
        published.publish(old)
        async with running(HttpSettings(jwks_url=published.url)) as store:
            for number in range(20):
                assert await store.keys_for("ES256", f"invented-{number}") == []
            assert published.fetched == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": 500}, "answers with status 500"),
        ({"status": 302, "headers": {"Location": "/other"}}, "status 302; give the address that it leads to"),
        ({"content": b"<html>"}, "is no JWKS"),
        ({"content": b"[" * 200_000}, "is no JWKS"),
        ({"content": b" " * 300_000}, "is longer than 262144 bytes"),
        ({"delay": 0.5}, "no answer within 0.05 s"),
    ],
)
async def test_an_issuer_that_gives_no_keys_keeps_the_api_closed(
    issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], why: str
) -> None:
    if "delay" in changes:
        monkeypatch.setattr(key_store, "FETCH_SECONDS", 0.05)
    old, _ = issuers
    with web_server() as published:
        published.publish(old)
        for name, value in changes.items():
            setattr(published, name, value)
        settings = HttpSettings(jwks_url=published.url)
        async with running(settings) as store:
            assert why in store.why_closed
            assert not await accepts(store, old, settings)


async def test_an_issuer_who_was_down_at_the_start_is_asked_again(
    issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "TRY_AGAIN_SECONDS", 0.02)
    old, _ = issuers
    with web_server() as published:
        published.status = 503
        settings = HttpSettings(jwks_url=published.url)
        async with running(settings) as store:
            assert store.why_closed
            published.status = 200
            published.publish(old)

            async def is_accepted() -> bool:
                return await accepts(store, old, settings)

            await until(is_accepted)
            assert not store.problems


async def test_keys_that_could_not_be_looked_at_for_a_day_count_no_longer(
    issuers: tuple[Issuer, Issuer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_store, "OF_A_URL", Pace(usual=3600.0, least=3600.0))
    old, _ = issuers
    with web_server() as published:
        published.publish(old)
        settings = HttpSettings(jwks_url=published.url)
        async with running(settings) as store:
            assert await accepts(store, old, settings)
            monkeypatch.setattr(key_store, "STALE_SECONDS", -1.0)
            assert not await accepts(store, old, settings)


async def test_a_key_of_a_set_checks_only_what_it_is_for(
    tmp_path: Path, issuers: tuple[Issuer, Issuer]
) -> None:
    old, new = issuers
    for changes in ({"use": "enc"}, {"key_ops": ["sign"]}, {"alg": "ES384"}, {"kty": "oct"}, {"crv": "P-0"}):
        entries = [{**old.described, **changes}, new.described]
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": entries}))
        settings = HttpSettings(jwks_file=tmp_path / "jwks.json")
        async with running(settings) as store:
            assert not await accepts(store, old, settings), changes
            assert await accepts(store, new, settings)


async def test_a_token_without_a_key_name_is_checked_by_each_key_that_fits(
    tmp_path: Path, issuers: tuple[Issuer, Issuer]
) -> None:
    old, new = issuers
    write_key_set(tmp_path / "jwks.json", old, new)
    settings = HttpSettings(jwks_file=tmp_path / "jwks.json")
    async with running(settings) as store:
        assert await accepts(store, evolve(new, kid=""), settings)
        wrong_name = evolve(new, kid="old")
        assert not await accepts(store, wrong_name, settings)


def test_nobody_waits_for_libraries_that_are_not_used() -> None:
    """PyJWT with cryptography takes a tenth of a second to load."""
    code = (
        "import sys, callctl.server, callctl.api.serve\n"
        "print(*sorted({'jwt', 'argon2', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
