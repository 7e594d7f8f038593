"""Whatever comes in, the answer says what was wrong, and the next request is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.api.house import Visited, open_house

AGENT = "/api/v1/agents/1001"
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(["contact", "contacts", "skills", "wrap_up_time", "max-no-answer", "status", "name"])


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"{", "the body is no JSON"),
        (b'{"contact": NaN}', "the body is no JSON"),
        (b'{"contact": "\xff"}', "the body is no JSON"),
        (b"[" * 60_000, "the body is no JSON"),
        (b"[]", "the body must be a JSON object"),
        (b'"Available"', "the body must be a JSON object"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    visited: Visited, content: bytes, detail: str
) -> None:
    answer = await visited.control.put(AGENT, content=content)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(detail)


async def test_a_body_that_does_not_come_is_not_waited_for(
    visited: Visited, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callctl.api.reading.BODY_SECONDS", 0.05)

    async def trickle() -> Any:
        yield b'{"contact":'
        await trio.sleep_forever()

    with trio.fail_after(5):
        answer = await visited.control.put(AGENT, content=trickle())
    assert answer.status_code == 408


async def test_an_unknown_path_is_a_problem_that_names_it(visited: Visited) -> None:
    for path in ("/", "/api/v1", "/api/v1/agents/", "/api/v1/agents/1001/contact", "/api/v2/agents"):
        answer = await visited.control.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": f"nothing is at {path}",
            "instance": path,
            "request_id": answer.headers["x-request-id"],
        }


async def test_a_wrong_method_is_refused_with_those_that_there_are(visited: Visited) -> None:
    answer = await visited.control.post(AGENT)
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert {method.strip() for method in answer.headers["allow"].split(",")} == {
        "GET",
        "HEAD",
        "PUT",
        "PATCH",
        "DELETE",
    }


async def test_our_own_mistake_is_said_to_be_ours_and_logged(
    visited: Visited, capsys: pytest.CaptureFixture[str]
) -> None:
    visited.calls.refusal = ZeroDivisionError()
    answer = await visited.control.get("/api/v1/calls", params={"live": "true"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "its log says more" in answer.json()["detail"]
    assert "ZeroDivisionError" in capsys.readouterr().out


REQUESTS = st.sampled_from(
    [
        "PUT agents/1001",
        "PATCH agents/1001",
        "POST agents/1001/status",
        "PUT queues/caller/tiers/1001",
        "POST calls/c1/hangup",
        "POST calls/c1/transfer",
        "POST calls/c1/priority",
    ]
)
BODIES = JSON_VALUES | st.dictionaries(KEYS | st.text(max_size=5), JSON_VALUES, max_size=4)


def test_no_body_breaks_the_server(tmp_path_factory: pytest.TempPathFactory) -> None:
    database = tmp_path_factory.mktemp("house") / "callctl.db"

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.tuples(REQUESTS, BODIES), min_size=5, max_size=20))
    def try_them(requests: list[tuple[str, object]]) -> None:
        trio.run(_ask, database, requests)

    try_them()


async def _ask(database: Path, requests: list[tuple[str, object]]) -> None:
    async with open_house(database) as visited:
        visited.hire("1001")
        visited.join("c1")
        for request, body in requests:
            method, path = request.split()
            content = json.dumps(body).encode()
            answer = await visited.control.request(method, f"/api/v1/{path}", content=content)
            assert answer.status_code < 500
        assert (await visited.control.get("/api/v1/agents")).status_code == 200
