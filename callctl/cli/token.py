"""`callctl token`: tokens for the HTTP API are made, listed and revoked.

With a server they are, like everything, its own: it signs and revokes them. Without one they are signed here,
and stand in the database for its next start.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from callctl.api.client import path_of
from callctl.cli.options import config_option, json_option
from callctl.cli.output import day_and_time, print_json, print_rows, say
from callctl.cli.target import read_roster, running_server
from callctl.config import Config
from callctl.errors import CallctlError
from callctl.ids import Ids
from callctl.model import DEFAULT_ACCOUNT, Scope, TokenRecord
from callctl.records.accounts import account_complaint
from callctl.records.tokens import new_token, revoked
from callctl.store import roster as store
from callctl.store.loading import epoch, load_tokens
from callctl.store.rows import entries_of
from callctl.store.schema import open_history

UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
COLUMNS = ("jti", "subject", "account", "scope", "agent", "created", "expires", "state")


class Duration(click.ParamType):  # type: ignore[type-arg]  # older releases take no arguments
    """A time such as 90d, in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        found = re.fullmatch(r"(\d{1,6})([mhdwy])", str(value))
        if found is None:
            self.fail("must be a number with m, h, d, w or y behind it, such as 12h, 90d or 1y", param, ctx)
        return float(found[1]) * UNITS[found[2]]


def _account(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if complaint := account_complaint(value):
        raise click.BadParameter(complaint, ctx, param)
    return value


@click.group()
def command() -> None:
    """Make, list and revoke tokens for the HTTP API."""


@command.command()
@click.option("--subject", required=True, help="Who holds it, as it stands in the log: wallboard, crm.")
@click.option(
    "--account",
    default=DEFAULT_ACCOUNT,
    show_default=True,
    callback=_account,
    help="Whose things; * for all.",
)
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice([each.value for each in Scope]),
    help="What it may do; can be given several times.",
)
@click.option("--agent", default="", help="The agent that it acts for.")
@click.option("--expires", "seconds", type=Duration(), default="30d", show_default=True, help="When it ends.")
@json_option
@config_option
def create(
    config: Config,
    subject: str,
    account: str,
    scopes: tuple[str, ...],
    agent: str,
    seconds: float,
    as_json: bool,
) -> None:
    """Make a token, and print it. It is not kept: whoever loses it needs another one.

    \b
    Example:
      callctl token create --subject wallboard --scope read --expires 1y
      callctl token create --subject ada --scope agent --agent 1001 --expires 12h
    """
    order = {"subject": subject, "account": account, "scope": " ".join(scopes), "agent": agent}
    client = running_server(config)
    if client is not None:
        made = client.post(path_of("tokens"), {**order, "seconds": seconds})
        token, about = str(made["token"]), made["about"]
    else:
        token, about = _made_here(config, order, seconds)
    if as_json:
        print_json({"token": token, "about": about})
        return
    click.echo(token)
    say(f"its name (jti) is {about['jti']}; it counts until {about['expires_at']}", error=True)


def _made_here(config: Config, order: Mapping[str, str], seconds: float) -> tuple[str, Mapping[str, Any]]:
    from callctl.api.tokens import NO_SECRET, signed  # not for the other commands: it takes a while

    if config.http.jwt_secret_file is None:
        raise CallctlError(NO_SECRET)
    if order["agent"]:
        read_roster(config).agent(order["agent"])
    record = new_token(
        jti=Ids().uuid(),
        subject=order["subject"],
        account=order["account"],
        scope=order["scope"],
        agent=order["agent"],
        seconds=seconds,
        now=time.time(),
    )
    token = signed(record, config.http)
    with store.editing(config.server.database) as connection:
        store.put_token(connection, record)
    return token, _shown(record)


@command.command("list")
@json_option
@config_option
def list_(config: Config, as_json: bool) -> None:
    """List the tokens that callctl made, and those that were revoked, newest first.

    \b
    Example:
      callctl token list
    """
    client = running_server(config)
    if client is not None:
        shown = client.get(path_of("tokens"))["tokens"]
    else:
        shown = [_shown(each) for each in _known(config)]
    if as_json:
        print_json(shown)
    else:
        now = time.time()
        print_rows([_for_people(each, now) for each in shown], COLUMNS, as_json=False)


@command.command()
@click.argument("jti")
@config_option
def revoke(config: Config, jti: str) -> None:
    """Let a token count no longer; JTI is its name, also that of one which another issuer made.

    \b
    Example:
      callctl token revoke 8f6a2c31-4a3e-4c27-9f0b-0d5b6b1f5a11
    """
    client = running_server(config)
    if client is not None:
        client.delete(path_of("tokens", jti))
    else:
        known = {each.jti: each for each in _known(config)}
        with store.editing(config.server.database) as connection:
            store.put_token(connection, revoked(known.get(jti), jti, "*", time.time()))
    say(f"the token {jti} counts no longer")


def _known(config: Config) -> list[TokenRecord]:
    if not config.server.database.exists():
        return []
    with closing(open_history(config.server.database)) as connection:
        return load_tokens(connection)


def _shown(token: TokenRecord) -> Mapping[str, Any]:
    """Return what is known of a token as the HTTP API shows it: by the names of the columns."""
    [entry] = entries_of(token)
    return entry.row


def _for_people(token: Mapping[str, Any], now: float) -> Mapping[str, object]:
    expires = token["expires_at"]
    has_expired = expires is not None and epoch(expires) <= now
    return {
        **{name: token[name] for name in ("jti", "subject", "account", "scope", "agent")},
        "created": day_and_time(token["created_at"]),
        "expires": "" if expires is None else day_and_time(expires),
        "state": "revoked" if token["revoked_at"] else "expired" if has_expired else "valid",
    }
