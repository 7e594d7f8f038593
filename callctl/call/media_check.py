"""Whether a switch has what callers and agents are to hear, and the modules that the queues' targets need.

A missing stream, file or phrase is no error for FreeSWITCH: the call goes on in silence. So the switch is
asked, by `api` commands alone, for whatever the configuration names.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

import attrs
from attrs import field, frozen

from callctl.model import QueueSettings

Ask = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
"""Asks a switch several `api` commands, and returns the answers in their order."""

MODULE_OF_STREAM: Mapping[str, str] = {
    "local_stream": "mod_local_stream",
    "tone_stream": "mod_tone_stream",
    "silence_stream": "mod_tone_stream",
    "shout": "mod_shout",
    "http_cache": "mod_http_cache",
    "vlc": "mod_vlc",
}
"""Which module plays the sounds that begin so; those of other modules are not looked at."""

MODULE_OF_EXTENSION: Mapping[str, str] = {"wav": "mod_sndfile", "mp3": "mod_shout"}

RATES = (8000, 16000, 32000, 48000)
"""mod_sndfile looks for `ivr/hello.wav` in `ivr/8000/` and so on as well."""

DEFAULT_STREAM = "default"
"""The stream that mod_local_stream plays where it has none of the name (local_stream_file_open)."""

VOICEMAIL_TARGET = "voicemail:"


@frozen(kw_only=True)
class MediaProblem:
    """What a switch lacks, in words that say what to do. `is_silent`: nothing else is heard instead."""

    words: str
    is_silent: bool = True


@frozen
class _Needs:
    """What must be there, each with what it is there for."""

    modules: defaultdict[str, list[str]] = field(factory=lambda: defaultdict(list))
    streams: defaultdict[str, list[str]] = field(factory=lambda: defaultdict(list))
    files: defaultdict[str, list[str]] = field(factory=lambda: defaultdict(list))
    macros: defaultdict[str, list[str]] = field(factory=lambda: defaultdict(list))

    def take(self, sound: str, use: str) -> None:
        """Take in a sound as a queue or the dialplan names it."""
        while sound.startswith("{") and "}" in sound:
            sound = sound.partition("}")[2].lstrip()
        if not sound or "${" in sound:
            return  # what a variable holds is known only when it is played
        application, colons, argument = sound.partition("::")
        if colons:
            if application == "phrase":
                self.macros[argument.partition(",")[0]].append(use)
            elif application == "playback":
                self.take(argument, use)
            return
        kind, separator, rest = sound.partition("://")
        if separator:
            self._take_stream(kind, rest, use)
        elif sound.startswith("phrase:"):
            self.macros[sound.split(":")[1]].append(use)
        elif not sound.startswith("say:"):
            self.files[sound].append(use)
            extension = sound.rpartition(".")[2].lower()
            if extension in MODULE_OF_EXTENSION:
                self.modules[MODULE_OF_EXTENSION[extension]].append(use)

    def _take_stream(self, kind: str, rest: str, use: str) -> None:
        if kind == "file_string":
            for part in rest.split("!"):
                self.take(part, use)
        elif kind in MODULE_OF_STREAM:
            self.modules[MODULE_OF_STREAM[kind]].append(use)
            if kind == "local_stream":
                self.streams[rest].append(use)


async def media_problems(
    queues: Iterable[QueueSettings], ask: Ask, *, looks_empty: Callable[[str], bool] = lambda folder: False
) -> list[MediaProblem]:
    """Ask a switch for all that `queues` name, and return what it lacks.

    `looks_empty` says whether a folder of the switch has no file in it, as far as that can be known here.
    Raises what `ask` raises.
    """
    needs = _needs_of(queues)
    sound_prefix, base_dir, language, away_music = await _globals(ask)
    needs.take(away_music, "callctl_away_music of the dialplan")
    has_module = await _modules(ask, needs.modules)
    problems = [
        MediaProblem(words=f"{name} is not loaded, and is needed for {_list(uses)}; {_how(name)}")
        for name, uses in needs.modules.items()
        if not has_module[name]
    ]
    if needs.streams and has_module.get("mod_local_stream"):
        [streams] = await ask(["local_stream show"])
        problems += _stream_problems(needs.streams, _folders(streams), looks_empty)
    problems += await _file_problems(ask, needs.files, sound_prefix or base_dir)
    if needs.macros:
        problems += await _phrase_problems(ask, needs.macros, language or "en")
    return problems


def _needs_of(queues: Iterable[QueueSettings]) -> _Needs:
    needs = _Needs()
    needs.modules["mod_tone_stream"].append("the ringing tone, which is heard where music cannot be played")
    for queue in queues:
        for key, sounds in (
            ("moh-sound", (queue.moh_sound,)),
            ("greeting", (queue.greeting,)),
            ("announce-sound", queue.announce_sound if queue.announce_frequency else ()),
            ("agent-announce", (queue.agent_announce,)),
            ("callback-offer", (queue.callback_offer if queue.callback_key else "",)),
        ):
            for sound in sounds:
                needs.take(sound, f"{key} of {queue.name}")
        for macro in _macros_of(queue):
            needs.macros[macro].append(f"the announcements of {queue.name}")
        for target in _targets_of(queue):
            if target.startswith(VOICEMAIL_TARGET):
                needs.modules["mod_voicemail"].append(f"{target} of {queue.name}")
    return needs


def _targets_of(queue: QueueSettings) -> Iterator[str]:
    """Yield where this queue may send callers: one setting for each way out, and the overflow's rules."""
    for attribute in attrs.fields(QueueSettings):
        value = getattr(queue, attribute.name)
        if attribute.name.endswith("_target"):
            yield value
        elif attribute.name.endswith("_targets"):
            yield from value.values()
    for rule in queue.overflow:
        yield rule.to


