"""The options that the tests take beside pytest's own."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--freeswitch",
        metavar="PREFIX",
        default=None,
        help="where a FreeSWITCH is installed, the directory above bin/freeswitch, for tests/live",
    )
