"""The records of the configuration, and the range of each of their values.

Queues, agents and tiers are the model's own records; what is added here are their ranges. A key in
callctl.toml is the name of the field with `-` for `_`, so a new field is a new key by itself.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import Attribute, field, frozen

from callctl.errors import ConfigError
from callctl.model import DEFAULT_ACCOUNT, AgentSettings, QueueSettings, Scope, Tier
from callctl.records.accounts import account_complaint, display_name_complaint
from callctl.records.contacts import contact_complaint
from callctl.records.record_template import record_template_complaint
from callctl.records.telephone_keys import key_complaint, keys_complaint

KeyPath = tuple[str | int, ...]
"""The way to a value, from the top: names of tables and keys, and indexes in lists."""


@frozen
class Address:
    """A host and a port to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that `text` names, `host:port` or `[IPv6]:port`.

        Raises ValueError, with words for people, when it names none.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
            raise ValueError('must be "host:port" with a port up to 65535')
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError('an IPv6 address stands in brackets, as in "[::1]:8084"')
        if not host:
            raise ValueError('needs a host before the port; "0.0.0.0" listens everywhere')
        return cls(host, int(port))

    def __str__(self) -> str:
        """Return the address as it is written in callctl.toml."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def refused(self, key: str, error: OSError) -> ConfigError:
        """Return what people are told when nobody can listen on this address, the value of `key`."""
        return ConfigError(
            f"{key}: cannot listen on {self}: {error.strerror or error}; "
            "end what listens there, or give another address"
        )


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine itself, reached by nobody else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LogFormat(StrEnum):
    """How a log line looks; `auto` is text on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The least severity that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogNumbers(StrEnum):
    """How phone numbers stand in the log; `masked` leaves the last three digits."""

    SHOWN = "shown"
    MASKED = "masked"


@frozen(kw_only=True)
class ServerSettings:
    """`[server]`: where FreeSWITCH reaches us and what we keep. Durations in seconds.

    `max_calls` bounds memory: FreeSWITCH goes on in its dialplan with every call beyond it.
    """

    listen: Address = Address("127.0.0.1", 8084)
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1")
    database: Path = Path("callctl.db")
    drain_timeout: float = 0
    control_group: str = ""
    default_queue: str = "caller"
    max_calls: int = 2000


@frozen(kw_only=True)
class SwitchSettings:
    """One `[[freeswitch]]`: a switch whose Event Socket we log in to. Give the password or its file."""

    name: str
    host: str = "127.0.0.1"
    port: int = 8021
    password: str = field(default="ClueCon", repr=False)
    password_file: Path | None = None


@frozen(kw_only=True)
class UserSettings:
    """One of `[http.users]`: who may log in with a password, and what that one may do then.

    `password_hash` is what `callctl config hash-password` printed. `scope`, `account` and `agent` are as in a
    token.
    """

    password_hash: str = field(repr=False)
    scope: str = Scope.READ.value
    account: str = DEFAULT_ACCOUNT
    agent: str = ""


@frozen(kw_only=True)
class HttpSettings:
    """`[http]`: where the HTTP API listens, and how its tokens are checked.

    `public_url` is how browsers reach it. Of the keys, `jwt_secret_file` is the one with which callctl makes
    tokens as well; the others are an issuer's. With `behind_proxy` only `trusted_proxies` are served, and
    believed what they say of whom they speak for.
    """

    listen: Address = Address("127.0.0.1", 8090)
    public_url: str = ""
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    behind_proxy: bool = False
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")
    jwt_secret_file: Path | None = None
    jwt_public_key_file: Path | None = None
    jwks_file: Path | None = None
    jwks_url: str = ""
    jwt_algorithms: tuple[str, ...] = ()
    jwt_issuer: str = ""
    jwt_audience: str = ""
    claim_account: str = "account"
    claim_scope: str = "scope"
    claim_agent: str = "agent"
    metrics: str = "loopback"
    users: Mapping[str, UserSettings] = field(factory=dict)

    @property
    def has_keys(self) -> bool:
        """Whether there is anything by which somebody can be let in."""
        files = (self.jwt_secret_file, self.jwt_public_key_file, self.jwks_file)
        return any(files) or bool(self.jwks_url) or bool(self.users)


@frozen(kw_only=True)
class BackupSettings:
    """`[backup]`: a series of copies of the database, made while the server runs; none without a folder."""

    folder: Path | None = None
    every_hours: float = 24
    keep: int = 7


