"""What the keys of `[http]` say of each other: no token crosses a network that others can read.

One address may be reached from other machines without TLS: that of a listener without keys, which has nothing
but health and metrics to show.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from callctl.config.settings import HttpSettings, is_loopback

OPEN_TO_OTHERS = (
    "other machines reach this address, and tokens would go there unencrypted; set tls-certificate-file and "
    "tls-key-file, or behind-proxy = true with a proxy that speaks TLS, or listen on 127.0.0.1"
)


def http_complaints(settings: HttpSettings) -> Iterator[tuple[str, str]]:
    """Yield the name of each field that does not fit the others, and what is wrong with it."""
    has_tls = settings.tls_certificate_file is not None
    if has_tls != (settings.tls_key_file is not None):
        missing = "tls_key_file" if has_tls else "tls_certificate_file"
        yield missing, "tls-certificate-file and tls-key-file are set together, or neither of them"
    if settings.jwks_file is not None and settings.jwks_url:
        yield "jwks_url", 'give either this or "jwks-file"'
    if settings.jwks_url and (complaint := _jwks_complaint(settings.jwks_url)):
        yield "jwks_url", complaint
    if settings.public_url and (complaint := _public_complaint(settings.public_url)):
        yield "public_url", complaint
    is_protected = has_tls or settings.behind_proxy
    if settings.has_keys and not settings.listen.is_loopback and not is_protected:
        yield "listen", OPEN_TO_OTHERS


def _jwks_complaint(url: str) -> str | None:
    parts = _parts(url)
    if parts is None or parts.scheme not in ("https", "http"):
        return "must be a URL, such as https://login.example.com/.well-known/jwks.json"
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return "must begin with https://, or anybody on the way could put keys of their own there"
    return None


def _public_complaint(url: str) -> str | None:
    parts = _parts(url)
    if parts is None or parts.scheme not in ("https", "http") or parts.path not in ("", "/") or parts.query:
        return "must be a URL without a path, such as https://callctl.example.com"
    return None


def _parts(url: str) -> SplitResult | None:
    """Return the parts of a URL that names a host, and no user; None of anything else."""
    try:
        parts = urlsplit(url)
        is_address = (
            bool(parts.hostname) and parts.username is None and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return None
    return parts if is_address else None
