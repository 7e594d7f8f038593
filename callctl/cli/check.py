"""`callctl check`: is everything as it must be, and if not, what is to be done?"""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import click
import trio

from callctl.acd.check import check_agents
from callctl.cli.check_http import http_findings
from callctl.cli.findings import Finding, Verdict
from callctl.cli.options import json_option, whole_config_option
from callctl.cli.output import print_json, say
from callctl.cli.probe import SwitchAnswers, ask_switch, socket_actions
from callctl.cli.target import read_roster
from callctl.config import Config, SwitchSettings
from callctl.config.settings import is_loopback
from callctl.errors import CallctlError, EslError, StoreError
from callctl.store.own_files import others_can_read
from callctl.store.schema import SCHEMA_VERSION
from callctl.store.upkeep import integrity

MODULES = ("mod_commands", "mod_dptools", "mod_dialplan_xml")
"""What callctl needs of FreeSWITCH in any case."""


DEFAULT_PASSWORD = "ClueCon"
"""FreeSWITCH's own for Event Socket."""


@click.command()
@json_option
@whole_config_option
def command(config: Config, as_json: bool) -> int:
    """Check configuration, database, switches and dialplan.

    A line for each says that it is well, or what is wrong and what to do about it.

    \b
    Example:
      callctl check --config /etc/callctl/callctl.toml
    """
    findings = trio.run(_collect, config, not as_json)
    if as_json:
        print_json([attrs.asdict(finding) for finding in findings])
    return int(any(finding.verdict is Verdict.WRONG for finding in findings))


async def _collect(config: Config, is_printed: bool) -> list[Finding]:
    findings = []
    async for finding in _findings(config):
        findings.append(finding)
        if is_printed:
            say(f"{finding.verdict.value:<8} {finding.what}: {finding.words}")
    return findings


async def _findings(config: Config) -> AsyncIterator[Finding]:
    yield _configuration(config)
    for finding in _secrets(config):
        yield finding
    database = list(_database(config))
    for finding in database:
        yield finding
    if all(finding.verdict is not Verdict.WRONG for finding in database):
        for finding in _agents(config):
            yield finding
    for finding in await trio.to_thread.run_sync(lambda: list(http_findings(config.http))):
        yield finding
    for switch in config.switches:
        async for answer in _switch(switch, config):
            yield answer


def _configuration(config: Config) -> Finding:
    place = str(config.path) if config.path is not None else "built-in defaults; callctl init writes a file"
    return Finding("configuration", Verdict.OK, place)


def _secrets(config: Config) -> Iterator[Finding]:
    """Warn of passwords that everybody on this machine can read. ClueCon is none: everybody knows it."""
    path = config.path
    if path is not None and others_can_read(path):
        written = tomllib.loads(path.read_text("utf-8")).get("freeswitch", ())
        if any(switch.get("password", DEFAULT_PASSWORD) != DEFAULT_PASSWORD for switch in written):
            words = f"everybody can read {path}, and it holds a password of Event Socket: chmod o-r {path}"
            yield Finding("configuration", Verdict.WARNING, f"{words}, or use password-file")
    for switch in config.switches:
        file = switch.password_file and (path or Path()).parent / switch.password_file
        if file and file.exists() and others_can_read(file):
            words = f"everybody can read its password in {file}: chmod o-r {file}"
            yield Finding(f"switch {switch.name}", Verdict.WARNING, words)


def _database(config: Config) -> Iterator[Finding]:
    path = config.server.database
    if not path.exists():
        if not path.parent.is_dir():
            yield Finding("database", Verdict.WRONG, f"there is no directory {path.parent}; create it")
        else:
            yield Finding("database", Verdict.OK, f"{path} is not there yet; callctl serve creates it")
        return
    try:
        problems = integrity(path)
    except StoreError as error:
        yield Finding("database", Verdict.WRONG, str(error))
        return
    for problem in problems:
        yield Finding("database", Verdict.WRONG, f"{path} {problem}")
    if not problems:
        yield Finding("database", Verdict.OK, f"{path}, version {SCHEMA_VERSION}, sound")
    if others_can_read(path):
        words = f"everybody on this machine can read who called whom: chmod o-rwx {path}"
        yield Finding("database", Verdict.WARNING, words)


def _agents(config: Config) -> Iterator[Finding]:
    try:
        agents = read_roster(config).agents
    except CallctlError as error:
        yield Finding("agents", Verdict.WARNING, f"they cannot be read: {error}")
        return
    problems = check_agents(agent.settings for agent in agents)
    for problem in problems:
        yield Finding("agents", Verdict.WARNING, problem)
    if agents and not problems:
        yield Finding("agents", Verdict.OK, f"{len(agents)}, each with a contact of its own")


async def _switch(switch: SwitchSettings, config: Config) -> AsyncIterator[Finding]:
    what = f"switch {switch.name}"
    try:
        answers = await ask_switch(switch, MODULES, config.queues.values())
    except (EslError, OSError) as error:
        where = f"{switch.host}:{switch.port}"
        yield Finding(
            what, Verdict.WRONG, f"{where}: {_reason(error)}; see [[freeswitch]] and event_socket.conf.xml"
        )
        return
    version = answers.version.removeprefix("FreeSWITCH Version ").split(" ")[0].split("+")[0]
    yield Finding(what, Verdict.OK, f"FreeSWITCH {version} at {switch.host}:{switch.port}, logged in")
    if switch.password == DEFAULT_PASSWORD and not is_loopback(switch.host):
        words = "everybody knows its password, ClueCon; change it in event_socket.conf.xml and here"
        yield Finding(what, Verdict.WARNING, words)
    for finding in (*_modules(what, answers), *_media(switch, answers), *_dialplan(switch, answers, config)):
        yield finding


def _modules(what: str, answers: SwitchAnswers) -> Iterator[Finding]:
    missing = [name for name, is_there in answers.modules.items() if not is_there]
    for name in missing:
        words = f"{name} is not loaded; add it to modules.conf.xml, and now: fs_cli -x 'load {name}'"
        yield Finding(what, Verdict.WRONG, words)
    if not missing:
        yield Finding(what, Verdict.OK, f"has {', '.join(answers.modules)}")


def _media(switch: SwitchSettings, answers: SwitchAnswers) -> Iterator[Finding]:
    what = f"sounds of {switch.name}"
    for problem in answers.media:
        yield Finding(what, Verdict.WRONG if problem.is_silent else Verdict.WARNING, problem.words)
    if not answers.media:
        yield Finding(what, Verdict.OK, "it has all that callers and agents are to hear")


def _dialplan(switch: SwitchSettings, answers: SwitchAnswers, config: Config) -> Iterator[Finding]:
    what = f"dialplan of {switch.name}"
    port = config.server.listen.port
    ours = [action for action in socket_actions(answers.dialplan) if action.leads_to(port)]
    for action in ours:
        place = f"extension {action.extension} in context {action.context}"
        if action.is_complete:
            yield Finding(what, Verdict.OK, f"{place} leads to {'|'.join(action.hosts)}")
        else:
            words = f"{place} must say: socket {'|'.join(action.hosts)} async full"
            yield Finding(what, Verdict.WRONG, words)
    if not ours:
        words = f"no socket action leads to port {port}; callctl init writes the files, fs_cli -x reloadxml"
        yield Finding(what, Verdict.WRONG, words)


def _reason(error: EslError | OSError) -> str:
    """Return the words of the operating system, which Trio keeps as the cause of its own."""
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):  # one for each address that was tried
        cause = cause.exceptions[0]
    for each in (cause, error):
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return str(error)