@frozen(kw_only=True)
class LogSettings:
    """`[log]`: what the log says and how it looks."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO
    numbers: LogNumbers = LogNumbers.SHOWN


@frozen(kw_only=True)
class Config:
    """Everything that callctl.toml and the environment say, checked.

    `origins` tells where each value came from, by key path; what is not in it is a built-in default.
    Two configurations are equal when they do the same, wherever their values came from.
    """

    server: ServerSettings
    switches: tuple[SwitchSettings, ...]
    http: HttpSettings
    log: LogSettings
    queues: Mapping[str, QueueSettings]
    agents: Mapping[str, AgentSettings]
    tiers: tuple[Tier, ...]
    backup: BackupSettings = BackupSettings()
    path: Path | None = field(default=None, eq=False)
    origins: Mapping[KeyPath, str] = field(factory=dict, eq=False, repr=False)


Check = Callable[[Any], str | None]
"""Looks at a value of the right type and returns what is wrong with it, or None."""


@frozen
class Range:
    """Checks numbers from `lowest` to `highest`, both included."""

    lowest: float
    highest: float = math.inf

    def __call__(self, value: float) -> str | None:
        """Return what is wrong with `value`, None if nothing."""
        if self.lowest <= value <= self.highest:
            return None
        if self.highest == math.inf:
            return f"must be at least {self.lowest:g}"
        return f"must be from {self.lowest:g} to {self.highest:g}"


@frozen
class OneOf:
    """Checks texts that must be one of `choices`."""

    choices: tuple[str, ...]

    def __call__(self, value: str) -> str | None:
        """Return what is wrong with `value`, None if nothing."""
        return None if value in self.choices else f"must be one of {', '.join(self.choices)}"


def at_least(lowest: float) -> Range:
    """Return a check for numbers that must not be under `lowest`."""
    return Range(lowest)


def between(lowest: float, highest: float) -> Range:
    """Return a check for numbers from `lowest` to `highest`, both included."""
    return Range(lowest, highest)


def one_of(*choices: str) -> OneOf:
    """Return a check for texts that must be one of `choices`."""
    return OneOf(choices)


def anything(value: float) -> None:
    """Check a number that may be negative as well."""


def above_zero(value: float) -> str | None:
    """Check a number that must be above zero."""
    return None if value > 0 else "must be above 0"


def not_empty(value: str) -> str | None:
    """Check a text that must say something."""
    return None if value.strip() else "must not be empty"


def networks(values: tuple[str, ...]) -> str | None:
    """Check a list of addresses and networks."""
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError as error:
            return f"{value!r} is no network: {error}"
    return None


JWT_ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""The signatures that tokens may have. `none` is no signature, and never allowed."""


def jwt_algorithms(values: tuple[str, ...]) -> str | None:
    """Check the names of signature algorithms."""
    for value in values:
        if value not in JWT_ALGORITHMS:
            return f"{value!r} is none of {', '.join(JWT_ALGORITHMS)}"
    return None


def scope(value: str) -> str | None:
    """Check the scopes of somebody, divided by blanks."""
    known = [each.value for each in Scope]
    if not value.split():
        return f"must be one or more of {', '.join(known)}"
    unknown = [each for each in value.split() if each not in known]
    return f"{unknown[0]!r} is none of {', '.join(known)}" if unknown else None


def password_hash(value: str) -> str | None:
    """Check that a value is a hash of argon2, and no password."""
    return None if value.startswith("$argon2") else 'must be what "callctl config hash-password" prints'


def contact(value: str) -> str | None:
    """Check the dial string of an agent's phone; "" is none."""
    return contact_complaint(value) if value else None


def contacts(values: Mapping[str, str]) -> str | None:
    """Check the dial strings of an agent's phones on single switches."""
    complaints = (
        f"{switch}: {complaint}" for switch, value in values.items() if (complaint := contact(value))
    )
    return next(complaints, None)


CHECKS: Mapping[type, Mapping[str, Check]] = {
    ServerSettings: {"allow": networks, "default_queue": not_empty, "max_calls": at_least(1)},
    SwitchSettings: {"name": not_empty, "host": not_empty, "port": between(1, 65535), "password": not_empty},
    BackupSettings: {"every_hours": above_zero, "keep": at_least(1)},
    HttpSettings: {
        "trusted_proxies": networks,
        "jwt_algorithms": jwt_algorithms,
        "claim_account": not_empty,
        "claim_scope": not_empty,
        "claim_agent": not_empty,
        "metrics": one_of("loopback", "open"),
    },
    UserSettings: {"password_hash": password_hash, "scope": scope, "account": account_complaint},
    QueueSettings: {
        "account": account_complaint,
        "weight": above_zero,
        "time_base_score": one_of("queue", "system"),
        # An agent's phone needs a moment to ring, and FreeSWITCH takes whole seconds.
        "ring_timeout": between(1, 600),
        "ring_progressively_delay": at_least(1),
        "announce_position": one_of("no", "yes", "only-up"),
        "announce_wait": one_of("no", "yes", "once"),
        # Under a quarter of a minute the music would hardly be heard between two announcements.
        "announce_interval": at_least(15),
        "exit_keys": keys_complaint,
        "accept_key": key_complaint,
        "accept_timeout": between(1, 600),
        "callback_key": key_complaint,
        "callback_attempts": at_least(1),
        "record_template": record_template_complaint,
    },
    AgentSettings: {
        "account": account_complaint,
        "display_name": display_name_complaint,
        "contact": contact,
        "contacts": contacts,
    },
    Tier: {"level": at_least(1), "position": at_least(1)},
}
"""What a value must be, by record and field. A number without an entry must not be negative."""


CHECK = "callctl.check"
"""The key in a field's metadata of a record that is not the model's own: its check stands there."""


def check_of(record: type, attribute: Attribute[Any]) -> Check | None:
    """Return the check that the values of this field must pass."""
    check: Check | None = CHECKS.get(record, {}).get(attribute.name) or attribute.metadata.get(CHECK)
    return check
