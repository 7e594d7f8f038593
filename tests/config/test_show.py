"""What is shown is in force, says where it came from, hides passwords, and can be read back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from attrs import evolve

from callctl.config import Config, load_config, show_config

TEXT = """
[server]
listen = "[::1]:8084"
drain-timeout = 2.5

[[freeswitch]]
name = "fs1"
password = "s3cret"

[[freeswitch]]
name = "fs 2"
password-file = "secret"

[queue.caller]
strategy = "ring-all"
[queue."second \\"line\\""]
wrap-up-time = 3

[agent.1001]
contact = "user/1001"
contacts = { fs1 = "sofia/a\\u00e4/1001" }
skills = { english = 5 }
tiers = { caller = { position = 2 }, 'second "line"' = {} }
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("hidden\n")
    (tmp_path / "callctl.toml").write_text(TEXT)
    return load_config(None, {"CALLCTL_QUEUE__CALLER__WEIGHT": "2"})


def test_what_is_shown_can_be_read_back(config: Config, tmp_path: Path) -> None:
    shown = tmp_path / "shown.toml"
    shown.write_text(show_config(config))
    again = load_config(shown, {})
    without_passwords = tuple(evolve(each, password="") for each in config.switches)
    assert evolve(again, switches=()) == evolve(config, switches=())
    assert tuple(evolve(each, password="") for each in again.switches) == without_passwords
    assert again.switches[1].password == "hidden"


def test_each_value_says_where_it_came_from(config: Config) -> None:
    lines = show_config(config).splitlines()
    origins = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in lines if line and line[0] != "["}
    assert origins["listen"] == "default"  # the last one shown is [http]'s
    assert origins["drain-timeout"] == "callctl.toml:4"
    assert "callctl.toml:15" in next(line for line in lines if line.startswith('strategy = "ring-all"'))
    assert "CALLCTL_QUEUE__CALLER__WEIGHT" in next(line for line in lines if line.startswith("weight = 2"))
    assert all(
        origin == "default" or "callctl.toml:" in origin or "CALLCTL" in origin for origin in origins.values()
    )


def test_no_password_is_shown(config: Config) -> None:
    shown = show_config(config)
    assert "s3cret" not in shown
    assert "hidden" not in shown
    assert [each.get("password") for each in tomllib.loads(shown)["freeswitch"]] == ["********", None]


def test_switches_from_the_environment_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("callctl.toml").write_text('[[freeswitch]]\nname = "old"\npassword-file = "x"\n')
    shown = show_config(load_config(None, {"FS_SERVERS": "pbx,,"}))
    assert 'host = "pbx"' in shown
    assert shown.count("# FS_SERVERS") == 4
    assert "callctl.toml" not in shown
