"""What the keys of `[http]` say of each other is checked before anybody listens."""

from __future__ import annotations

from pathlib import Path

import pytest

from callctl.config import load_config
from callctl.errors import ConfigError

SECRET = 'jwt-secret-file = "jwt.key"\n'
EVERYWHERE = 'listen = "0.0.0.0:8090"\n'
TLS = 'tls-certificate-file = "cert.pem"\ntls-key-file = "key.pem"\n'
USERS = 'users = { ada = { password-hash = "$argon2id$v=19$m=65536,t=3,p=4$YQ$YQ" } }\n'


def load(directory: Path, http: str) -> None:
    path = directory / "callctl.toml"
    path.write_text(f"[http]\n{http}")
    load_config(path, {})


@pytest.mark.parametrize(
    "http",
    [
        EVERYWHERE,
        SECRET,
        EVERYWHERE + SECRET + TLS,
        EVERYWHERE + SECRET + "behind-proxy = true\n",
        'listen = "[::1]:8090"\n' + SECRET,
        'listen = "localhost:8090"\n' + SECRET + USERS,
        'jwks-url = "https://login.example.com/jwks.json"\n',
        'jwks-url = "http://127.0.0.1:8080/jwks.json"\n',
        'public-url = "https://callctl.example.com:8443/"\n',
    ],
)
def test_what_fits_together_is_taken(tmp_path: Path, http: str) -> None:
    load(tmp_path, http)


@pytest.mark.parametrize(
    ("http", "key", "words"),
    [
        (EVERYWHERE + SECRET, "listen", "tokens would go there unencrypted; set tls-certificate-file"),
        (EVERYWHERE + USERS, "listen", "tokens would go there unencrypted"),
        ('listen = "[::]:8090"\njwks-file = "jwks.json"\n', "listen", "unencrypted"),
        ('listen = "192.0.2.1:8090"\njwt-public-key-file = "key.pem"\n', "listen", "unencrypted"),
        ('tls-certificate-file = "cert.pem"\n', "tls-key-file", "are set together"),
        ('tls-key-file = "cert.pem"\n', "tls-certificate-file", "are set together"),
        ('jwks-file = "jwks.json"\njwks-url = "https://a.example/"\n', "jwks-url", "either this or"),
        ('jwks-url = "http://login.example.com/jwks.json"\n', "jwks-url", "must begin with https://"),
        ('jwks-url = "file:///etc/passwd"\n', "jwks-url", "must be a URL"),
        ('jwks-url = "https://ada@login.example.com/"\n', "jwks-url", "must be a URL"),
        ('jwks-url = "https://login.example.com:port/"\n', "jwks-url", "must be a URL"),
        ('public-url = "callctl.example.com"\n', "public-url", "must be a URL without a path"),
        ('public-url = "https://example.com/callctl"\n', "public-url", "must be a URL without a path"),
        ('metrics = "everybody"\n', "metrics", "must be one of loopback, open"),
        ('jwt-algorithms = ["none"]\n', "jwt-algorithms", "'none' is none of HS256"),
        ('trusted-proxies = ["proxy"]\n', "trusted-proxies", "is no network"),
        ('users = { ada = { password-hash = "secret" } }\n', "users.ada.password-hash", "hash-password"),
        (USERS.replace(" }", ', scope = "root" }', 1), "users.ada.scope", "'root' is none of read"),
    ],
)
def test_what_does_not_is_refused_and_named(tmp_path: Path, http: str, key: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, http)
    assert f"http.{key}: " in str(error.value)
    assert words in str(error.value)
    assert "secret'" not in str(error.value), "a password that was written there by mistake is not shown"
