"""What the documents say is what there is: commands, keys, variables, views, routes, metrics."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import click
import pytest

from callctl import __version__
from callctl.cli import callctl, main
from callctl.cli.table import COMMANDS
from callctl.config import template
from callctl.config.convert import key_of
from callctl.config.settings import HttpSettings, LogSettings, ServerSettings, SwitchSettings
from callctl.model import AgentSettings, QueueSettings
from callctl.store.schema import migrate

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "dialplan/README.md",
    ROOT / "examples/README.md",
    ROOT / "examples/http.md",
    ROOT / "CHANGELOG.md",
]


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [
        line.partition("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()
    ]


def command_of(words: list[str]) -> click.Command | None:
    """Return the command that these words begin with, None if there is none."""
    command: click.Command = callctl
    for word in words:
        if not isinstance(command, click.Group):
            break
        inner = command.get_command(click.Context(command), word)
        if inner is None:
            return None
        command = inner
    return None if isinstance(command, click.Group) else command


def test_every_command_line_of_the_readme_is_understood() -> None:
    lines = [line for line in shell_lines() if "callctl " in line and "sqlite3" not in line]
    assert lines
    for line in lines:
        words = shlex.split(line[line.index("callctl ") + len("callctl ") :])
        command = command_of(words)
        assert command is not None, line
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, line


def test_every_command_stands_in_the_readme() -> None:
    for name in COMMANDS:
        assert re.search(rf"`(callctl )?{name}\b", README), name


def test_every_command_that_any_document_names_exists() -> None:
    for path in DOCUMENTS:
        for code in re.findall(r"`callctl ([a-z][a-z ]*)", path.read_text("utf-8")):
            assert code.split()[0] in COMMANDS, f"{path.name}: callctl {code}"


def test_one_line_ends_in_the_demo_and_the_other_in_the_tests_which_ci_runs_too() -> None:
    one_line_set_ups = [line for line in shell_lines() if line.startswith("python3 -m venv")]
    assert [line.rpartition("&& ")[2] for line in one_line_set_ups] == [
        ".venv/bin/callctl demo",
        ".venv/bin/python -m pytest",
    ]
    assert "grep -m1 '^python3 .*pytest' README.md" in (ROOT / ".ci/run").read_text()


def test_every_sql_line_of_the_readme_runs_on_a_new_database(tmp_path: Path) -> None:
    migrate(tmp_path / "callctl.db")
    queries = re.findall(r"sqlite3 callctl.db (['\"])(.*?)\1", README)
    assert len(queries) >= 4
    with closing(sqlite3.connect(tmp_path / "callctl.db")) as connection:
        for _, query in queries:
            connection.execute(query).fetchall()


@pytest.mark.parametrize(
    "record", [ServerSettings, SwitchSettings, HttpSettings, LogSettings, QueueSettings, AgentSettings]
)
def test_every_key_stands_in_the_file_that_init_writes(record: type[attrs.AttrsInstance]) -> None:
    written = template()
    for attribute in attrs.fields(record):
        assert re.search(rf"^#?{key_of(attribute)} =", written, re.MULTILINE) or attribute.name == "name"


def test_the_dialplan_sets_and_explains_every_variable_of_a_call() -> None:
    dialplan = (ROOT / "dialplan/callctl.xml").read_text()
    explained = (ROOT / "dialplan/README.md").read_text()
    for name in ("queue", "caller_uuid", "lead_number", "call_type", "source", "account_id", "widget_id"):
        assert f'application="set" data="{name}=' in dialplan
        assert f"`{name}`" in explained
    for name in re.findall(r'cmd="set" data="(callctl_\w+)=', dialplan):
        assert f"`{name}`" in explained, name


def test_the_dialplans_loop_may_go_round_as_often_as_it_says() -> None:
    """FreeSWITCH hangs up at the 70th transfer, and PCRE takes at most 65535 in braces."""
    dialplan = (ROOT / "dialplan/callctl.xml").read_text()
    tries = int(re.search(r"callctl_away_tries=(\d+)", dialplan)[1])  # type: ignore[index]  # it must be there
    assert tries < 65535
    loop = dialplan[dialplan.index('<extension name="callctl-wait">') :]
    assert loop.index("max_session_transfers=70") < loop.index('data="callctl-wait ')


@pytest.mark.fault(11)
def test_every_transfer_of_the_dialplan_names_its_context() -> None:
    """One without runs in the force_transfer_context of the channel, if it has one."""
    for file in (ROOT / "dialplan").glob("callctl*.xml"):
        for data in re.findall(r'application="transfer" data="([^"]*)"', file.read_text()):
            assert re.fullmatch(r"\S+ XML \S+", data), f"{file.name}: {data}"


def test_a_lost_database_is_put_back_as_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CALLCTL_CONFIG")
    section = README.partition("## If the database is lost\n")[2].partition("\n## ")[0]
    backup, restore, check = re.findall(r"^callctl (.*?)(?:\s+#.*)?$", section, re.MULTILINE)
    place = str(tmp_path / "callctl-backup.db")

    def run(line: str) -> tuple[int, str]:
        code = main(shlex.split(line.replace("/var/backups/callctl.db", place)))
        return code, capsys.readouterr().out

    assert main(["agent", "add", "1001"]) == 0
    assert run(backup)[0] == 0
    database = tmp_path / "callctl.db"
    database.write_bytes(b"SQLite format 3\0" + b"\xff" * 20_000)
    assert "wrong    database" in run(check)[1]
    assert run(restore)[0] == 0
    assert "ok       database" in run(check)[1]
    assert main(["agent", "show", "1001"]) == 0


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_no_document_names_a_file_that_is_not_there() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
