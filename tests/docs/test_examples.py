"""The examples name nothing that does not exist, and work."""

from __future__ import annotations

import configparser
import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from callctl.cli.stage import open_stage
from callctl.config.paths import control_socket
from callctl.esl.outbound import OutboundListener
from callctl.esl.wire import (
    CommandDecoder,
    CommandMessage,
    encode_connect_reply,
    encode_event_json,
    encode_message,
)
from callctl.model import QueueSettings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
METRIC = re.compile(r"\bcallctl_[a-z_]+\b")


@pytest.fixture
async def exposition(tmp_path: Path) -> AsyncIterator[str]:
    """Give what a real server answers on /metrics."""
    database = tmp_path / "callctl.db"
    async with open_stage(database, QueueSettings(name="caller"), seed=1):
        yield await trio.to_thread.run_sync(_scrape, database)


def _scrape(database: Path) -> str:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(control_socket(database)))
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def dashboard_expressions() -> Iterator[str]:
    dashboard: dict[str, Any] = json.loads((EXAMPLES / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        yield variable["query"]


async def test_alerts_and_dashboard_use_metrics_that_there_are(exposition: str) -> None:
    known = set(re.findall(r"^# TYPE (\S+)", exposition, re.MULTILINE))
    histograms = set(re.findall(r"^# TYPE (\S+) histogram", exposition, re.MULTILINE))
    known |= {f"{name}_bucket" for name in histograms}
    used = set(METRIC.findall(" ".join(dashboard_expressions())))
    used |= set(METRIC.findall((EXAMPLES / "alerts.yml").read_text()))
    assert used
    assert used - known == set()


async def test_every_metric_is_used_by_the_alerts_or_the_dashboard(exposition: str) -> None:
    known = set(re.findall(r"^# TYPE (callctl_\S+)", exposition, re.MULTILINE))
    texts = [(EXAMPLES / "alerts.yml").read_text(), *dashboard_expressions()]
    assert {name for name in known if not any(name in text for text in texts)} == set()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_every_alert_firing_in_its_time_and_quiet_otherwise() -> None:
    subprocess.run(["promtool", "check", "rules", EXAMPLES / "alerts.yml"], check=True)
    subprocess.run(["promtool", "test", "rules", ROOT / "tests/docs/alerts_test.yml"], check=True)


def test_every_alert_is_complete_and_has_a_test() -> None:
    rules = (EXAMPLES / "alerts.yml").read_text().split("- alert: ")[1:]
    tested = (ROOT / "tests/docs/alerts_test.yml").read_text()
    assert rules
    for rule in rules:
        for part in ("expr: ", "severity: ", "summary: ", "description: "):
            assert part in rule, rule
        assert f'alertname="{rule.split()[0]}"' in tested


@pytest.mark.fault(29)
def test_the_alert_for_the_history_fires_for_a_single_row_that_cannot_be_written() -> None:
    rules = (EXAMPLES / "alerts.yml").read_text().split("- alert: ")
    [rule] = [rule for rule in rules if rule.startswith("CallctlHistoryNotWritten")]
    assert "callctl_store_pending_rows > 0\n" in rule
    assert "for: 2m\n" in rule


def test_panels_lie_side_by_side_and_have_their_own_numbers() -> None:
    panels = json.loads((EXAMPLES / "grafana.json").read_text())["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_unit_starts_a_command_that_exists_and_waits_for_its_word() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read(EXAMPLES / "callctl.service")
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["ExecStart"].split()[1] == "serve"
    assert unit["Service"]["Restart"] == "always"
    assert int(unit["Service"]["WatchdogSec"]) >= 10


@pytest.mark.fault(29)
def test_the_unit_starts_it_again_however_often_it_ends_and_lets_it_write_its_backups() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    unit.read(EXAMPLES / "callctl.service")
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["ProtectSystem"] == "strict"
    assert unit["Service"]["ReadWritePaths"] == "-/var/backups/callctl"


@pytest.mark.parametrize("path", sorted((EXAMPLES / "freeswitch").glob("*.xml")), ids=lambda path: path.name)
def test_the_switchs_configuration_is_well_formed(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    # A file of the dialplan has no name of its own.
    assert root.tag == "include" or root.get("name") == f"{path.name.removesuffix('.xml')}"


def test_the_readme_names_every_example() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        if path.name != "README.md" and path.name[0] not in "._":
            assert f"`{path.name}{'/' if path.is_dir() else ''}`" in readme


class Caller:
    """A call of FreeSWITCH that does what it is told, and presses 7 when it is asked for a key."""

    uuid = "11111111-2222-4333-8444-555555555555"

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._decoder = CommandDecoder()
        self.done: list[str] = []

    async def run(self) -> None:
        while True:
            command = await self._next()
            if command is None:
                return
            await self._stream.send_all(self._reply(command))
            if command.headers.get("execute-app-name"):
                await self._stream.send_all(self._complete(command))

    async def _next(self) -> CommandMessage | None:
        while (command := self._decoder.next_command()) is None:
            data = await self._stream.receive_some()
            if not data:
                return None
            self._decoder.receive_data(data)
        return command

    def _reply(self, command: CommandMessage) -> bytes:
        if command.line == "connect":
            data = {
                "Event-Name": "CHANNEL_DATA",
                "Unique-ID": self.uuid,
                "Caller-Caller-ID-Number": "493012",
                "Content-Type": "command/reply",
                "Reply-Text": "+OK\n",
                "Socket-Mode": "async",
                "Control": "full",
            }
            return encode_connect_reply(data)
        self.done.append(self._words(command))
        return encode_message({"Content-Type": "command/reply", "Reply-Text": "+OK"})

    def _words(self, command: CommandMessage) -> str:
        app = command.headers.get("execute-app-name", "")
        argument = command.body if isinstance(command.body, str) else command.body.decode()
        return f"{app} {argument}".strip() or command.headers.get("hangup-cause", "") or command.line

    def _complete(self, command: CommandMessage) -> bytes:
        return encode_event_json(
            {
                "Event-Name": "CHANNEL_EXECUTE_COMPLETE",
                "Unique-ID": self.uuid,
                "Application-UUID": command.headers["event-uuid"],
                "variable_key": "7",
            }
        )


async def test_the_program_answers_a_call_its_own_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import answer  # type: ignore[import-not-found]  # it lies beside the package, as a user's program does

    ours, theirs = trio.testing.memory_stream_pair()
    caller = Caller(theirs)
    listener = OutboundListener(answer.answer, allow=["127.0.0.0/8"])
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(caller.run)
            await listener.serve_stream(ours, "127.0.0.1")
            nursery.cancel_scope.cancel()
    assert capsys.readouterr().out == f"{Caller.uuid} pressed 7\n"
    said = [words for words in caller.done if not words.startswith(("linger", "filter", "event"))]
    assert [words.split()[0] for words in said] == ["answer", "say", "play_and_get_digits", "NORMAL_CLEARING"]
    assert said[1] == "say en number iterated 493012"


def test_the_program_says_what_it_is_when_imported_and_starts_nothing() -> None:
    code = "import answer; print(answer.__doc__.splitlines()[0])"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, timeout=20
    )
    assert ran.stdout.startswith("Answers every call")


@pytest.mark.fault(30)
def test_every_example_is_in_the_wheel() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        data_files = tomllib.load(file)["tool"]["setuptools"]["data-files"]
    packed = {
        path
        for place, patterns in data_files.items()
        if place.startswith("share/callctl/examples")
        for pattern in patterns
        for path in ROOT.glob(pattern)
        if path.parent == ROOT / place.removeprefix("share/callctl/")
    }
    assert packed == {path for path in EXAMPLES.rglob("*") if path.is_file()}
