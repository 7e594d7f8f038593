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
    parser.addoption(
        "--kills",
        metavar="NUMBER",
        type=int,
        default=0,
        help="how many times tests/crash kills callctl, and tests/store a writer: 20 are the full measure; "
        "without this option it is a small share of it",
    )
