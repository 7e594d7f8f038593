"""A log line says what it must, in the form that is wanted, and hides what is nobody's business."""

from __future__ import annotations

import errno
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from callctl.config import LogSettings
from callctl.config.settings import LogFormat, LogLevel, LogNumbers
from callctl.logging import configure_logging, mask, quiet


@pytest.fixture(autouse=True)
def _leave_structlog_as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_elsewhere_than_on_a_terminal_a_line_is_json() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(), stream)
    structlog.get_logger("room").bind(call="c1").info("call joined", queue="caller", position=2)
    (line,) = lines(stream)
    said_at = datetime.strptime(str(line.pop("at")), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert abs(said_at.timestamp() - time.time()) < 60
    assert line == {"event": "call joined", "level": "info", "call": "c1", "queue": "caller", "position": 2}


def test_on_a_terminal_a_line_is_text() -> None:
    stream = Terminal()
    configure_logging(LogSettings(), stream)
    structlog.get_logger().warning("switch lost", switch="fs1")
    assert "switch lost" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.fault(6)
def test_a_line_of_text_cannot_steer_the_terminal() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(format=LogFormat.TEXT), stream)
    name = "\x1b]0;owned\x07\x9b2J\u202eeve"
    try:
        raise ValueError(name)
    except ValueError:
        structlog.get_logger().exception("call failed", caller_name=name, queue=[name], why=f"no\n{name}")
    assert "owned" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert all(line.isprintable() for line in stream.getvalue().split("\n"))


def test_the_form_can_be_chosen() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    configure_logging(LogSettings(format=LogFormat.JSON), terminal)
    structlog.get_logger().info("one")
    configure_logging(LogSettings(format=LogFormat.TEXT), pipe)
    structlog.get_logger().info("two")
    assert lines(terminal)[0]["event"] == "one"
    assert "two" in pipe.getvalue()
    assert "\x1b" not in pipe.getvalue()


def test_what_is_under_the_level_is_not_logged() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(level=LogLevel.WARNING), stream)
    structlog.get_logger().info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_a_logger_from_before_the_configuration_follows_it() -> None:
    log = structlog.get_logger("early")
    stream = io.StringIO()
    configure_logging(LogSettings(), stream)
    log.info("late")
    assert [line["event"] for line in lines(stream)] == ["late"]


def test_quiet_lets_errors_through_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(), stream)
    with quiet():
        structlog.get_logger().warning("not now")
        structlog.get_logger().error("but this")
    structlog.get_logger().info("again")
    assert [line["event"] for line in lines(stream)] == ["again"]
    assert json.loads(capsys.readouterr().err)["event"] == "but this"


def test_passwords_and_tokens_are_hidden() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(), stream)
    structlog.get_logger().error("refused", password="s3cret", why="with eyJhbGciOi.eyJzdWIi.c2ln in it")
    assert "s3cret" not in stream.getvalue()
    assert lines(stream)[0]["why"] == "with ******** in it"


def test_numbers_are_masked_wherever_they_stand() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(numbers=LogNumbers.MASKED), stream)
    try:
        raise ValueError("cannot dial +4930123456")
    except ValueError:
        structlog.get_logger().exception(
            "call from 4930123456",
            caller_number="1234",
            contact="sofia/gateway/a/4930123456",
            variables={"lead_number": "+4930123456", "note": ["4930123456"]},
            uuid="12345678-1234-4321-9876-123456789012",
            listen="10.10.10.10:8084",
            wait=12345.6,
        )
    (line,) = lines(stream)
    assert "30123456" not in stream.getvalue().replace(str(line["uuid"]), "")
    assert line["event"] == "call from *******456"
    assert line["caller_number"] == "*234"
    assert line["contact"] == "sofia/gateway/a/*******456"
    assert line["variables"] == {"lead_number": "********456", "note": ["*******456"]}
    assert line["uuid"] == "12345678-1234-4321-9876-123456789012"
    assert line["listen"] == "10.10.10.10:8084"
    assert line["wait"] == 12345.6
    assert "Traceback" in str(line["exception"])


@pytest.mark.parametrize(
    ("number", "masked"), [("", ""), ("12", "12"), ("1234", "*234"), ("+49301", "***301")]
)
def test_a_mask_leaves_three_digits(number: str, masked: str) -> None:
    assert mask(number) == masked


def test_bytes_that_are_no_text_break_no_line() -> None:
    stream = io.StringIO()
    configure_logging(LogSettings(), stream)
    structlog.get_logger().info("odd", name="caf\udce9", raw=b"\xff")
    assert lines(stream)[0]["name"] == "caf\udce9"


def test_a_log_that_cannot_be_written_stops_nobody_and_says_so_when_it_can_again() -> None:
    class FullDisk(io.StringIO):
        is_full = True

        def write(self, text: str) -> int:
            if self.is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    stream = FullDisk()
    configure_logging(LogSettings(), stream)
    structlog.get_logger().info("first")
    structlog.get_logger().info("second")
    stream.is_full = False
    structlog.get_logger().info("third")
    said, line = stream.getvalue().splitlines()
    assert (json.loads(said)["level"], json.loads(said)["lines"]) == ("warning", 2)
    assert json.loads(line)["event"] == "third"
