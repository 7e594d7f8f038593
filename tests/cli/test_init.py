"""`callctl init` writes files that work as they are, and never destroys any."""

from __future__ import annotations

import importlib.metadata
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

import callctl
from callctl.cli.init import dialplan_files, examples_folder
from callctl.config import load_config
from tests.cli.conftest import Run

FILES = {"callctl.toml"} | {
    f"dialplan/{name}" for name in ("README.md", "callctl.xml", "callctl_phrases.xml", "callctl_test.xml")
}


def written(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_it_writes_the_configuration_and_the_dialplan(run: Run, tmp_path: Path) -> None:
    ran = run("init", "etc")
    assert ran.code == 0
    assert written(tmp_path / "etc") == FILES
    assert load_config(tmp_path / "etc" / "callctl.toml", {}).queues.keys() == {"caller"}
    for name in FILES:
        assert f"wrote etc/{name}\n" in ran.out
    assert "reloadxml" in ran.out


def test_the_configuration_is_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    run("init")
    assert (tmp_path / "callctl.toml").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "dialplan" / "callctl.xml").stat().st_mode & 0o044


def test_it_overwrites_nothing_unless_told_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "callctl.toml").write_text("# mine\n")
    ran = run("init")
    assert ran.code == 1
    assert "callctl.toml exists already; nothing was written" in ran.err
    assert written(tmp_path) == {"callctl.toml"}
    assert run("init", "--force").code == 0
    assert (tmp_path / "callctl.toml").read_text() != "# mine\n"


def test_a_directory_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "dialplan").write_text("a file where the directory should be")
    ran = run("init", "etc")
    assert ran.code == 1
    assert "cannot write etc/dialplan/" in ran.err


def test_every_dialplan_file_is_well_formed() -> None:
    for name, text in dialplan_files().items():
        if name.endswith(".xml"):
            assert ElementTree.fromstring(text).tag == "include"


def test_an_installed_callctl_finds_its_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "share" / "callctl" / "dialplan"
    place.mkdir(parents=True)
    (place / "callctl.xml").write_text("<include/>")

    class Installed:
        name = "callctl.xml"

        def as_posix(self) -> str:
            return "../../../share/callctl/dialplan/callctl.xml"

        def locate(self) -> Path:
            return place / "callctl.xml"

    def files(_name: str) -> list[Any]:
        return [Installed()]

    monkeypatch.setattr(callctl, "__file__", str(tmp_path / "lib" / "callctl" / "__init__.py"))
    monkeypatch.setattr(importlib.metadata, "files", files)
    assert dialplan_files() == {"callctl.xml": "<include/>"}


@pytest.mark.fault(30)
def test_it_says_where_the_examples_are(run: Run) -> None:
    folder = examples_folder()
    assert folder is not None
    assert (folder / "callctl.service").is_file()
    assert run("init").out.splitlines()[-1].endswith(f": {folder}")


@pytest.mark.fault(30)
def test_an_installed_callctl_finds_its_examples_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "share" / "callctl" / "examples"
    place.mkdir(parents=True)
    (place / "README.md").touch()

    class Installed:
        def as_posix(self) -> str:
            return "../../../share/callctl/examples/README.md"

        def locate(self) -> Path:
            return place / "README.md"

    monkeypatch.setattr(callctl, "__file__", str(tmp_path / "lib" / "callctl" / "__init__.py"))
    monkeypatch.setattr(importlib.metadata, "files", lambda _name: [Installed()])
    assert examples_folder() == place
    monkeypatch.setattr(importlib.metadata, "files", lambda _name: None)
    assert examples_folder() is None
