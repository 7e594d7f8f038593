"""The OpenAPI document describes what the server really takes and gives, and a fuzzer finds no difference."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from callctl.api.openapi import document_of
from callctl.api.operations import operations_of
from callctl.cli.stage import open_stage
from callctl.model import AgentSettings, QueueSettings, Scope
from callctl.sim.people import Endpoint
from tests.api.issuer import own_issuer


class _Nothing:
    """Stands where the table's maker wants a server; nothing is asked of it here."""

    def __getattr__(self, name: str) -> _Nothing:
        return self


NOTHING: Any = _Nothing()
OPERATIONS = operations_of(NOTHING, NOTHING)

FUZZER_SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "422", "429"]
"""
"""422 answers a value that has the right form and breaks a rule which no schema can say, such as that of a
dial string; 409 answers a change of what stands in callctl.toml, or an order at the wrong moment."""

DOCUMENT = msgspec.json.decode(msgspec.json.encode(document_of(OPERATIONS)))


def references(value: object) -> set[str]:
    """Return all that is referred to anywhere in a piece of the document."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(each) for each in value.values()))
    return set().union(*(references(each) for each in value)) if isinstance(value, list) else set()


def test_every_operation_is_described_once_with_its_scopes() -> None:
    described = {
        f"{method.upper()} {path}": operation
        for path, by_method in DOCUMENT["paths"].items()
        for method, operation in by_method.items()
    }
    assert set(described) == {each.name for each in OPERATIONS}
    for each in OPERATIONS:
        without = [{}] if each.is_open_to_monitoring else []
        assert described[each.name]["security"] == [*({"token": [scope]} for scope in each.scopes), *without]
    names = [operation["operationId"] for operation in described.values()]
    assert len(set(names)) == len(names)


def test_what_is_referred_to_is_there_and_everything_there_is_referred_to() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert {each.removeprefix("#/components/schemas/") for each in references(DOCUMENT)} == set(schemas)


def test_a_body_takes_no_other_keys_and_no_null_and_leaves_out_what_the_path_says() -> None:
    agent = DOCUMENT["components"]["schemas"]["AgentSettingsBody"]
    assert agent["additionalProperties"] is False
    assert "name" not in agent["properties"]
    assert agent["properties"]["wrap_up_time"]["minimum"] == 0
    change = DOCUMENT["components"]["schemas"]["StatusChangeBody"]
    assert change["required"] == ["status"]
    assert change["properties"]["for_seconds"]["type"] == "number"


def test_a_partial_change_requires_nothing() -> None:
    change = DOCUMENT["components"]["schemas"]["AgentSettingsChange"]
    assert "required" not in change


@pytest.mark.parametrize("scope", [Scope.ADMIN, Scope.READ])
async def test_a_fuzzer_finds_nothing_that_the_document_does_not_say(tmp_path: Path, scope: Scope) -> None:
    """It is short here. At length: `st run URL/api/v1/openapi.json -H "Authorization: Bearer …"`."""
    (tmp_path / "schemathesis.toml").write_text(FUZZER_SETTINGS)
    issuer, http = own_issuer(tmp_path)
    async with open_stage(tmp_path / "callctl.db", QueueSettings(name="caller"), seed=1, http=http) as stage:
        stage.hire(AgentSettings(name="1001", contact="user/1001"), "caller", Endpoint(answer_after=0.1))
        url = f"http://127.0.0.1:{stage.server.http_port}"
        token = issuer.token(scope=scope.value, account="*")
        with trio.fail_after(120):
            ran = await trio.run_process(
                [
                    *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/api/v1/openapi.json"),
                    *("-H", f"Authorization: Bearer {token}", "--seed", "1", "-n", "5", "--no-color"),
                    *("--phases", "coverage,fuzzing", "--max-time", "15", "--continue-on-failure"),
                ],
                capture_stdout=True,
                capture_stderr=True,
                check=False,
                cwd=tmp_path,
            )
    assert ran.returncode == 0, ran.stdout.decode()
