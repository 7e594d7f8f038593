"""A file that is read again is doubted when it has lost so much that nobody can have meant it."""

from __future__ import annotations

from pathlib import Path

import pytest

from callctl.config import Config, load_config
from callctl.config.reload import doubt, refuse_empty
from callctl.errors import ConfigError

pytestmark = pytest.mark.fault(18)


def config(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "callctl.toml"
    file.write_text(text)
    return load_config(file, {})


def queues(*names: str) -> str:
    return "".join(f"[queue.{name}]\nmax-callers = 5\n" for name in ("caller", *names))


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (queues("a", "b"), queues("a", "b"), None),
        (queues("a", "b"), queues("a"), None),
        (queues("a"), queues(), None),
        (queues("a", "b", "c", "d"), queues("a", "b"), None),
        (queues("a", "b", "c"), queues("x", "y", "z"), "it would close 3 of 4 queues"),
        (queues("a", "b"), queues(), "it would close 2 of 3 queues"),
        (queues("a", "b"), queues("a").rstrip(), "its last line has no end"),
        (queues("a"), queues("a").rstrip(), None),
        (queues("a"), queues("a", "b").rstrip(), None),
        (queues("a"), queues("a").removesuffix("\nmax-callers = 5\n"), "its last line has no end"),
    ],
)
def test_what_may_not_be_meant_is_doubted(tmp_path: Path, before: str, after: str, why: str | None) -> None:
    told = doubt(config(tmp_path, before), config(tmp_path, after), after)
    assert told is None if why is None else told is not None and told.startswith(why)


@pytest.mark.parametrize("text", ["", " \n\n", "# all gone\n"])
def test_a_file_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        refuse_empty(Path("callctl.toml"), text)


@pytest.mark.parametrize("text", ["[queue.caller]\n", "[server\n"])
def test_another_one_is_not(text: str) -> None:
    refuse_empty(Path("callctl.toml"), text)
