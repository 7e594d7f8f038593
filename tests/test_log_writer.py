"""Log lines are written by a thread: nobody waits for them, and what is lost is counted and said."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest
import structlog

from callctl.config import LogSettings
from callctl.log_writer import LogWriter
from callctl.logging import configure_logging

PIPE_BYTES = 64 * 1024


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.fixture(autouse=True)
def _leave_structlog_as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def read_all(reading: int) -> str:
    os.set_blocking(reading, False)
    pieces = []
    try:
        while piece := os.read(reading, PIPE_BYTES):
            pieces.append(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces).decode()


def said_lines(text: str) -> int:
    return text.count('"a line"')


def test_lines_arrive_in_their_order_and_the_end_waits_for_them(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with LogWriter(writing) as writer:
        for number in range(100):
            writer.write(f"{number}\n")
    assert read_all(reading).split() == [str(number) for number in range(100)]
    assert writer.lost_lines == 0


def test_what_does_not_fit_is_dropped_counted_and_said_when_it_can_be_said_again(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    writer = LogWriter(writing, most_bytes=PIPE_BYTES)
    configure_logging(LogSettings(), writer)  # JSON: this is no terminal
    log, began = structlog.get_logger(), time.monotonic()
    for number in range(3000):
        log.info("a line", number=number, padding="x" * 100)
    assert time.monotonic() - began < 5
    assert writer.lost_lines > 0
    text = ""
    while said_lines(text) + writer.lost_lines < 3000:
        text += read_all(reading)
        assert time.monotonic() - began < 20
    log.info("the last")
    while '"the last"' not in text or not text.endswith("\n"):
        text += read_all(reading)
        assert time.monotonic() - began < 20
    lines = [json.loads(line) for line in text.splitlines()]
    losses = [line for line in lines if "lost" in line["event"]]
    assert {loss["level"] for loss in losses} == {"warning"}
    assert sum(loss["lines"] for loss in losses) == writer.lost_lines
    said = [line["number"] for line in lines if line["event"] == "a line"]
    assert said == sorted(said)
    assert len(said) + writer.lost_lines == 3000
    assert lines[-1]["event"] == "the last"
    writer.close()


def test_a_reader_who_never_reads_does_not_keep_it_from_closing(pipe: tuple[int, int]) -> None:
    _, writing = pipe
    writer = LogWriter(writing)
    for _ in range(20):
        writer.write("x" * PIPE_BYTES)
    began = time.monotonic()
    writer.close(0.1)
    assert time.monotonic() - began < 5
    read_all(pipe[0])  # or the thread would write to the descriptor of another test


def test_a_descriptor_that_takes_nothing_loses_lines_and_says_so_later() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    writer = LogWriter(full)
    writer.write("a line\n")
    while writer.lost_lines < 1:
        time.sleep(0.01)
    writer.write("another\n")
    writer.close()
    assert writer.lost_lines == 2
    os.close(full)


def test_a_descriptor_that_does_not_block_loses_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    writer = LogWriter(writing)
    for number in range(2000):
        writer.write(f"{number:0100}\n")
    text, began = "", time.monotonic()
    while len(text) < 2000 * 101 and time.monotonic() - began < 20:
        text += read_all(reading)
        time.sleep(0.001)
    writer.close()
    assert [int(line) for line in text.splitlines()] == list(range(2000))
