"""Each request has a name, in its answer and in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from tests.api.house import Visited


@pytest.fixture
def json_log() -> Iterator[None]:
    """Write the log as JSON, as a server does."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer(default=str)]
    )
    yield
    structlog.configure(**before)


async def test_each_answer_has_a_name_of_its_own(visited: Visited) -> None:
    names = [(await visited.public.get("/healthz")).headers["x-request-id"] for _ in range(2)]
    assert len(set(names)) == 2
    assert all(len(name) == 36 for name in names)


async def test_no_answer_is_kept_by_a_cache_or_taken_for_something_else(visited: Visited) -> None:
    for path in ("/healthz", "/api/v1/agents", "/nowhere"):
        headers = (await visited.public.get(path)).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [("abc-1.2_3", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("", False), ('a"}', False)],
)
async def test_a_client_may_name_its_request(visited: Visited, given: str, is_taken: bool) -> None:
    answer = await visited.public.get("/healthz", headers={"X-Request-ID": given})
    assert (answer.headers["x-request-id"] == given) is is_taken


async def test_a_refusal_and_a_mistake_of_ours_name_it_too_and_so_does_the_log(
    visited: Visited, json_log: None, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = await visited.public.get("/api/v1/agents", headers={"X-Request-ID": "first"})
    assert refusal.json()["request_id"] == "first"
    visited.calls.refusal = ZeroDivisionError()
    mistake = await visited.control.get(
        "/api/v1/calls", params={"live": "true"}, headers={"X-Request-ID": "second"}
    )
    assert (mistake.status_code, mistake.json()["request_id"]) == (500, "second")
    assert mistake.headers["x-request-id"] == "second"
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["request"]) for line in lines] == [
        ("a request without a good token", "first"),
        ("request failed", "second"),
    ]
