"""The command line as a whole: help at once, errors in one line, exit codes that scripts can trust."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from callctl import __version__
from callctl.cli import callctl, main
from callctl.cli.table import COMMANDS
from callctl.errors import CallctlError, ConfigError
from tests.cli.conftest import Run
from tests.cli.history import morning, write


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command that can be run, with its words."""

    def walk(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from walk(f"{words} {name}", inner)
        else:
            yield words, command

    yield from walk("callctl", callctl)


def test_help_lists_every_command_without_importing_trio() -> None:
    code = "import sys; from callctl.cli import main; main(['--help']); print('trio' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("False\n")
    for name, words in COMMANDS.items():
        assert f"  {name} " in out
        assert words in out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_the_same_as_the_command(name: str) -> None:
    command = callctl.get_command(click.Context(callctl), name)
    assert command is not None
    assert (command.help or "").startswith(COMMANDS[name].rstrip("."))


def test_every_command_has_help_with_an_example_of_itself() -> None:
    for words, command in every_command():
        assert "Example:" in (command.help or ""), words
        assert words in (command.help or ""), words


def test_every_command_takes_a_configuration_unless_it_needs_none() -> None:
    without = {"callctl demo", "callctl init", "callctl loadtest", "callctl config hash-password"}
    for words, command in every_command():
        has_config = any(parameter.name == "config" for parameter in command.params)
        assert has_config or words in without, words


def test_every_command_that_lists_prints_json() -> None:
    for words, command in every_command():
        if words.endswith((" list", " show")) and words != "callctl config show":
            assert any(parameter.name == "as_json" for parameter in command.params), words


def test_the_version_is_said(run: Run) -> None:
    assert run("--version").out == f"callctl {__version__}\n"


def test_no_command_shows_the_help_and_is_wrong_usage(run: Run) -> None:
    ran = run()
    assert ran.code == 2
    assert "Commands:" in ran.err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["confg"], 'callctl: unknown command "confg"; did you mean "config"? (see "callctl --help")'),
        (["config", "shw"], 'see "callctl config --help"'),
        (["config", "show", "--confg", "x"], 'see "callctl config show --help"'),
        (["config", "show", "--config", "missing.toml"], "callctl: missing.toml: cannot be read"),
        (["agent", "add"], "callctl: Missing argument 'NAME'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(run: Run, arguments: list[str], expected: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert expected in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CallctlError("the disk\nis full"), 1, "callctl: the disk is full\n"),
        (ConfigError("no such key"), 2, "callctl: no such key\n"),
        (
            ExceptionGroup("", [ExceptionGroup("", [CallctlError("one")]), CallctlError("two")]),
            1,
            "one\ncallctl: two\n",
        ),
        (ExceptionGroup("", [ConfigError("no such key")]), 2, "callctl: no such key\n"),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), 130, ""),
    ],
)
def test_an_error_that_we_raise_on_purpose_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(callctl, "get_command", lambda _context, _name: failing)
    assert main(["config"]) == code
    assert capsys.readouterr().err.endswith(said)


@pytest.mark.parametrize(
    "error", [ValueError("ours"), ExceptionGroup("", [ValueError("ours"), CallctlError("x")])]
)
def test_a_defect_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(callctl, "get_command", lambda _context, _name: failing)
    with pytest.raises(type(error)):
        main(["config"])


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m callctl config show | head -c 1"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert ran.stdout == "["
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", set(COMMANDS)),
        ("ba", {"backup"}),
        ("agent lo", {"login", "logout"}),
        ("report --serv", {"--service-level"}),
    ],
)
def test_a_shell_can_complete_commands_and_options(typed: str, expected: set[str]) -> None:
    words = f"callctl {typed}"
    environ = {
        **os.environ,
        "_CALLCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = "from callctl.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=30
    )
    assert {line.partition(",")[2] for line in ran.stdout.splitlines()} == expected


def in_shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `callctl` is the command."""
    words = f'callctl() {{ "{sys.executable}" -m callctl "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "CALLCTL_CONFIG"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A folder with a database of some calls, and a callctl.toml that names it."""
    (tmp_path / "callctl.toml").write_text('[server]\ndatabase = "callctl.db"\n')
    write(tmp_path / "callctl.db", morning())
    return tmp_path


@pytest.mark.fault(27)
@pytest.mark.parametrize("command", ["export", "export --format json", "call list", "config show"])
def test_a_reader_who_has_seen_enough_is_no_failure_to_speak_of(history: Path, command: str) -> None:
    assert in_shell(f"callctl {command} | true", history).stderr == ""


@pytest.mark.fault(27)
@pytest.mark.parametrize("command", ["export", "call list", "agent list", "config show", "--help"])
@pytest.mark.parametrize("to", [">&-", ">/dev/full"])
def test_an_output_that_cannot_be_written_is_one_line_and_a_failure(
    history: Path, command: str, to: str
) -> None:
    ran = in_shell(f"callctl {command} {to}", history)
    assert ran.returncode == 1
    assert re.fullmatch(r"callctl: the output cannot be written: .*\n", ran.stderr)


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_without_stderr_a_command_works_as_with_it(history: Path, closed: str) -> None:
    ran = in_shell(f"callctl call list {closed}", history)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "4930111" in ran.stdout
    assert in_shell(f"callctl call show nobody {closed}", history).returncode == 1
