"""Nobody asks more often than the buckets allow, and whoever does is told when to come again."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from callctl.api import limits
from callctl.api.rates import Buckets, Rate, retry_after
from callctl.refusals import Refusal, Refusals
from tests.api.house import Visited, open_house
from tests.api.issuer import bearer, own_issuer

ME = "/api/v1/me"


def test_a_bucket_empties_and_fills_with_time() -> None:
    buckets = Buckets(Rate(per_second=2.0, burst=3.0))
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("b", 0.0) == 0.0, "each has its own"
    assert buckets.take("a", 0.5) == 0.0
    assert buckets.take("a", 0.5) == 0.5, "what was refused took nothing"
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5], "it never overflows"


def test_a_charge_may_leave_a_debt_which_has_a_bound() -> None:
    buckets = Buckets(Rate(per_second=1.0, burst=2.0))
    buckets.charge("a", 0.0, 100.0)
    assert buckets.take("a", 0.0) == 3.0


def test_as_many_buckets_are_kept_as_were_used_last() -> None:
    buckets = Buckets(Rate(per_second=1.0, burst=1.0), most=2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 0.0)
    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0.0


def test_whoever_has_to_wait_is_told_whole_seconds() -> None:
    assert [retry_after(seconds) for seconds in (0.001, 1.0, 1.2)] == ["1", "1", "2"]


async def test_an_address_that_asks_too_often_is_refused_but_for_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OF_AN_ADDRESS", Rate(per_second=0.1, burst=3))
    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", http) as visited:
        headers = bearer(issuer.token())
        with capture_logs() as lines:
            answers = [await visited.public.get(ME, headers=headers) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429, 429]
        refusal = answers[-1]
        assert refusal.headers["content-type"] == "application/problem+json"
        assert 1 <= int(refusal.headers["retry-after"]) <= 10
        assert len([line for line in lines if line["log_level"] == "warning"]) == 1
        assert Refusals.of_this_run().counts()[Refusal.HTTP_RATE] == 3
        assert (await visited.public.get("/healthz")).status_code == 200
        assert (await visited.public.get("/metrics")).status_code == 429
        assert (await visited.control.get(ME)).status_code == 200
        assert 'callctl_refusals_total{reason="http-rate"}' in (await visited.control.get("/metrics")).text


async def test_so_is_a_token_wherever_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OF_A_TOKEN", Rate(per_second=0.1, burst=2))
    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", http) as visited:
        first, second = bearer(issuer.token(jti="a")), bearer(issuer.token(jti="b"))
        statuses = [(await visited.public.get(ME, headers=first)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await visited.public.get(ME, headers=second)).status_code == 200


async def test_bad_tokens_cost_more_than_good_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OF_AN_ADDRESS", Rate(per_second=0.1, burst=50))
    issuer, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", http) as visited:
        statuses = [(await visited.public.get(ME, headers=bearer("x.y.z"))).status_code for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        assert (await visited.public.get(ME, headers=bearer(issuer.token()))).status_code == 429


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1, 127.0.0.2", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", "127.0.0.1"),
        ("unknown", "127.0.0.1"),
        ("192.0.2.1, nonsense", "127.0.0.1"),
    ],
)
async def test_behind_a_proxy_the_client_is_whom_the_proxy_heard(
    tmp_path: Path, forwarded: str, counted: str
) -> None:
    from starlette.requests import Request

    _, http = own_issuer(tmp_path)
    async with open_house(tmp_path / "callctl.db", evolve(http, behind_proxy=True)) as visited:
        scope = {
            "type": "http",
            "client": ("127.0.0.1", 1),
            "headers": [(b"x-forwarded-for", forwarded.encode())],
        }
        assert str(visited.house.access.address_of(Request(scope))) == counted
        scope["client"] = ("198.51.100.7", 1)
        assert str(visited.house.access.address_of(Request(scope))) == "198.51.100.7"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
        ("application/merge-patch+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/xml", 415),
        ("", 415),
    ],
)
async def test_a_body_of_another_kind_is_refused(visited: Visited, content_type: str, status: int) -> None:
    visited.hire("1001")
    answer = await visited.control.patch(
        "/api/v1/agents/1001", content=b"{}", headers={"Content-Type": content_type}
    )
    assert answer.status_code == status
