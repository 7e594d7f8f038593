"""The keys with which tokens are checked: read from files and key sets, and refused where they are no good.

Each key says for itself which signatures it may check, so that no token can choose: a public key never checks
an HMAC, and a secret nothing else. PyJWT is imported by the functions alone that need it, as it takes a tenth
of a second.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from attrs import field, frozen

from callctl.config.settings import JWT_ALGORITHMS, HttpSettings
from callctl.errors import ConfigError, InvalidToken

log = structlog.get_logger(__name__)

SHORTEST_SECRET_BYTES = 32
"""As long as the hash of HS256 (RFC 7518, 3.2); a shorter one can be found by trying."""

SHORTEST_RSA_BITS = 2048
MOST_KEY_BYTES = 256 * 1024
"""Of a file or an answer that holds keys. An issuer has a handful of them, of 2 kB each."""

MOST_KEYS = 100

_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_HMAC = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The least length of a secret in bytes, by algorithm."""


@frozen(kw_only=True)
class Key:
    """One key: `algorithms` are those whose signatures it may check. `kid` is "" where it has no name."""

    material: Any = field(repr=False)
    algorithms: tuple[str, ...]
    kid: str = ""


def read_secret(settings: HttpSettings) -> bytes:
    """Return the secret of `jwt-secret-file`, which must be set. Raises ConfigError."""
    name, path = "http.jwt-secret-file", settings.jwt_secret_file
    assert path is not None
    secret = _content(name, path).strip()
    if b"-----BEGIN" in secret:
        raise ConfigError(
            f"{name}: {path} holds no secret but a key in PEM; a public one is jwt-public-key-file"
        )
    if len(secret) < SHORTEST_SECRET_BYTES:
        raise ConfigError(
            f"{name}: {path} has {len(secret)} bytes, and needs {SHORTEST_SECRET_BYTES}: "
            f"openssl rand -base64 48 > {path}"
        )
    return secret


def read_keys(settings: HttpSettings) -> list[Key]:
    """Return the keys of `jwt-secret-file` and `jwt-public-key-file`, as far as these are set.

    Raises ConfigError for a key that cannot be used. Blocks; PyJWT is there afterwards, so that nobody else
    has to wait for its files.
    """
    if settings.jwt_secret_file is None and settings.jwt_public_key_file is None:
        return []
    import jwt  # noqa: F401

    keys = []
    if settings.jwt_secret_file is not None:
        secret = read_secret(settings)
        fitting = [name for name, least in _HMAC.items() if len(secret) >= least]
        allowed = _allowed("jwt-secret-file", fitting, ["HS256"], settings)
        keys.append(Key(material=secret, algorithms=allowed))
    if settings.jwt_public_key_file is not None:
        name = "jwt-public-key-file"
        key = _public_key(settings.jwt_public_key_file, f"http.{name}")
        keys.append(
            Key(material=key, algorithms=_allowed(name, *_algorithms_of(key, f"http.{name}"), settings))
        )
    return keys


def read_key_set(path: Path, settings: HttpSettings) -> list[Key]:
    """Return the keys of a JWKS in a file. Raises ConfigError."""
    return keys_of_set(_content("http.jwks-file", path), f"http.jwks-file: {path}", settings)


def keys_of_set(content: bytes, where: str, settings: HttpSettings) -> list[Key]:
    """Return the keys of a JWKS that can check a signature; those that cannot are logged and left out.

    `where` stands before what is wrong. Raises ConfigError for what is no JWKS, or has no key for us.
    """
    try:
        document = json.loads(content)
        listed = document["keys"]
        if not isinstance(listed, list):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(f'{where}: is no JWKS: {{"keys": [...]}}') from None
    keys = []
    for each in listed[:MOST_KEYS]:
        try:
            keys.append(_key_of_set(each, settings))
        except ConfigError as error:
            kid = each.get("kid") if isinstance(each, dict) else None
            log.warning(
                "a key of the key set cannot be used", where=where, kid=str(kid)[:100], why=str(error)
            )
    if not keys:
        raise ConfigError(f"{where}: has no key with which tokens can be checked")
    return keys


def candidates(keys: Iterable[Key], algorithm: str, kid: str) -> list[Key]:
    """Return the keys that may check a token whose header says this; `kid` is "" where it names none.

    A key without a name checks whatever its algorithm fits; one with a name only what names it, or nothing.
    """
    fitting = [key for key in keys if algorithm in key.algorithms]
    return [key for key in fitting if not kid or not key.kid or key.kid == kid]


