"""Tokens are made, listed and revoked, in the database or, while one runs, by the server."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx2
import jwt
import pytest
import trio
from argon2 import PasswordHasher

from callctl.cli.stage import Stage, open_stage
from callctl.config.settings import HttpSettings
from callctl.model import QueueSettings
from tests.api.issuer import SECRET, bearer
from tests.cli.conftest import Ran, Run

Ask = Callable[..., Awaitable[Ran]]


@pytest.fixture
def secret(run: Run) -> Path:
    Path("callctl.toml").write_text('[http]\njwt-secret-file = "jwt.key"\n')
    Path("jwt.key").write_text(SECRET)
    return Path("jwt.key")


def claims_of(token: str) -> dict[str, object]:
    return dict(jwt.decode(token, SECRET, algorithms=["HS256"]))


def test_a_token_is_printed_alone_and_says_what_was_asked_for(run: Run, secret: Path) -> None:
    ran = run(
        *("token", "create", "--subject", "ada", "--account", "acme", "--scope", "read", "--scope", "agent"),
        *("--agent", "1001", "--expires", "12h"),
    )
    assert ran.code == 1, "there is no such agent"
    assert run("agent", "add", "1001").code == 0
    ran = run(
        *("token", "create", "--subject", "ada", "--account", "acme", "--scope", "agent", "--scope", "read"),
        *("--agent", "1001", "--expires", "12h"),
    )
    assert ran.code == 0
    [token] = ran.out.splitlines()
    claims = claims_of(token)
    assert claims["jti"] in ran.err
    assert {name: claims[name] for name in ("sub", "account", "scope", "agent")} == {
        "sub": "ada",
        "account": "acme",
        "scope": "read agent",
        "agent": "1001",
    }
    assert abs(float(str(claims["exp"])) - time.time() - 12 * 3600) < 60


def test_a_token_is_listed_until_it_is_revoked_and_afterwards(run: Run, secret: Path) -> None:
    assert run("token", "list", "--json").json == []
    made = run("token", "create", "--subject", "crm", "--scope", "read", "--json").json
    jti = made["about"]["jti"]
    assert [each["jti"] for each in run("token", "list", "--json").json] == [jti]
    assert run("token", "list").out.splitlines()[1].split()[-1] == "valid"
    assert run("token", "revoke", jti).code == 0
    assert run("token", "list").out.splitlines()[1].split()[-1] == "revoked"
    assert made["token"] not in Path("callctl.db").read_text("latin-1"), "the token itself is not kept"


def test_one_that_an_issuer_made_is_revoked_as_well(run: Run, secret: Path) -> None:
    assert run("token", "revoke", "of-the-issuer").code == 0
    [listed] = run("token", "list", "--json").json
    assert (listed["jti"], listed["account"], listed["subject"]) == ("of-the-issuer", "*", "")


def test_without_a_secret_no_token_can_be_made(run: Run) -> None:
    ran = run("token", "create", "--subject", "crm", "--scope", "read")
    assert ran.code == 1
    assert "jwt-secret-file" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scope", "root"],
        ["--scope", "read", "--expires", "soon"],
        ["--scope", "read", "--expires", "0d"],
        ["--scope", "read", "--expires", "99y"],
        ["--scope", "read", "--account", "a/b"],
        ["--scope", "agent"],
        [],
    ],
)
def test_a_token_of_no_use_is_wrong_usage(run: Run, secret: Path, arguments: list[str]) -> None:
    ran = run("token", "create", "--subject", "crm", *arguments)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1
    assert run("token", "list", "--json").json == []


def test_a_secret_that_cannot_be_used_is_said(run: Run, secret: Path) -> None:
    secret.write_text("short")
    ran = run("token", "create", "--subject", "crm", "--scope", "read")
    assert ran.code == 2
    assert "has 5 bytes, and needs 32" in ran.err


def test_check_says_how_the_keys_are(run: Run, secret: Path) -> None:
    def line() -> str:
        [found] = [each for each in run("check").out.splitlines() if " HTTP API: " in each]
        return found

    secret.chmod(0o600)
    assert line() == "ok       HTTP API: at 127.0.0.1:8090, with the secret of jwt-secret-file"
    secret.write_text("short")
    assert line().startswith("wrong    HTTP API: closed, as a key cannot be used: http.jwt-secret-file")
    secret.write_text(SECRET)
    secret.chmod(0o644)
    lines = [each for each in run("check").out.splitlines() if " HTTP API: " in each]
    assert [each.split()[0] for each in lines] == ["warning", "ok"]


@pytest.fixture
async def stage(run: Run, secret: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    http = HttpSettings(jwt_secret_file=tmp_path / "jwt.key")
    async with open_stage(tmp_path / "callctl.db", QueueSettings(name="caller"), seed=1, http=http) as stage:
        yield stage


@pytest.fixture
def ask(run: Run, stage: Stage) -> Ask:
    async def run_aside(*arguments: str) -> Ran:
        return await trio.to_thread.run_sync(run, *arguments)

    return run_aside


async def test_a_running_server_makes_and_revokes_tokens_at_once_and_remembers_them(
    stage: Stage, ask: Ask
) -> None:
    made = (await ask("token", "create", "--subject", "crm", "--scope", "read", "--json")).json
    base = f"http://127.0.0.1:{stage.server.http_port}"
    async with httpx2.AsyncClient(base_url=base, headers=bearer(made["token"])) as client:
        assert (await client.get("/api/v1/queues")).json()["queues"][0]["name"] == "caller"
        assert (await ask("token", "revoke", made["about"]["jti"])).code == 0
        assert (await client.get("/api/v1/queues")).status_code == 401
    [listed] = (await ask("token", "list", "--json")).json
    assert listed["revoked_at"]


def test_a_password_is_hashed_for_the_configuration(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    ran = run("config", "hash-password")
    assert ran.code == 0
    [line] = ran.out.splitlines()
    assert PasswordHasher().verify(line, "correct horse")
    Path("callctl.toml").write_text(f"[http.users.ada]\npassword-hash = '{line}'\n")
    shown = run("config", "show").out
    assert "ada" in shown
    assert line not in shown, "a hash can be tried out at leisure"


def test_a_short_password_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    ran = run("config", "hash-password")
    assert (ran.code, ran.out) == (1, "")
