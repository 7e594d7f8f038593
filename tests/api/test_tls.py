"""The `[http]` listener speaks TLS, takes a new certificate without a restart, and trusts its proxy alone."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import trio

from callctl.api.app import public_app
from callctl.api.listeners import serve_http
from callctl.api.tls import Tls
from callctl.config.settings import Address, HttpSettings
from tests.api.house import Visited, open_house, until
from tests.api.issuer import bearer, openssl, own_issuer

LOOPBACK = Address("127.0.0.1", 0)


def make_certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """Return a new certificate for 127.0.0.1 of this name, and its key."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"),
        *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    return certificate, key


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@asynccontextmanager
async def served(visited: Visited, tls: Tls) -> AsyncIterator[int]:
    async with trio.open_nursery() as nursery:
        await tls.load()
        nursery.start_soon(tls.run)
        app = public_app(visited.house, visited.metrics)
        port: int = await nursery.start(serve_http, app, LOOPBACK, tls)
        yield port
        nursery.cancel_scope.cancel()


async def get(port: int, path: str, certificate: Path, **headers: str) -> httpx2.Response:
    verify = trusting(certificate)
    async with httpx2.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=verify) as client:
        return await client.get(path, headers=headers)


async def test_the_listener_speaks_tls_and_nothing_else(tmp_path: Path, visited: Visited) -> None:
    certificate, key = make_certificate(tmp_path, "callctl")
    tls = Tls(HttpSettings(tls_certificate_file=certificate, tls_key_file=key))
    async with served(visited, tls) as port:
        assert (await get(port, "/healthz", certificate)).json() == {"alive": True}
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: callctl\r\n\r\n")
            with trio.fail_after(5):
                answer = b"".join([piece async for piece in stream])
        assert not answer.startswith(b"HTTP/1.1 200")
        assert (await get(port, "/readyz", certificate)).status_code == 200


async def test_old_versions_of_tls_are_refused(tmp_path: Path, visited: Visited) -> None:
    certificate, key = make_certificate(tmp_path, "callctl")
    tls = Tls(HttpSettings(tls_certificate_file=certificate, tls_key_file=key))
    async with served(visited, tls) as port:
        assert tls.context is not None
        assert tls.context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert (await get(port, "/healthz", certificate)).status_code == 200


async def test_a_client_that_does_not_agree_on_keys_is_given_up(
    tmp_path: Path, visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callctl.api.listeners.FIRST_BYTE_SECONDS", 0.1)
    certificate, key = make_certificate(tmp_path, "callctl")
    tls = Tls(HttpSettings(tls_certificate_file=certificate, tls_key_file=key))
    async with served(visited, tls) as port, await trio.open_tcp_stream("127.0.0.1", port) as silent:
        with trio.fail_after(5):
            assert await silent.receive_some() == b""


async def test_a_new_certificate_counts_after_a_reload(tmp_path: Path, visited: Visited) -> None:
    certificate, key = make_certificate(tmp_path, "first")
    settings = HttpSettings(tls_certificate_file=certificate, tls_key_file=key)
    tls = Tls(settings)
    async with served(visited, tls) as port:
        first = await trio.to_thread.run_sync(_common_name, port)
        make_certificate(tmp_path, "second")
        tls.reload(settings)

        async def is_new() -> bool:
            return await trio.to_thread.run_sync(_common_name, port) != first

        await until(is_new)
        certificate.write_text("no certificate")
        tls.reload(settings)
        await until(lambda: _is_read(tls, False))
        assert tls.problem.startswith("http.tls-certificate-file: ")
        second = await trio.to_thread.run_sync(_common_name, port)
        assert second != first, "the one of before stays"


async def _is_read(tls: Tls, is_well: bool) -> bool:
    await trio.lowlevel.checkpoint()
    return is_well is (tls.problem == "")


def _common_name(port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
        context.wrap_socket(plain) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


async def test_without_a_usable_certificate_nobody_is_let_in_until_there_is_one(
    tmp_path: Path, visited: Visited
) -> None:
    settings = HttpSettings(tls_certificate_file=tmp_path / "cert.pem", tls_key_file=tmp_path / "key.pem")
    tls = Tls(settings)
    async with served(visited, tls) as port:
        assert "cannot be read" in tls.problem
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.fail_after(5):
                assert await stream.receive_some() == b""
        certificate, _ = make_certificate(tmp_path, "callctl")
        tls.reload(settings)
        await until(lambda: _is_read(tls, True))
        assert (await get(port, "/healthz", certificate)).status_code == 200


@pytest.mark.parametrize(("trusted", "status"), [(("127.0.0.0/8",), 200), (("192.0.2.7",), 403)])
async def test_behind_a_proxy_nobody_else_is_served(
    tmp_path: Path, trusted: tuple[str, ...], status: int
) -> None:
    issuer, http = own_issuer(tmp_path)
    proxied = HttpSettings(jwt_secret_file=http.jwt_secret_file, behind_proxy=True, trusted_proxies=trusted)
    async with open_house(tmp_path / "callctl.db", proxied) as visited:
        answer = await visited.public.get("/api/v1/me", headers=bearer(issuer.token()))
        assert answer.status_code == status
        assert (await visited.public.get("/healthz")).status_code == 200
