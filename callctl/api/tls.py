"""TLS of the `[http]` listener: its certificate is read at the start and again at SIGHUP, without a restart.

A certificate that cannot be used never stops the server, as calls do not depend on it: at the start nobody is
let in then, and at a reload the one of before stays.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog
import trio

from callctl.config.settings import HttpSettings
from callctl.errors import ConfigError

log = structlog.get_logger(__name__)

READ_SECONDS = 5.0
"""How long the files may take to be read; they may lie on a disk on the network."""


class Tls:
    """The context that connections are encrypted with, and what is wrong with its files."""

    def __init__(self, settings: HttpSettings) -> None:
        self.is_wanted = settings.tls_certificate_file is not None
        """Whether connections are encrypted; this counts from the start on."""
        self.context: ssl.SSLContext | None = None
        self.problem = ""
        self._settings = settings
        self._again = trio.Event()

    async def run(self) -> None:
        """Read the files again whenever `reload` was called, until cancelled."""
        while True:
            await self._again.wait()
            self._again = trio.Event()
            await self.load()

    def reload(self, settings: HttpSettings) -> None:
        """Take the certificate of `settings`, or what its files hold now."""
        self._settings = settings
        self._again.set()

    async def load(self) -> None:
        """Read the files; where they cannot be used, `problem` says why, and the context of before stays."""
        certificate, key = self._settings.tls_certificate_file, self._settings.tls_key_file
        if not self.is_wanted or certificate is None or key is None:
            return
        try:
            with trio.fail_after(READ_SECONDS):
                self.context = await trio.to_thread.run_sync(
                    server_context, certificate, key, abandon_on_cancel=True
                )
        except trio.TooSlowError:
            self.problem = f"http.tls-certificate-file: cannot be read within {READ_SECONDS:g} s"
        except ConfigError as error:
            self.problem = str(error)
        else:
            self.problem = ""
            return
        kept = "the one of before stays" if self.context else "nobody can connect to the HTTP API"
        log.error(f"the certificate cannot be used; {kept}; telephony goes on", why=self.problem)


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a server with this certificate; blocks. Raises ConfigError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for name, path in (("tls-certificate-file", certificate), ("tls-key-file", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(f"http.{name}: {path} cannot be read: {error.strerror}") from None
    try:
        # A key with a passphrase would otherwise be asked for on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigError(
            f"http.tls-certificate-file: {certificate} and {key} are no certificate and its key, in PEM and "
            f"without a passphrase: {getattr(error, 'reason', None) or error}"
        ) from None
    return context


def certificate_ends_at(certificate: Path) -> float:
    """Return until when a certificate counts, in epoch seconds; it can be read."""
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc.timestamp()