def _key_of_set(described: object, settings: HttpSettings) -> Key:
    import jwt

    if not isinstance(described, dict):
        raise ConfigError("it is no JSON object")
    if described.get("kty") == "oct":
        raise ConfigError("it is a secret, which a key set must not hold")
    operations = described.get("key_ops")
    if described.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        raise ConfigError("it is not for signatures")
    public = {name: value for name, value in described.items() if name not in ("alg", "d", "p", "q")}
    if public.get("crv") in ("Ed25519", "Ed448") or public.get("kty") == "EC" or public.get("kty") == "RSA":
        try:
            key = jwt.PyJWK.from_dict(public).key
        except Exception as error:  # the library raises whatever a value of a wrong type makes it raise
            raise ConfigError(f"it cannot be read: {type(error).__name__}: {error}") from None
    else:
        raise ConfigError("its type is none of RSA, EC with a named curve, and Ed25519")
    fitting, usual = _algorithms_of(key, "it")
    named = described.get("alg")
    if isinstance(named, str):
        fitting = usual = [each for each in fitting if each == named]
    kid = described.get("kid")
    return Key(
        material=key,
        algorithms=_allowed("it", fitting, usual, settings),
        kid=kid if isinstance(kid, str) else "",
    )


def _public_key(path: Path, name: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    content = _content(name, path)
    if b"PRIVATE KEY" in content:
        raise ConfigError(
            f"{name}: {path} holds a private key, which callctl must not have; give the public one"
        )
    try:
        if b"BEGIN CERTIFICATE" in content:
            return load_pem_x509_certificate(content).public_key()
        return load_pem_public_key(content)
    except Exception as error:  # ValueError, UnsupportedAlgorithm, and others of the library's
        raise ConfigError(f"{name}: {path} holds no public key in PEM: {error}") from None


def _algorithms_of(key: Any, name: str) -> tuple[list[str], list[str]]:
    """Return the algorithms that fit a public key, and those of them that are accepted by default."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if isinstance(key, RSAPublicKey):
        if key.key_size < SHORTEST_RSA_BITS:
            raise ConfigError(f"{name}: has {key.key_size} bits, and needs {SHORTEST_RSA_BITS}")
        return [each for each in JWT_ALGORITHMS if each[:2] in ("RS", "PS")], ["RS256"]
    if isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return [_CURVES[key.curve.name]], [_CURVES[key.curve.name]]
    if isinstance(key, Ed25519PublicKey):
        _know_ed25519()
        return ["EdDSA", "Ed25519"], ["EdDSA", "Ed25519"]
    raise ConfigError(f"{name}: is no key for RS256, ES256 or EdDSA")


def _know_ed25519() -> None:
    """Teach PyJWT the newer name of EdDSA with Ed25519 (RFC 9864), which other libraries sign with."""
    import jwt

    if "Ed25519" not in jwt.algorithms.get_default_algorithms():
        with suppress(ValueError):  # it was taught before
            jwt.register_algorithm("Ed25519", jwt.algorithms.OKPAlgorithm())


def _allowed(
    name: str, fitting: Sequence[str], usual: Sequence[str], settings: HttpSettings
) -> tuple[str, ...]:
    """Return which of the fitting algorithms a key may check. Raises ConfigError where none is left."""
    allowed = tuple(each for each in fitting if each in settings.jwt_algorithms)
    if not settings.jwt_algorithms:
        allowed = tuple(usual)
    if not allowed:
        wanted = f"jwt-algorithms {', '.join(settings.jwt_algorithms)}" if settings.jwt_algorithms else "any"
        raise ConfigError(f"{name}: the key fits none of {wanted}")
    return allowed


def _content(name: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_KEY_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be read: {error.strerror or error}") from None
    if len(content) > MOST_KEY_BYTES:
        raise ConfigError(f"{name}: {path} has more than {MOST_KEY_BYTES} bytes, and can be no key")
    return content


def header_of(token: str) -> tuple[str, str]:
    """Return the algorithm and the `kid` ("" for none) that a token's header names, neither of them checked.

    Raises InvalidToken where there is no such header.
    """
    import jwt

    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise InvalidToken("it is no JSON Web Token") from None
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        raise InvalidToken("its header is damaged")
    if "crit" in header:
        raise InvalidToken("its header demands an extension that callctl does not know")
    return algorithm, kid
