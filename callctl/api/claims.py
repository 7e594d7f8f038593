"""What a token says: its signature and its claims are checked, and it becomes a principal; and callctl's own.

What is wrong with a token is said in words, to whoever holds it: `InvalidToken`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from callctl.api.access import Principal
from callctl.api.keys import Key
from callctl.config.settings import HttpSettings
from callctl.errors import InvalidToken
from callctl.model import DEFAULT_ACCOUNT, Scope, TokenRecord
from callctl.records.accounts import account_complaint
from callctl.records.tokens import LONGEST_NAME

LONGEST_TOKEN = 8 * 1024
"""Characters. An issuer's largest have 4 kB; hypercorn takes a head of 64 kB."""

CLOCK_SECONDS = 5.0
"""How far an issuer's clock may be ahead of ours. None of it is granted to a token that has expired."""

DEFAULT_ACCOUNT_CLAIM = HttpSettings().claim_account


def verified_claims(
    token: str, algorithm: str, keys: Sequence[Key], settings: HttpSettings, now: float
) -> Mapping[str, Any]:
    """Return what a token says that one of `keys` has signed with `algorithm`, and that counts `now`.

    Raises InvalidToken.
    """
    import jwt

    if not keys:
        raise InvalidToken(f"no key that callctl has checks its signature ({algorithm[:20]})")
    options: Any = {
        "require": ["sub", "exp"],
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
    }
    claims: Mapping[str, Any] | None = None
    for key in keys:
        try:
            claims = jwt.decode(
                token,
                key.material,
                algorithms=[algorithm],
                audience=settings.jwt_audience or None,
                issuer=settings.jwt_issuer or None,
                options=options,
            )
            break
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise InvalidToken(_words(error, settings)) from None
    if claims is None:
        raise InvalidToken("its signature is wrong")
    _check_times(claims, now)
    return claims


def principal_of_claims(claims: Mapping[str, Any], settings: HttpSettings) -> Principal:
    """Return who holds a token with these claims. Raises InvalidToken for one that makes no sense."""
    return Principal(
        subject=_text(claims, "sub"),
        scopes=_scopes(_found(claims, settings.claim_scope)),
        account=_account(claims, settings),
        agent=_text(claims, settings.claim_agent, default=""),
        jti=_text(claims, "jti", default=""),
        expires_at=float(claims["exp"]),
    )


def made_token(secret: bytes, record: TokenRecord, settings: HttpSettings) -> str:
    """Return the token that `record` describes, signed with `jwt-secret-file`; it has an end."""
    import jwt

    claims: dict[str, Any] = {
        "sub": record.subject,
        "iat": int(record.created_at),
        "exp": int(record.expires_at or record.created_at),
        "jti": record.jti,
    }
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    _put(claims, settings.claim_scope, record.scope)
    _put(claims, settings.claim_account, record.account)
    if record.agent:
        _put(claims, settings.claim_agent, record.agent)
    return jwt.encode(claims, secret, algorithm=_own_algorithm(settings))


def _own_algorithm(settings: HttpSettings) -> str:
    """Return the HMAC that this configuration accepts."""
    return next((each for each in settings.jwt_algorithms if each.startswith("HS")), "HS256")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    expires_at = _moment(claims, "exp")
    if expires_at is None or now >= expires_at:
        raise InvalidToken("it has expired")
    for name in ("nbf", "iat"):
        begins_at = _moment(claims, name)
        if begins_at is not None and now < begins_at - CLOCK_SECONDS:
            raise InvalidToken(f"it does not count yet ({name})")


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidToken(f"its {name} is no number of seconds")
    return float(value)


def _found(claims: Mapping[str, Any], path: str) -> object:
    """Return the claim of this name, or the one that a path such as `realm_access.roles` leads to."""
    if path in claims:
        return claims[path]
    value: object = claims
    for part in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _put(claims: dict[str, Any], path: str, value: str) -> None:
    *tables, name = path.split(".")
    for part in tables:
        claims = claims.setdefault(part, {})
    claims[name] = value


def _text(claims: Mapping[str, Any], path: str, default: str | None = None) -> str:
    value = _found(claims, path)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or not value or len(value) > LONGEST_NAME or not value.isprintable():
        raise InvalidToken(f"its {path} must be a text of 1 to {LONGEST_NAME} characters")
    return value


def _scopes(value: object) -> frozenset[Scope]:
    """Return those of our scopes that a claim names, a text or a list; an issuer has others as well."""
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return frozenset(scope for scope in Scope if scope.value in words)


def _account(claims: Mapping[str, Any], settings: HttpSettings) -> str:
    """Return the account. Where a site has said which claim it is, a token without it is none of its."""
    default = DEFAULT_ACCOUNT if settings.claim_account == DEFAULT_ACCOUNT_CLAIM else None
    named = _text(claims, settings.claim_account, default)
    if account_complaint(named) is not None:
        raise InvalidToken(f"its {settings.claim_account} cannot be the name of an account")
    return named


def _words(error: Exception, settings: HttpSettings) -> str:
    import jwt

    match error:
        case jwt.MissingRequiredClaimError():
            return f"it has no {error.claim}"
        case jwt.InvalidAudienceError() if not settings.jwt_audience:
            return (
                "it is meant for somebody (aud), and jwt-audience in [http] does not say that it is callctl"
            )
        case jwt.InvalidAudienceError():
            return "it is meant for somebody else (aud)"
        case jwt.InvalidIssuerError():
            return "another issuer made it (iss)"
        case _:
            return "it is damaged"