def _macros_of(queue: QueueSettings) -> Iterator[str]:
    """Yield the phrases that `call.entertainment` says to the callers of this queue."""
    says_position, says_wait = queue.announce_position != "no", queue.announce_wait != "no"
    if says_position:
        yield "callctl_position"
    if says_wait:
        yield "callctl_wait"
    if says_position and says_wait:
        yield "callctl_position_and_wait"


async def _globals(ask: Ask) -> list[str]:
    names = ("sound_prefix", "base_dir", "default_language", "callctl_away_music")
    answers = await ask([f"global_getvar {name}" for name in names])
    # One that is not set has an empty answer, for which Event Socket has words of its own.
    return ["" if text.startswith("-ERR") else text.strip() for text in answers]


async def _modules(ask: Ask, names: Iterable[str]) -> dict[str, bool]:
    wanted = list(names)
    answers = await ask([f"module_exists {name}" for name in wanted])
    return {name: text.strip() == "true" for name, text in zip(wanted, answers, strict=True)}


def _folders(answer: str) -> dict[str, str]:
    """Return the streams by name, with the folder of each; `moh/8000` is one rate of `moh`."""
    pairs = (line.partition(",") for line in answer.splitlines())
    return {name.partition("/")[0]: folder for name, comma, folder in pairs if comma}


def _stream_problems(
    wanted: Mapping[str, Sequence[str]], folders: Mapping[str, str], looks_empty: Callable[[str], bool]
) -> Iterator[MediaProblem]:
    for name, uses in wanted.items():
        folder = folders.get(name.partition("/")[0])
        if folder is None:
            has_other = DEFAULT_STREAM in folders
            instead = f"; FreeSWITCH plays its stream {DEFAULT_STREAM!r} instead" if has_other else ""
            yield MediaProblem(
                words=f"there is no local_stream {name!r} for {_list(uses)}{instead}; "
                "define it in local_stream.conf.xml, and see that its folder exists",
                is_silent=not has_other,
            )
        elif looks_empty(folder):
            yield MediaProblem(
                words=f"the local_stream {name!r} for {_list(uses)} is silent: there is no file in {folder}"
            )


async def _file_problems(ask: Ask, wanted: Mapping[str, Sequence[str]], prefix: str) -> list[MediaProblem]:
    places = {sound: list(_places(sound, prefix)) for sound in wanted}
    is_there = await _existing(ask, (place for each in places.values() for place in each))
    return [
        MediaProblem(words=f"there is no file {candidates[0]} for {_list(wanted[sound])}")
        for sound, candidates in places.items()
        if not any(place in is_there for place in candidates)
    ]


def _places(sound: str, prefix: str) -> Iterator[str]:
    """Yield where FreeSWITCH looks for a sound: as it is, and in a folder for each rate."""
    path = sound if sound.startswith("/") else f"{prefix}/{sound}"
    folder, _, name = path.rpartition("/")
    if "." not in name:
        path, name = f"{path}.wav", f"{name}.wav"
    yield path
    for rate in RATES:
        yield f"{folder}/{rate}/{name}"


async def _existing(ask: Ask, paths: Iterable[str]) -> set[str]:
    wanted = list(dict.fromkeys(paths))
    answers = await ask([f"file_exists {path}" for path in wanted])
    return {path for path, text in zip(wanted, answers, strict=True) if text.strip() == "true"}


async def _phrase_problems(
    ask: Ask, wanted: Mapping[str, Sequence[str]], language: str
) -> list[MediaProblem]:
    [answer] = await ask([f"xml_locate languages language name {language}"])
    root = _xml(answer)
    macros = {} if root is None else {each.get("name", ""): each for each in root.iter("macro")}
    problems = [
        MediaProblem(
            words=f"there is no phrase {name!r} for {_list(uses)} in the language {language!r}; "
            "callctl init writes callctl_phrases.xml, dialplan/README says where it goes"
        )
        for name, uses in wanted.items()
        if name not in macros
    ]
    if root is None or len(problems) == len(wanted):
        return problems
    say = f"mod_say_{root.get('say-module') or root.get('module') or language}"
    if not (await _modules(ask, [say]))[say]:
        problems.append(MediaProblem(words=f"{say} is not loaded, which says the numbers; {_how(say)}"))
    prefix = root.get("sound-prefix") or root.get("sound-path") or ""
    files = {file: (f"the phrase {name}",) for name in wanted for file in _files_in(macros.get(name))}
    return [*problems, *await _file_problems(ask, files, prefix)] if prefix else problems


def _files_in(macro: ElementTree.Element | None) -> Iterator[str]:
    for action in macro.iter("action") if macro is not None else ():
        data = action.get("data", "")
        if action.get("function") == "play-file" and "$" not in data and "://" not in data:
            yield data


def _xml(text: str) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None  # FreeSWITCH has it not, and says so in words


def _how(module: str) -> str:
    return f"add it to modules.conf.xml, and now: fs_cli -x 'load {module}'"


def _list(uses: Sequence[str]) -> str:
    """Name at most three things."""
    few = list(dict.fromkeys(uses))
    return ", ".join(few) if len(few) <= 3 else f"{', '.join(few[:2])} and {len(few) - 2} more"
