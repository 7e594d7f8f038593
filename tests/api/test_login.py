"""Browsers log in with a token or a password, and only pages of ours may use the cookie."""

from __future__ import annotations

import stat
import time
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx2
import pytest
from attrs import evolve

from callctl.api import limits
from callctl.api.passwords import hash_of
from callctl.api.rates import Rate
from callctl.api.sessions import CSRF_HEADER, SESSION_COOKIE, session_key
from callctl.config.settings import HttpSettings, UserSettings
from tests.api.house import Visited, open_house
from tests.api.issuer import Issuer, bearer, own_issuer

PASSWORD = "correct horse battery staple"
HASH = hash_of(PASSWORD)
BASE = "https://callctl.example.com"
ME = "/api/v1/me"
AGENT = "/api/v1/agents/1001"


def settings_of(http: HttpSettings) -> HttpSettings:
    ada = UserSettings(password_hash=HASH, scope="supervisor", account="acme")
    return evolve(http, public_url=BASE, users={"ada": ada})


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[tuple[Visited, Issuer]]:
    """A house that has a name, a secret and a user."""
    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", settings_of(http)) as visited:
        visited.public.base_url = httpx2.URL(BASE)
        yield visited, issuer


async def log_in(visited: Visited, **order: str) -> httpx2.Response:
    return await visited.public.post("/login", json=order)


async def test_a_password_becomes_a_cookie_that_no_script_can_read(site: tuple[Visited, Issuer]) -> None:
    visited, _ = site
    answer = await log_in(visited, user="ada", password=PASSWORD)
    assert answer.status_code == 200
    assert answer.json()["me"]["scopes"] == ["supervisor"]
    assert answer.json()["me"]["account"] == "acme"
    cookie = SimpleCookie(answer.headers.get_list("set-cookie")[0])[SESSION_COOKIE]
    assert (cookie["httponly"], cookie["secure"], cookie["samesite"], cookie["path"]) == (
        True,
        True,
        "lax",
        "/",
    )
    assert 0 < int(cookie["max-age"]) <= 12 * 3600
    assert PASSWORD not in str(answer.headers)
    assert (await visited.public.get(ME)).json()["subject"] == "ada"


async def test_a_token_becomes_a_cookie_that_ends_with_it(site: tuple[Visited, Issuer]) -> None:
    visited, issuer = site
    token = issuer.token(scope="read", exp=int(time.time()) + 100, jti="t1")
    answer = await log_in(visited, token=token)
    assert answer.status_code == 200
    [cookie] = [each for each in answer.headers.get_list("set-cookie") if each.startswith(SESSION_COOKIE)]
    assert int(SimpleCookie(cookie)[SESSION_COOKIE]["max-age"]) <= 100
    assert token not in cookie
    assert (await visited.public.get(ME)).json()["scopes"] == ["read"]
    await visited.control.delete("/api/v1/tokens/t1")
    assert (await visited.public.get(ME)).status_code == 401, "its token was revoked"


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"user": "ada", "password": "wrong"}, 401),
        ({"user": "ada", "password": ""}, 401),
        ({"user": "ada"}, 401),
        ({"user": "eve", "password": PASSWORD}, 401),
        ({"user": "ada", "password": "x" * 5000}, 401),
        ({"token": "x"}, 401),
        ({}, 422),
        ({"password": PASSWORD}, 422),
        ({"token": "x", "user": "ada"}, 422),
    ],
)
async def test_a_wrong_login_gets_no_cookie(
    site: tuple[Visited, Issuer], order: dict[str, str], status: int
) -> None:
    visited, _ = site
    answer = await log_in(visited, **order)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert PASSWORD not in answer.text


async def test_nobody_learns_from_the_answer_who_is_a_user(site: tuple[Visited, Issuer]) -> None:
    visited, _ = site
    answers = [await log_in(visited, user=user, password="wrong password") for user in ("ada", "eve")]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]


