"""A stranger who issues tokens: keys made by openssl, tokens made by joserfc, which callctl does not use."""

from __future__ import annotations

import json
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

from attrs import define
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from callctl.config.settings import HttpSettings

SECRET = "d2hhdCBhIHNlY3JldCB0aGlzIGlzLCBvZiBmb3J0eS1laWdodCBieXRlcw"
KINDS: dict[str, tuple[type[Key], list[str]]] = {
    "RS256": (RSAKey, ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
    "ES256": (ECKey, ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    "EdDSA": (OKPKey, ["-algorithm", "ED25519"]),
    "Ed25519": (OKPKey, ["-algorithm", "ED25519"]),
}


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@define
class Issuer:
    """One key of an issuer, and the tokens that are signed with it."""

    algorithm: str
    key: Any
    kid: str = ""
    public_file: Path | None = None

    def token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token of `ada` with the scope `read`; a claim of None is left out."""
        usual = {"sub": "ada", "scope": "read", "exp": int(time.time()) + 600}
        said = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        named = {"alg": self.algorithm} | ({"kid": self.kid} if self.kid else {}) | (header or {})
        with warnings.catch_warnings():
            # Most issuers go on to say EdDSA, of which joserfc warns since RFC 9864.
            warnings.simplefilter("ignore", SecurityWarning)
            return str(jwt.encode(named, said, self.key, algorithms=[self.algorithm]))

    @property
    def described(self) -> dict[str, Any]:
        """The public key, as an entry of a JWKS."""
        entry: dict[str, Any] = self.key.as_dict(private=False)
        return {**entry, "kid": self.kid, "use": "sig"}


def new_issuer(directory: Path, algorithm: str = "RS256", kid: str = "") -> Issuer:
    """Return an issuer with a new key, whose public half is written to a file of `directory`."""
    name = kid or algorithm
    private, public = directory / f"{name}.private.pem", directory / f"{name}.pem"
    kind, arguments = KINDS[algorithm]
    openssl("genpkey", *arguments, "-out", str(private))
    openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    return Issuer(algorithm, kind.import_key(private.read_text()), kid, public)


def own_issuer(directory: Path) -> tuple[Issuer, HttpSettings]:
    """Return whoever knows the secret, and settings that name it."""
    path = directory / "jwt.key"
    path.write_text(f"{SECRET}\n")
    return Issuer("HS256", OctKey.import_key(SECRET)), HttpSettings(jwt_secret_file=path)


def write_key_set(path: Path, *issuers: Issuer) -> None:
    """Publish the keys of these issuers in a file."""
    path.write_text(json.dumps({"keys": [issuer.described for issuer in issuers]}))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
