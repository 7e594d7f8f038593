"""Nobody overwrites an agent's settings that somebody else has changed in between."""

from __future__ import annotations

import pytest

from tests.api.house import Visited

AGENT = "/api/v1/agents/1001"


async def test_the_tag_changes_with_the_settings_and_not_with_the_state(visited: Visited) -> None:
    first = (await visited.control.put(AGENT, json={"contact": "user/1001"})).headers["etag"]
    await visited.control.post(f"{AGENT}/status", json={"status": "Available"})
    assert (await visited.control.get(AGENT)).headers["etag"] == first
    second = (await visited.control.patch(AGENT, json={"wrap_up_time": 5})).headers["etag"]
    assert second != first
    assert (await visited.control.patch(AGENT, json={"wrap_up_time": 0})).headers["etag"] == first


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_change_of_what_was_read_is_taken_and_of_something_older_refused(
    visited: Visited, method: str
) -> None:
    old = (await visited.control.put(AGENT, json={"wrap_up_time": 1})).headers["etag"]
    await visited.control.patch(AGENT, json={"wrap_up_time": 2})
    content = None if method == "DELETE" else b'{"wrap_up_time": 3}'

    async def change(tag: str) -> int:
        answer = await visited.control.request(method, AGENT, content=content, headers={"If-Match": tag})
        return answer.status_code

    assert await change(old) == 412
    assert await change('"nonsense"') == 412
    shown = await visited.control.get(AGENT)
    assert shown.json()["wrap_up_time"] == 2
    assert await change(f'"other", {shown.headers["etag"]}') in (200, 204)


async def test_a_star_stands_for_whatever_there_is(visited: Visited) -> None:
    put = visited.control.put
    refusal = await put(AGENT, json={}, headers={"If-Match": "*"})
    assert refusal.status_code == 412
    assert refusal.headers["content-type"] == "application/problem+json"
    assert (await put(AGENT, json={}, headers={"If-None-Match": "*"})).status_code == 201
    assert (await put(AGENT, json={}, headers={"If-None-Match": "*"})).status_code == 412
    assert (await put(AGENT, json={}, headers={"If-Match": "*"})).status_code == 200
