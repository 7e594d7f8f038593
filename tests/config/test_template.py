"""The commented callctl.toml changes nothing, explains everything, and can be used line by line."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
from attrs import evolve

from callctl.config import load_config, template
from callctl.config.template import WORDS


def test_it_does_the_same_as_no_file_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "new.toml"
    path.write_text(template(), "utf-8")
    assert load_config(path, {}) == load_config(None, {})


def test_every_line_may_be_taken_out_of_its_comment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "new.toml"
    # Keys without a default, of which the value is the user's, and the keys that exclude another.
    without_default = re.compile(r"^#([a-z-]+ =)$", re.MULTILINE)
    text = without_default.sub("# a value of your own", template())
    path.write_text(re.sub(r"^#(?=[\[a-z])", "", text, flags=re.MULTILINE), "utf-8")
    config = load_config(path, {})
    assert config.agents["1001"].contact == "user/1001"
    assert [tier.agent for tier in config.tiers] == ["1001"]
    assert evolve(config, agents={}, tiers=()) == load_config(None, {})


@pytest.mark.parametrize("record", WORDS, ids=lambda record: record.__name__)
def test_every_key_has_its_words(record: type[attrs.AttrsInstance]) -> None:
    fields = {attribute.name for attribute in attrs.fields(record)}
    assert set(WORDS[record]) | {"name"} == fields | {"name"}


def test_no_line_is_too_long_for_an_editor() -> None:
    assert max(len(line) for line in template().splitlines()) <= 110


@pytest.mark.fault(16)
def test_the_agent_of_the_example_is_not_rung_for_ever_though_nobody_answers() -> None:
    assert "#max-no-answer = 3\n" in template()
