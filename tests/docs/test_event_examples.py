"""Each type of event has an example, which its schema and its record accept as it is sent."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from callctl.store.event_types import CATALOGUE, Envelope, schema_of

EXAMPLES = Path(__file__).parents[2] / "examples/events"


def test_there_is_an_example_of_each_type_and_no_other() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {f"{name}.json" for name in CATALOGUE}


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_an_example_is_what_is_really_sent(event_type: str) -> None:
    text = (EXAMPLES / f"{event_type}.json").read_bytes()
    envelope = msgspec.json.decode(text, type=Envelope)
    assert envelope.type == event_type
    data = msgspec.json.decode(envelope.data, type=CATALOGUE[event_type], strict=True)
    # Nothing is missing in the example, and nothing is too much.
    assert msgspec.to_builtins(data) == json.loads(text)["data"]


@pytest.mark.parametrize("event_type", CATALOGUE)
def test_the_schema_describes_the_example(event_type: str) -> None:
    example = json.loads((EXAMPLES / f"{event_type}.json").read_bytes())
    jsonschema.validate(example, schema_of(event_type))
    del example["data"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(example, schema_of(event_type))
