"""An address is read as people write it, and knows who can reach it."""

from __future__ import annotations

import pytest

from callctl.config import Address
from callctl.config.settings import is_loopback


@pytest.mark.parametrize("text", ["127.0.0.1:8084", "[::1]:8084", "localhost:0", "callctl.example.org:65535"])
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "8084", "host", "host:", ":80", "host:x", "host:65536", "host:-1", "::1:80", "h:²"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|needs|brackets"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("pbx", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
    assert Address(host, 1).is_loopback is expected
