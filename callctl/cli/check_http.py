"""What `callctl check` says of the HTTP API: its keys, its key set, and its certificate."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from callctl.api.key_store import fetch_key_set
from callctl.api.keys import Key, read_key_set, read_keys
from callctl.api.tls import certificate_ends_at, server_context
from callctl.cli.findings import Finding, Verdict
from callctl.clock import iso_utc
from callctl.config.settings import HttpSettings
from callctl.errors import ConfigError

WHAT = "HTTP API"
SOON_SECONDS = 14 * 86400.0
"""When a certificate that ends is spoken of: most are renewed 30 days before."""


def http_findings(settings: HttpSettings) -> Iterator[Finding]:
    """Yield what is wrong with the keys of `[http]`, or that they are well; nothing if there are none.

    Blocks, and asks the issuer, if there is one.
    """
    if not settings.has_keys:
        return
    problems = list(_problems(settings))
    yield from problems
    if not any(problem.verdict is Verdict.WRONG for problem in problems):
        yield Finding(WHAT, Verdict.OK, f"at {settings.listen}, with {_names(settings)}")


def _problems(settings: HttpSettings) -> Iterator[Finding]:
    try:
        read_keys(settings)
        _key_set(settings)
    except ConfigError as error:
        yield Finding(WHAT, Verdict.WRONG, f"closed, as a key cannot be used: {error}")
    for name, path in (
        ("jwt-secret-file", settings.jwt_secret_file),
        ("tls-key-file", settings.tls_key_file),
    ):
        if path is not None and _is_open_to_others(path):
            words = f"http.{name}: everybody on this machine may read {path}; chmod o-r {path}"
            yield Finding(WHAT, Verdict.WARNING, words)
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    if certificate is None or key is None:
        return
    try:
        server_context(certificate, key)
    except ConfigError as error:
        yield Finding(WHAT, Verdict.WRONG, f"closed, as its certificate cannot be used: {error}")
        return
    ends_at = certificate_ends_at(certificate)
    if ends_at < time.time() + SOON_SECONDS:
        verdict = Verdict.WARNING if ends_at > time.time() else Verdict.WRONG
        yield Finding(
            WHAT, verdict, f"its certificate {certificate} counts until {iso_utc(ends_at)}; renew it"
        )


def _key_set(settings: HttpSettings) -> Sequence[Key]:
    if settings.jwks_file is not None:
        return read_key_set(settings.jwks_file, settings)
    return fetch_key_set(settings.jwks_url, settings) if settings.jwks_url else ()


def _is_open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _names(settings: HttpSettings) -> str:
    named = {
        "the secret of jwt-secret-file": settings.jwt_secret_file,
        "the key of jwt-public-key-file": settings.jwt_public_key_file,
        "the keys of jwks-file": settings.jwks_file,
        "the keys of jwks-url": settings.jwks_url,
        f"users ({len(settings.users)})": settings.users,
        "TLS": settings.tls_certificate_file,
        "a proxy before it": settings.behind_proxy,
    }
    return ", ".join(name for name, value in named.items() if value)
