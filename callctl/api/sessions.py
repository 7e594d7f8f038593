"""Logins of browsers: a cookie that says who it is, which callctl signs with a key of its own.

The key lies beside the database, so that a restart logs nobody out. A **session** ends with the token that it
was exchanged for, with the user's entry in callctl.toml, or by logging out. What it changes needs a header
that only a page of ours can send, as any page can have a browser send the cookie.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from attrs import evolve, frozen

from callctl.api.access import Principal
from callctl.config.settings import HttpSettings, UserSettings
from callctl.errors import InvalidToken
from callctl.model import Scope

log = structlog.get_logger(__name__)

SESSION_COOKIE = "callctl_session"
CSRF_COOKIE = "callctl_csrf"
CSRF_HEADER = "X-CSRF-Token"
KEY_BYTES = 32
ALGORITHM = "HS256"
AUDIENCE = "callctl-session"

LOGIN_SECONDS = 12 * 3600.0
"""How long a login with a password counts: a shift."""

LONGEST_SECONDS = 400 * 86400.0
"""No browser keeps a cookie for longer."""


@frozen(kw_only=True)
class Session:
    """A login: who it is, and what its changes have to show."""

    principal: Principal
    csrf_token: str


class Sessions:
    """Makes and reads the cookies of one server."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_user(self, name: str, user: UserSettings, now: float) -> tuple[Session, str]:
        """Return the session of a user who has just logged in, and its cookie."""
        principal = _principal_of_user(name, user, now + LOGIN_SECONDS)
        return self._new(principal, {"user": name, "hash": _fingerprint(user)})

    def of_token(self, principal: Principal, now: float) -> tuple[Session, str]:
        """Return the session of whoever has just shown a token, and its cookie; it ends with the token."""
        ends_at = min(principal.expires_at or now, now + LONGEST_SECONDS)
        scope = " ".join(principal.scopes)
        said = {"scope": scope, "account": principal.account, "agent": principal.agent, "jti": principal.jti}
        return self._new(evolve(principal, expires_at=ends_at), said)

    def read(self, cookie: str, settings: HttpSettings, now: float) -> Session:
        """Return the session that a cookie names. Raises InvalidToken for one that is no good."""
        import jwt

        options: Any = {"require": ["sub", "exp", "sid"], "verify_exp": False}
        try:
            claims: Mapping[str, Any] = jwt.decode(
                cookie, self._key, algorithms=[ALGORITHM], audience=AUDIENCE, options=options
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise InvalidToken("the login is not accepted") from None
        expires_at = float(claims["exp"])
        if now >= expires_at:
            raise InvalidToken("the login has expired")
        if "user" in claims:
            user = settings.users.get(claims["user"])
            if user is None or _fingerprint(user) != claims["hash"]:
                raise InvalidToken("this login does not count any more")
            principal = _principal_of_user(claims["user"], user, expires_at)
        else:
            principal = Principal(
                subject=claims["sub"],
                scopes=frozenset(Scope(each) for each in claims["scope"].split()),
                account=claims["account"],
                agent=claims["agent"],
                jti=claims["jti"],
                expires_at=expires_at,
            )
        return self._session(principal, claims["sid"])

    def _new(self, principal: Principal, said: Mapping[str, str]) -> tuple[Session, str]:
        import jwt

        sid = secrets.token_urlsafe(16)
        claims = {
            **said,
            "sub": principal.subject,
            "aud": AUDIENCE,
            "sid": sid,
            "exp": int(principal.expires_at or 0),
        }
        return self._session(principal, sid), jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def _session(self, principal: Principal, sid: str) -> Session:
        csrf_token = hmac.new(self._key, f"csrf {sid}".encode(), hashlib.sha256).hexdigest()[:32]
        return Session(principal=evolve(principal, session=sid), csrf_token=csrf_token)


def session_key(path: Path) -> bytes:
    """Return the key in the file at `path`, which is made if there is none; blocks.

    Where it cannot be, the key is one for this run alone, and everybody has to log in after a restart. PyJWT
    is there afterwards.
    """
    import jwt  # noqa: F401

    try:
        try:
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
        except FileExistsError:
            pass
        key = path.read_bytes()
    except OSError as error:
        log.warning("logins end with this run: no key can be kept", file=str(path), why=error.strerror)
        return secrets.token_bytes(KEY_BYTES)
    if len(key) != KEY_BYTES:
        log.warning("logins end with this run: this is no key of ours; remove it", file=str(path))
        return secrets.token_bytes(KEY_BYTES)
    return key


def _principal_of_user(name: str, user: UserSettings, expires_at: float) -> Principal:
    return Principal(
        subject=name,
        scopes=frozenset(Scope(each) for each in user.scope.split()),
        account=user.account,
        agent=user.agent,
        expires_at=expires_at,
    )


def _fingerprint(user: UserSettings) -> str:
    """Return what changes with the password, and tells nothing of it."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()[:16]