async def test_guessing_passwords_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OF_LOGINS", Rate(per_second=0.1, burst=3))
    _, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", settings_of(http)) as visited:
        visited.public.base_url = httpx2.URL(BASE)
        answers = [await log_in(visited, user="ada", password="guess") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        assert answers[-1].headers["content-type"] == "application/problem+json"


async def test_a_change_needs_the_header_that_only_our_pages_can_send(site: tuple[Visited, Issuer]) -> None:
    visited, _ = site
    csrf = (await log_in(visited, user="ada", password=PASSWORD)).json()["csrf_token"]
    for header in ({}, {CSRF_HEADER: ""}, {CSRF_HEADER: "0" * 32}):
        refusal = await visited.public.put(AGENT, json={}, headers=header)
        assert refusal.status_code == 403
        assert CSRF_HEADER in refusal.json()["detail"]
    assert (await visited.control.get("/api/v1/agents")).json() == {"agents": []}
    assert (await visited.public.put(AGENT, json={}, headers={CSRF_HEADER: csrf})).status_code == 201


async def test_another_logins_header_is_of_no_use(site: tuple[Visited, Issuer]) -> None:
    visited, _ = site
    first = (await log_in(visited, user="ada", password=PASSWORD)).json()["csrf_token"]
    visited.public.cookies.clear()
    await log_in(visited, user="ada", password=PASSWORD)
    assert (await visited.public.put(AGENT, json={}, headers={CSRF_HEADER: first})).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": BASE}, 200),
        ({"Host": "127.0.0.1:8090", "Origin": "http://127.0.0.1:8090"}, 200),
        ({"Host": "127.0.0.1:8090", "Origin": BASE}, 200),
        ({"Host": "[::1]:8090"}, 200),
        ({"Host": "localhost:8090"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://callctl.example.com.evil.example"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Host": "callctl.example.com.evil.example"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "[::1"}, 421),
    ],
)
async def test_a_cookie_counts_under_our_own_name_and_on_our_own_pages(
    site: tuple[Visited, Issuer], headers: dict[str, str], status: int
) -> None:
    visited, issuer = site
    await log_in(visited, user="ada", password=PASSWORD)
    cookie = visited.public.cookies[SESSION_COOKIE]
    visited.public.cookies.clear()
    sent = {"Cookie": f"{SESSION_COOKIE}={cookie}", **headers}
    assert (await visited.public.get(ME, headers=sent)).status_code == status
    order = {"user": "ada", "password": PASSWORD}
    assert (await visited.public.post("/login", json=order, headers=headers)).status_code == status
    assert (await visited.public.get(ME, headers={**headers, **bearer(issuer.token())})).status_code == 200, (
        "who shows a token is no page of somebody else"
    )


async def test_metrics_that_are_open_on_loopback_are_not_open_to_every_page(visited: Visited) -> None:
    assert (await visited.public.get("/metrics", headers={"Host": "evil.example"})).status_code == 421
    assert (await visited.public.get("/metrics", headers={"Host": "127.0.0.1"})).status_code == 200
    assert (await visited.public.get("/healthz", headers={"Host": "evil.example"})).status_code == 200


async def test_logging_out_ends_the_login_also_for_a_copy_of_its_cookie(site: tuple[Visited, Issuer]) -> None:
    visited, _ = site
    csrf = (await log_in(visited, user="ada", password=PASSWORD)).json()["csrf_token"]
    cookie = visited.public.cookies[SESSION_COOKIE]
    assert (await visited.public.post("/logout")).status_code == 403, "it is a change as well"
    answer = await visited.public.post("/logout", headers={CSRF_HEADER: csrf})
    assert answer.status_code == 204
    assert SESSION_COOKIE not in visited.public.cookies
    copied = {"Cookie": f"{SESSION_COOKIE}={cookie}"}
    assert (await visited.public.get(ME, headers=copied)).status_code == 401
    assert (await visited.public.post("/logout")).status_code == 204, "there is nothing left to end"


async def test_a_login_ends_with_the_users_entry_or_another_password(site: tuple[Visited, Issuer]) -> None:
    visited, _ = site
    await log_in(visited, user="ada", password=PASSWORD)
    access = visited.house.access
    ada = access.settings.users["ada"]
    changed = evolve(access.settings, users={"ada": evolve(ada, scope="read")})
    access.reload(changed)
    assert (await visited.public.get(ME)).json()["scopes"] == ["read"]
    access.reload(evolve(changed, users={"ada": evolve(ada, password_hash=HASH + "x")}))
    assert (await visited.public.get(ME)).status_code == 401
    access.reload(evolve(changed, users={}))
    assert (await visited.public.get(ME)).status_code == 401


async def test_a_login_outlives_a_restart(tmp_path: Path) -> None:
    _, http = own_issuer(tmp_path)
    settings = settings_of(http)
    async with open_house(tmp_path / "callctl.db", settings) as visited:
        visited.public.base_url = httpx2.URL(BASE)
        await log_in(visited, user="ada", password=PASSWORD)
        cookie = {"Cookie": f"{SESSION_COOKIE}={visited.public.cookies[SESSION_COOKIE]}"}
    assert stat.S_IMODE((tmp_path / "callctl.session-key").stat().st_mode) == 0o600
    async with open_house(tmp_path / "callctl.db", settings) as visited:
        visited.public.base_url = httpx2.URL(BASE)
        assert (await visited.public.get(ME, headers=cookie)).status_code == 200
    (tmp_path / "callctl.session-key").unlink()
    async with open_house(tmp_path / "callctl.db", settings) as visited:
        visited.public.base_url = httpx2.URL(BASE)
        assert (await visited.public.get(ME, headers=cookie)).status_code == 401


def test_where_no_key_can_be_kept_logins_end_with_the_run(tmp_path: Path) -> None:
    first, second = (session_key(tmp_path / "nowhere" / "key") for _ in range(2))
    assert first != second
    (tmp_path / "short").write_bytes(b"x")
    assert len(session_key(tmp_path / "short")) == 32


async def test_a_damaged_cookie_is_no_login(site: tuple[Visited, Issuer]) -> None:
    visited, issuer = site
    await log_in(visited, user="ada", password=PASSWORD)
    cookie = visited.public.cookies[SESSION_COOKIE]
    visited.public.cookies.clear()
    head, claims, _ = cookie.split(".")
    for wrong in ("", "x", cookie[:-2], f"{head}.{claims}.", issuer.token()):
        answer = await visited.public.get(ME, headers={"Cookie": f"{SESSION_COOKIE}={wrong}"})
        assert answer.status_code == 401, wrong


async def test_a_form_of_another_page_cannot_log_anybody_in(site: tuple[Visited, Issuer]) -> None:
    visited, _ = site
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = await visited.public.post(
            "/login",
            content=b'{"user": "ada", "password": "' + PASSWORD.encode() + b'"}',
            headers={"Content-Type": content_type},
        )
        assert answer.status_code == 415
        assert "set-cookie" not in answer.headers


async def test_users_need_no_key_for_tokens(tmp_path: Path) -> None:
    settings = settings_of(HttpSettings())
    async with open_house(tmp_path / "callctl.db", settings) as visited:
        visited.public.base_url = httpx2.URL(BASE)
        assert (await log_in(visited, token="x.y.z")).status_code == 401
        assert (await log_in(visited, user="ada", password=PASSWORD)).status_code == 200
        assert (await visited.public.get(ME)).status_code == 200
