"""`callctl init`: the files to begin with."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path

import click

import callctl
from callctl.config import template
from callctl.errors import CallctlError

NEXT_STEPS = """\
Next, on the machine of FreeSWITCH (paths of its own configuration):
  1. In {dialplan}/callctl.xml, set callctl_numbers to the numbers of your trunk.
  2. cp {dialplan}/callctl.xml /etc/freeswitch/dialplan/public/00_callctl.xml
     cp {dialplan}/callctl_test.xml /etc/freeswitch/dialplan/default/00_callctl_test.xml
     cp {dialplan}/callctl_phrases.xml /etc/freeswitch/lang/en/ivr/callctl_phrases.xml
  3. fs_cli -x reloadxml
And here:
  4. In {config}, set host and password of [[freeswitch]].
  5. callctl agent add 1001 --contact user/1001 --status Available --config {config}
     callctl tier add caller 1001 --config {config}
  6. callctl serve --config {config}
Then dial 9190 from a phone of yours to wait in the queue "caller".
callctl check says whether all is well, and what callers would not hear.
"""


@click.command()
@click.argument("directory", metavar="[DIR]", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(directory: Path, force: bool) -> None:
    """Write a commented callctl.toml and the dialplan files, and print what to paste where.

    \b
    Example:
      callctl init /etc/callctl
    """
    files = {directory / "callctl.toml": template()}
    files |= {directory / "dialplan" / name: text for name, text in dialplan_files().items()}
    if not force:
        there = [str(path) for path in files if path.exists()]
        if there:
            raise CallctlError(f"{', '.join(there)} exists already; nothing was written (--force overwrites)")
    for path, text in files.items():
        _write(path, text)
        click.echo(f"wrote {path}")
    click.echo()
    click.echo(
        NEXT_STEPS.format(dialplan=directory / "dialplan", config=directory / "callctl.toml"), nl=False
    )
    if (folder := examples_folder()) is not None:
        click.echo(f"Examples (a unit for systemd, alert rules, a dashboard, FreeSWITCH's side): {folder}")


def examples_folder() -> Path | None:
    """Return where the examples lie, of the checkout or installed with callctl; None if they do not."""
    checkout = Path(callctl.__file__).parents[1] / "examples"
    if (checkout / "README.md").exists():
        return checkout
    for file in importlib.metadata.files("callctl") or []:
        if file.as_posix().endswith("share/callctl/examples/README.md"):
            return Path(file.locate()).resolve().parent
    return None


def dialplan_files() -> Mapping[str, str]:
    """Return the files for FreeSWITCH, by name: those installed with callctl, or those of the checkout."""
    checkout = Path(callctl.__file__).parents[1] / "dialplan"
    found = {path.name: path for path in checkout.glob("*.*")} if (checkout / "callctl.xml").exists() else {}
    if not found:
        installed = importlib.metadata.files("callctl") or []
        found = {
            file.name: Path(file.locate()) for file in installed if "callctl/dialplan" in file.as_posix()
        }
    if "callctl.xml" not in found:
        raise CallctlError(
            "the dialplan files are not installed; take them from the source, folder dialplan/"
        )
    return {name: path.read_text("utf-8") for name, path in sorted(found.items())}


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all; the configuration may hold a password, so it is ours alone."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 if path.suffix == ".toml" else 0o644
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8"
        ) as file:
            file.write(text)
        temporary.replace(path)
    except OSError as error:
        raise CallctlError(f"cannot write {path}: {error.strerror}") from error
