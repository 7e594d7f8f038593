"""The command line: one module for each group of commands, imported only when it is run.

- `table`: the names of all commands, and where each lives.
- `options`: what many commands share: `--config`, `--json`, and how values are read.
- `output`: tables for people, JSON for programs.
- `target`: where a command works: on a running server, or on the database when none runs. `keepers`: both.
- `probe`: asks a switch how it stands, for `check`. `stage`: server and stand-in, for `demo`.
- `load`: the people of `loadtest`. `process`: a server in a process of its own, and what it costs.
- `files`: how many files a process may have open.

Every command prints errors in one line on stderr and exits 1 when what was asked did not work, 2 for wrong
usage or configuration. A traceback means a defect of ours, never a user's mistake.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

import click

from callctl import __version__
from callctl.cli.table import CommandTable
from callctl.errors import CallctlError, ConfigError
from callctl.records.printable import printable

WRONG_USAGE = 2
DID_NOT_WORK = 1
_OF_THE_OUTPUT = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)
"""What writing says of a stdout that was closed, or of the disk that it goes to."""

INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended: 128 and the number of the signal."""


@click.command(
    cls=CommandTable,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Every command has its own help, with an example: "callctl demo --help".',
)
@click.version_option(__version__, message="callctl %(version)s")
def callctl() -> None:
    """A call queue for FreeSWITCH."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (by default those of the process) name; return the exit code."""
    _open_standard_streams()
    try:
        result = callctl.main(args=arguments, prog_name="callctl", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return WRONG_USAGE
    except click.ClickException as error:
        _say(error.format_message(), _hint(error))
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output, `head` for example, has seen enough.
        _give_up_stdout()
        return DID_NOT_WORK
    except OSError as error:
        if error.errno not in _OF_THE_OUTPUT or error.filename is not None:
            raise
        _give_up_stdout()
        _say(f"the output cannot be written: {error.strerror}")
        return DID_NOT_WORK
    except CallctlError as error:
        _say(str(error))
        return WRONG_USAGE if isinstance(error, ConfigError) else DID_NOT_WORK
    except BaseExceptionGroup as group:
        return _report_group(group)


def _open_standard_streams() -> None:
    """Put something in the place of each standard stream that was closed for us, as by `2>&-`.

    Python has None there, and the next file that is opened would get the descriptor: what is meant for
    stderr would then be written into the database.
    """
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is taken, which is this one. Writing to stdout fails there, so that
            # a command that prints does not seem to have worked.
            os.open(os.devnull, flags)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  # as long as the process
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _give_up_stdout() -> None:
    """Let what Python still flushes to stdout at its end not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_group(group: BaseExceptionGroup[BaseException]) -> int:
    """Say each error of a nursery in its line; a group that holds anything unexpected is raised on."""
    errors = list(_leaves(group))
    if all(isinstance(error, KeyboardInterrupt) for error in errors):
        return INTERRUPTED
    if not all(isinstance(error, CallctlError) for error in errors):
        raise group
    for error in errors:
        _say(str(error))
    return WRONG_USAGE if any(isinstance(error, ConfigError) for error in errors) else DID_NOT_WORK


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _hint(error: click.ClickException) -> str:
    """Return how to get help, for an error of usage."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f' (see "{error.ctx.command_path} --help")'
    return ""


def _say(message: str, hint: str = "") -> None:
    with suppress(OSError):  # nobody reads it, and there is nobody else to tell
        click.echo(f"callctl: {printable(' '.join(message.split()))}{hint}", err=True)
