"""A file that cannot be used still says where the database is."""

from __future__ import annotations

from pathlib import Path

import pytest

from callctl.config.damaged import config_without_file


@pytest.mark.parametrize(
    ("text", "database"),
    [
        pytest.param('[server]\ndatabase = "x.db"\n[queue', "x.db", id="not TOML behind it"),
        pytest.param('[[[\n[ server ] # here\nlisten = \ndatabase = "x.db"', "x.db", id="not TOML before it"),
        pytest.param('[http]\ndatabase = "x.db"\n=', "callctl.db", id="of another section"),
        pytest.param('[server]\ndatabase = "/a/x.db"\nnonsense = 1', "/a/x.db", id="TOML"),
        pytest.param("[server]\ndatabase = 5\n", "callctl.db", id="no text"),
        pytest.param("server = 5\n", "callctl.db", id="no table"),
        pytest.param("", "callctl.db", id="empty"),
    ],
)
def test_the_database_is_found_in_what_is_left_of_the_file(tmp_path: Path, text: str, database: str) -> None:
    path = tmp_path / "callctl.toml"
    path.write_text(text)
    assert config_without_file(path, {}).server.database == tmp_path / database


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "callctl.toml"
    path.write_text('[server]\ndatabase = "x.db"\n')
    config = config_without_file(path, {"CALLCTL_SERVER__DATABASE": "y.db"})
    assert config.server.database == tmp_path / "y.db"


def test_a_file_that_is_no_text_or_not_there_has_the_default(tmp_path: Path) -> None:
    path = tmp_path / "callctl.toml"
    assert config_without_file(path, {}).server.database == tmp_path / "callctl.db"
    path.write_bytes(b"\xff")
    assert config_without_file(path, {}).server.database == tmp_path / "callctl.db"
