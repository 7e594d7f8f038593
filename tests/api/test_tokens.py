"""Who comes over TCP shows a token, and each that is no good is refused in words and changes nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from attrs import evolve
from joserfc.jwk import RSAKey

from callctl.api import http_access
from callctl.api.claims import verified_claims
from callctl.config.settings import HttpSettings
from callctl.model import AgentStatus
from tests.api.house import Visited, open_house, until
from tests.api.issuer import KINDS, SECRET, Issuer, bearer, new_issuer, own_issuer, write_key_set

AGENTS = "/api/v1/agents"
ME = "/api/v1/me"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """An issuer with an RSA key, as most have."""
    return new_issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[tuple[Visited, Issuer]]:
    """A house that has a secret, and whoever knows it."""
    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", http) as visited:
        yield visited, issuer


@pytest.mark.parametrize("algorithm", KINDS)
async def test_a_strangers_tokens_are_accepted_by_its_public_key(tmp_path: Path, algorithm: str) -> None:
    stranger = new_issuer(tmp_path, algorithm)
    http = HttpSettings(jwt_public_key_file=stranger.public_file)
    async with open_house(tmp_path / "callctl.db", http) as visited:
        answer = await visited.public.get(ME, headers=bearer(stranger.token(account="acme", jti="t1")))
        assert answer.status_code == 200
        assert (answer.json()["subject"], answer.json()["account"]) == ("ada", "acme")
        other = new_issuer(tmp_path, algorithm, "other")
        refusal = await visited.public.get(ME, headers=bearer(evolve(other, kid="").token()))
        assert refusal.status_code == 401
        assert refusal.json()["detail"] == "the token is not accepted: its signature is wrong"


async def test_a_token_says_who_asks_and_what_that_one_may_do(own: tuple[Visited, Issuer]) -> None:
    visited, issuer = own
    expires = int(time.time()) + 60
    token = issuer.token(scope="read agent openid", account="*", agent="1001", exp=expires)
    answer = await visited.public.get(ME, headers=bearer(token))
    assert answer.json() == {
        "subject": "ada",
        "account": "*",
        "scopes": ["read", "agent"],
        "agent": "1001",
        "expires_at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(expires)),
    }


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(header: dict[str, Any]) -> Callable[[Issuer], str]:
    claims = {"sub": "mallory", "scope": "admin", "account": "*", "exp": int(time.time()) + 600}
    return lambda _: f"{part(header)}.{part(claims)}."


def tampered(issuer: Issuer) -> str:
    head, claims, signature = issuer.token().split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return f"{head}.{part({**said, 'scope': 'admin', 'account': '*'})}.{signature}"


def signed_with_the_public_key(issuer: Issuer) -> str:
    """Return a token whose HMAC has the public key for its secret, which everybody knows."""
    import hashlib
    import hmac

    assert issuer.public_file is not None
    head = part({"alg": "HS256", "typ": "JWT"})
    claims = part({"sub": "mallory", "scope": "admin", "account": "*", "exp": int(time.time()) + 600})
    mac = hmac.new(issuer.public_file.read_bytes(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


NOW = time.time()
BAD_TOKENS: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "expired": (lambda it: it.token(exp=int(NOW) - 1), "it has expired"),
    "not yet valid": (lambda it: it.token(nbf=int(NOW) + 600), "it does not count yet (nbf)"),
    "made in the future": (lambda it: it.token(iat=int(NOW) + 600), "it does not count yet (iat)"),
    "unsigned": (unsigned({"alg": "RS256", "typ": "JWT"}), "its signature is wrong"),
    "none": (unsigned({"alg": "none"}), "no key that callctl has checks its signature (none)"),
    "None": (unsigned({"alg": "None"}), "no key that callctl has checks its signature (None)"),
    "no algorithm": (unsigned({"typ": "JWT"}), "its header is damaged"),
    "HS256 with the public key": (signed_with_the_public_key, "no key that callctl has checks its signature"),
    "wrong issuer": (lambda it: it.token(iss="https://evil.example"), "another issuer made it (iss)"),
    "no issuer": (lambda it: it.token(iss=None), "it has no iss"),
    "wrong audience": (lambda it: it.token(aud="crm"), "it is meant for somebody else (aud)"),
    "no audience": (lambda it: it.token(aud=None), "it has no aud"),
    "tampered": (tampered, "its signature is wrong"),
    "cut off": (lambda it: it.token()[:-20], "it"),
    "no subject": (lambda it: it.token(sub=None), "it has no sub"),
    "no end": (lambda it: it.token(exp=None), "it has no exp"),
    "an end that is no time": (lambda it: it.token(exp="tomorrow"), ""),
    "an end that is no number": (lambda it: it.token(exp=True), "its exp is no number of seconds"),
    "a subject that is no text": (lambda it: it.token(sub=7), ""),
    "an account that is no text": (lambda it: it.token(account=["*"]), "its account must be a text"),
    "an empty account": (lambda it: it.token(account=""), "its account must be a text"),
    "an account that none can have": (lambda it: it.token(account="a/b"), "its account cannot be the name"),
    "an agent that is no text": (lambda it: it.token(agent=1001), "its agent must be a text"),
    "a name with a line break": (lambda it: it.token(sub="ada\nadmin"), "its sub must be a text"),
    "an extension that must be known": (
        lambda it: it.token(header={"crit": ["b64"], "b64": True}),
        "its header demands an extension",
    ),
    "nothing": (lambda _: "x", "it is no JSON Web Token"),
    "two points": (lambda _: "..", "it is no JSON Web Token"),
    "a list for a header": (lambda _: f"{part([])}.{part({})}.", "it is no JSON Web Token"),
    "a JSON bomb": (lambda _: f"{part(0)[:-2]}{'W1tb' * 1000}.e30.", "it is no JSON Web Token"),
    "too long": (lambda it: it.token(padding="x" * 9000), "it is longer than 8192 characters"),
}


@pytest.mark.parametrize("name", BAD_TOKENS)
async def test_a_bad_token_is_refused_and_changes_nothing(
    tmp_path: Path, stranger: Issuer, name: str
) -> None:
    make, why = BAD_TOKENS[name]

    class Usual(Issuer):
        """Says what this house wants to hear, but for what a case says instead."""

        def token(self, **claims: Any) -> str:
            return super().token(
                **{"iss": "https://login.example", "aud": "callctl", "scope": "admin", **claims}
            )

    issuer = Usual(stranger.algorithm, stranger.key, "", stranger.public_file)
    http = HttpSettings(
        jwt_public_key_file=stranger.public_file, jwt_issuer="https://login.example", jwt_audience="callctl"
    )
    async with open_house(tmp_path / "callctl.db", http) as visited:
        good = await visited.public.get(ME, headers=bearer(issuer.token()))
        assert good.status_code == 200
        token = make(issuer)
        answer = await visited.public.put(f"{AGENTS}/1001", json={}, headers=bearer(token))
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == 'Bearer realm="callctl", error="invalid_token"'
        assert answer.json()["detail"].startswith(f"the token is not accepted: {why}")
        assert (await visited.control.get(AGENTS)).json() == {"agents": []}


async def test_a_token_without_a_scope_of_ours_may_do_nothing(own: tuple[Visited, Issuer]) -> None:
    visited, issuer = own
    for scope in (None, "", "openid profile", "READ", 7, {"read": True}):
        answer = await visited.public.get(AGENTS, headers=bearer(issuer.token(scope=scope)))
        assert answer.status_code == 403, scope
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic YWRhOnNlY3JldA=="},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
    ],
)
async def test_whoever_shows_no_token_is_told_to(
    own: tuple[Visited, Issuer], headers: dict[str, str]
) -> None:
    visited, _ = own
    answer = await visited.public.get(AGENTS, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="callctl"'
    assert "Authorization: Bearer" in answer.json()["detail"]


async def test_a_token_in_the_address_is_no_token(own: tuple[Visited, Issuer]) -> None:
    visited, issuer = own
    for name in ("token", "access_token"):
        answer = await visited.public.get(AGENTS, params={name: issuer.token()})
        assert answer.status_code == 401


async def test_no_public_key_is_taken_for_a_secret_and_no_secret_for_a_public_key(
    tmp_path: Path, stranger: Issuer
) -> None:
    """With both set, each checks what it is for, and nothing else."""
    issuer, http = own_issuer(tmp_path)
    both = evolve(http, jwt_public_key_file=stranger.public_file)
    async with open_house(tmp_path / "callctl.db", both) as visited:
        for token in (issuer.token(), stranger.token()):
            assert (await visited.public.get(ME, headers=bearer(token))).status_code == 200
        confused = await visited.public.get(ME, headers=bearer(signed_with_the_public_key(stranger)))
        assert confused.status_code == 401


async def test_a_strangers_keys_are_rotated_without_a_restart(tmp_path: Path) -> None:
    """Keys by openssl, tokens by joserfc: accepted; rotated; the old key refused."""
    old, new = (new_issuer(tmp_path, algorithm, kid) for algorithm, kid in (("RS256", "a"), ("ES256", "b")))
    write_key_set(tmp_path / "jwks.json", old)
    async with open_house(tmp_path / "c.db", HttpSettings(jwks_file=tmp_path / "jwks.json")) as visited:

        async def status_of(issuer: Issuer) -> int:
            return (await visited.public.get(ME, headers=bearer(issuer.token()))).status_code

        assert (await status_of(old), await status_of(new)) == (200, 401)
        write_key_set(tmp_path / "jwks.json", new)

        async def is_rotated() -> bool:
            return await status_of(new) == 200

        await until(is_rotated)
        assert await status_of(old) == 401


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ("roles", {"roles": ["read", "offline_access"]}),
        ("realm_access.roles", {"realm_access": {"roles": ["read"]}}),
        ("https://callctl.example/scope", {"https://callctl.example/scope": "read"}),
    ],
)
async def test_an_issuers_claims_have_names_of_their_own(
    tmp_path: Path, claim: str, said: dict[str, Any]
) -> None:
    issuer, http = own_issuer(tmp_path)
    mapped = evolve(http, claim_scope=claim, claim_account="tenant", claim_agent="extension")
    async with open_house(tmp_path / "callctl.db", mapped) as visited:
        token = issuer.token(scope=None, tenant="acme", extension="1001", account="*", agent="2002", **said)
        me = (await visited.public.get(ME, headers=bearer(token))).json()
        assert (me["scopes"], me["account"], me["agent"]) == (["read"], "acme", "1001")
        without = await visited.public.get(ME, headers=bearer(issuer.token(scope=None, **said)))
        assert without.status_code == 401, "where a claim says the account, a token without it has none"


async def test_a_token_that_names_no_account_is_of_the_default_one(own: tuple[Visited, Issuer]) -> None:
    visited, issuer = own
    assert (await visited.public.get(ME, headers=bearer(issuer.token()))).json()["account"] == "default"


async def test_a_token_meant_for_somebody_needs_to_say_so_in_the_configuration(
    own: tuple[Visited, Issuer],
) -> None:
    visited, issuer = own
    answer = await visited.public.get(ME, headers=bearer(issuer.token(aud="account")))
    assert answer.status_code == 401
    assert "jwt-audience" in answer.json()["detail"]


WRONG_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no file": ("jwt_secret_file", lambda path: None, "cannot be read: No such file"),
    "a directory": ("jwt_secret_file", lambda path: path.mkdir(), "cannot be read: Is a directory"),
    "an empty secret": ("jwt_secret_file", lambda path: path.write_text("\n"), "has 0 bytes, and needs 32"),
    "a short secret": (
        "jwt_secret_file",
        lambda path: path.write_text("x" * 31),
        "has 31 bytes, and needs 32",
    ),
    "a public key for a secret": (
        "jwt_secret_file",
        lambda path: path.write_text("-----BEGIN PUBLIC KEY-----\n" + SECRET),
        "holds no secret but a key in PEM",
    ),
    "no public key": (
        "jwt_public_key_file",
        lambda path: path.write_text(SECRET),
        "holds no public key in PEM",
    ),
    "a private key": (
        "jwt_public_key_file",
        lambda path: path.write_bytes(RSAKey.generate_key(2048).as_pem(private=True)),
        "holds a private key",
    ),
    "a short key": (
        "jwt_public_key_file",
        lambda path: path.write_bytes(_short_key()),
        "has 1024 bits, and needs 2048",
    ),
    "no key set": ("jwks_file", lambda path: path.write_text("[]"), "is no JWKS"),
    "an empty key set": ("jwks_file", lambda path: path.write_text('{"keys": []}'), "has no key"),
    "a secret in a key set": (
        "jwks_file",
        lambda path: path.write_text('{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'),
        "has no key",
    ),
    "rubbish in a key set": (
        "jwks_file",
        lambda path: path.write_text('{"keys": [7, {}, {"kty": "RSA", "n": 3}, {"kty": "EC", "crv": []}]}'),
        "has no key",
    ),
}


def _short_key() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    return (
        rsa.generate_private_key(65537, 1024)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


@pytest.mark.parametrize("name", WRONG_FILES)
async def test_a_key_that_cannot_be_used_keeps_the_api_closed_and_says_so_everywhere(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    field, write, why = WRONG_FILES[name]
    path = tmp_path / "key"
    write(path)
    http = HttpSettings(**{field: path})
    async with open_house(tmp_path / "callctl.db", http) as visited:
        answer = await visited.public.get(AGENTS, headers=bearer(Issuer("HS256", _secret_key()).token()))
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "callctl check" in answer.json()["detail"]
        ready = await visited.public.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True), "telephony goes on"
        [warning] = ready.json()["warnings"]
        assert warning.startswith("the HTTP API: http.")
        assert why in warning
        assert (await visited.control.get(AGENTS)).status_code == 200
    assert "[error" in capsys.readouterr().out


def _secret_key() -> Any:
    from joserfc.jwk import OctKey

    return OctKey.import_key(SECRET)


async def test_a_mended_key_counts_after_a_reload(tmp_path: Path) -> None:
    issuer, http = own_issuer(tmp_path)
    assert http.jwt_secret_file is not None
    secret = http.jwt_secret_file.read_text()
    http.jwt_secret_file.unlink()
    async with open_house(tmp_path / "callctl.db", http) as visited:
        assert (await visited.public.get(ME, headers=bearer(issuer.token()))).status_code == 503
        http.jwt_secret_file.write_text(secret)
        visited.house.access.reload(http)

        async def is_let_in() -> bool:
            return (await visited.public.get(ME, headers=bearer(issuer.token()))).status_code == 200

        await until(is_let_in)
        assert "warnings" not in (await visited.public.get("/readyz")).json()


async def test_the_algorithms_of_the_configuration_are_the_only_ones(
    tmp_path: Path, stranger: Issuer
) -> None:
    http = HttpSettings(jwt_public_key_file=stranger.public_file, jwt_algorithms=("PS256",))
    async with open_house(tmp_path / "callctl.db", http) as visited:
        assert (await visited.public.get(ME, headers=bearer(stranger.token()))).status_code == 401
        other = evolve(stranger, algorithm="PS256")
        assert (await visited.public.get(ME, headers=bearer(other.token()))).status_code == 200


async def test_a_token_is_made_listed_and_revoked(own: tuple[Visited, Issuer]) -> None:
    visited, _ = own
    order = {"subject": "crm", "scope": "read", "account": "acme", "seconds": 60}
    made = await visited.control.post("/api/v1/tokens", json=order)
    assert made.status_code == 201
    token, about = made.json()["token"], made.json()["about"]
    assert (about["subject"], about["account"], about["scope"], about["revoked_at"]) == (
        *("crm", "acme", "read"),
        None,
    )
    assert pyjwt.decode(token, SECRET, algorithms=["HS256"])["jti"] == about["jti"]
    assert (await visited.public.get(ME, headers=bearer(token))).json()["subject"] == "crm"
    assert (await visited.control.get("/api/v1/tokens")).json() == {"tokens": [about]}

    assert (await visited.control.delete(f"/api/v1/tokens/{about['jti']}")).status_code == 204

    refusal = await visited.public.get(ME, headers=bearer(token))
    assert (refusal.status_code, refusal.json()["detail"]) == (
        401,
        "the token is not accepted: it was revoked",
    )
    [listed] = (await visited.control.get("/api/v1/tokens")).json()["tokens"]
    assert listed["revoked_at"]


async def test_a_token_of_another_issuer_is_revoked_by_its_name(own: tuple[Visited, Issuer]) -> None:
    visited, issuer = own
    token = issuer.token(jti="of-the-issuer")
    assert (await visited.public.get(ME, headers=bearer(token))).status_code == 200
    await visited.control.delete("/api/v1/tokens/of-the-issuer")
    assert (await visited.public.get(ME, headers=bearer(token))).status_code == 401


async def test_nobody_makes_or_revokes_a_token_of_another_account(own: tuple[Visited, Issuer]) -> None:
    visited, issuer = own
    admin = bearer(issuer.token(scope="admin", account="acme"))
    order = {"subject": "crm", "scope": "read"}
    for account, status in (("acme", 201), ("globex", 403), ("*", 403)):
        made = await visited.public.post("/api/v1/tokens", json={**order, "account": account}, headers=admin)
        assert made.status_code == status
    foreign = issuer.token(account="globex", jti="g1")
    await visited.public.delete("/api/v1/tokens/g1", headers=admin)
    assert (await visited.public.get(ME, headers=bearer(foreign))).status_code == 200
    made = await visited.control.post("/api/v1/tokens", json={**order, "account": "globex"})
    jti = made.json()["about"]["jti"]
    assert (await visited.public.delete(f"/api/v1/tokens/{jti}", headers=admin)).status_code == 404
    listed = (await visited.public.get("/api/v1/tokens", headers=admin)).json()["tokens"]
    assert {each["account"] for each in listed} == {"acme"}


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"scope": "read"}, 422),
        ({"subject": "crm"}, 422),
        ({"subject": "crm", "scope": "root"}, 422),
        ({"subject": "crm", "scope": ""}, 422),
        ({"subject": " ", "scope": "read"}, 422),
        ({"subject": "crm", "scope": "read", "seconds": 0}, 422),
        ({"subject": "crm", "scope": "read", "seconds": 1e9}, 422),
        ({"subject": "crm", "scope": "read", "account": "a/b"}, 422),
        ({"subject": "crm", "scope": "agent"}, 422),
        ({"subject": "crm", "scope": "agent", "agent": "nobody"}, 404),
    ],
)
async def test_a_token_of_no_use_is_not_made(
    own: tuple[Visited, Issuer], order: dict[str, Any], status: int
) -> None:
    visited, _ = own
    assert (await visited.control.post("/api/v1/tokens", json=order)).status_code == status
    assert (await visited.control.get("/api/v1/tokens")).json() == {"tokens": []}


async def test_without_a_secret_no_token_is_made(visited: Visited) -> None:
    answer = await visited.control.post("/api/v1/tokens", json={"subject": "crm", "scope": "read"})
    assert answer.status_code == 409
    assert "jwt-secret-file" in answer.json()["detail"]


async def test_an_agents_token_acts_for_that_agent_and_sees_what_concerns_it(
    own: tuple[Visited, Issuer],
) -> None:
    visited, issuer = own
    visited.hire("1001", "caller")
    visited.hire("1002", "sales")
    mine = bearer(issuer.token(scope="agent", agent="1001"))
    get, post = visited.public.get, visited.public.post

    assert (await post(f"{AGENTS}/1001/status", json={"status": "On Break"}, headers=mine)).status_code == 200
    assert (await post(f"{AGENTS}/1002/status", json={"status": "On Break"}, headers=mine)).status_code == 403
    assert (
        await post(f"{AGENTS}/nobody/status", json={"status": "On Break"}, headers=mine)
    ).status_code == 403
    assert (await post(f"{AGENTS}/1002/wrap-up", json={}, headers=mine)).status_code == 403
    assert [each["name"] for each in (await get(AGENTS, headers=mine)).json()["agents"]] == ["1001"]
    assert (await get(f"{AGENTS}/1001", headers=mine)).status_code == 200
    assert (await get(f"{AGENTS}/1002", headers=mine)).status_code == 404
    assert [each["name"] for each in (await get("/api/v1/queues", headers=mine)).json()["queues"]] == [
        "caller"
    ]
    assert (await get("/api/v1/queues/caller", headers=mine)).status_code == 403
    assert (await visited.public.delete(f"{AGENTS}/1001", headers=mine)).status_code == 403
    found = visited.house.act(lambda distributor, now: distributor.agent("1002", now))
    assert found.status is AgentStatus.AVAILABLE

    nobodys = bearer(issuer.token(scope="agent"))
    assert (await get(AGENTS, headers=nobodys)).json() == {"agents": []}
    assert (await get("/api/v1/queues", headers=nobodys)).json() == {"queues": []}
    assert (
        await post(f"{AGENTS}/1001/status", json={"status": "On Break"}, headers=nobodys)
    ).status_code == 403


async def test_metrics_are_open_on_loopback_and_elsewhere_need_a_token_of_every_account(
    tmp_path: Path,
) -> None:
    from callctl.config.settings import Address

    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "a.db", http) as visited:
        assert (await visited.public.get("/metrics")).status_code == 200
    elsewhere = evolve(http, listen=Address("0.0.0.0", 8090))
    async with open_house(tmp_path / "b.db", elsewhere) as visited:
        assert (await visited.public.get("/metrics")).status_code == 401
        for account, status in (("acme", 403), ("*", 200)):
            answer = await visited.public.get("/metrics", headers=bearer(issuer.token(account=account)))
            assert answer.status_code == status
        assert (await visited.public.get("/healthz")).status_code == 200
    async with open_house(tmp_path / "c.db", evolve(elsewhere, metrics="open")) as visited:
        assert (await visited.public.get("/metrics")).status_code == 200


async def test_a_token_that_was_good_is_checked_again_when_it_ends_or_the_keys_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    def verify(token: str, *arguments: Any) -> Any:
        verified.append(token)
        return verified_claims(token, *arguments)

    monkeypatch.setattr(http_access, "verified_claims", verify)
    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", http) as visited:
        access = visited.house.access
        token = issuer.token(exp=int(time.time()) + 1, jti="t1")
        for _ in range(3):
            assert (await visited.public.get(ME, headers=bearer(token))).status_code == 200
        assert verified == [token], "it is verified once"

        async def has_ended() -> bool:
            return (await visited.public.get(ME, headers=bearer(token))).status_code == 401

        await until(has_ended)
        lasting = issuer.token()
        assert (await visited.public.get(ME, headers=bearer(lasting))).status_code == 200
        assert http.jwt_secret_file is not None
        http.jwt_secret_file.write_text("another secret, which is long enough for HS256")
        access.reload(http)

        async def is_refused() -> bool:
            return (await visited.public.get(ME, headers=bearer(lasting))).status_code == 401

        await until(is_refused)
