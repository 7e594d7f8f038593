"""What a switch lacks of all that queues name, as it answers to `api` commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from callctl.call.media_check import MediaProblem, media_problems
from callctl.model import OverflowRule, QueueSettings

EVERYTHING: Mapping[str, str] = {
    "local_stream show": "moh/8000,/sounds/music/8000\ndefault,/sounds/music/8000\n",
    "global_getvar sound_prefix": "/sounds/en",
    "file_exists /sounds/en/hello.wav": "false",
    "file_exists /sounds/en/8000/hello.wav": "true",
    "file_exists /sounds/en/ivr/8000/ivr-you_are_number.wav": "true",
    "xml_locate languages language name en": (
        '<language name="en" say-module="en" sound-prefix="/sounds/en"><phrases><macros>'
        '<macro name="callctl_position"><input pattern="^(\\d+)$"><match>'
        '<action function="play-file" data="ivr/ivr-you_are_number.wav"/>'
        '<action function="say" data="$1" method="pronounced" type="number"/>'
        "</match></input></macro></macros></phrases></language>"
    ),
}
"""A switch that has all of it, in FreeSWITCH's words."""


async def problems_of(
    queue: Mapping[str, Any] | QueueSettings, **different: str
) -> tuple[list[MediaProblem], list[str]]:
    """Return what is found to be missing, and which questions were asked."""
    answers = {**EVERYTHING, **{name.replace("__", " "): text for name, text in different.items()}}
    asked: list[str] = []

    async def ask(questions: Sequence[str]) -> Sequence[str]:
        asked.extend(questions)
        return [answer(question) for question in questions]

    def answer(question: str) -> str:
        if question.startswith("module_exists"):
            return answers.get(question, "true")
        return answers.get(question, "false" if question.startswith("file_exists") else "-ERR no reply\n")

    settings = queue if isinstance(queue, QueueSettings) else QueueSettings(name="sales", **queue)
    return await media_problems([settings], ask), asked


async def words_of(queue: Mapping[str, Any], answers: Mapping[str, str] | None = None) -> list[str]:
    problems, _ = await problems_of(queue, **(answers or {}))
    return [problem.words for problem in problems]


async def test_a_switch_that_has_all_is_without_problem() -> None:
    queue = {"greeting": "hello.wav", "agent_announce": "hello.wav", "announce_position": "yes"}
    assert await words_of(queue) == []


@pytest.mark.fault(22)
async def test_a_missing_module_is_named_with_what_needs_it() -> None:
    queue = {"overflow": (OverflowRule(to="voicemail:1000", waited=30),)}
    missing = {"module_exists mod_voicemail": "false", "module_exists mod_local_stream": "false"}
    assert await words_of(queue, missing) == [
        "mod_local_stream is not loaded, and is needed for moh-sound of sales; add it to modules.conf.xml, "
        "and now: fs_cli -x 'load mod_local_stream'",
        "mod_voicemail is not loaded, and is needed for voicemail:1000 of sales; add it to modules.conf.xml, "
        "and now: fs_cli -x 'load mod_voicemail'",
    ]


@pytest.mark.fault(22)
async def test_the_voicemail_of_closed_hours_needs_its_module_too() -> None:
    missing = {"module_exists mod_voicemail": "false"}
    [words] = await words_of({"closed_target": "voicemail:1000"}, missing)
    assert words.startswith("mod_voicemail is not loaded, and is needed for voicemail:1000 of sales")
    assert await words_of({"closed_target": "extension:1000"}, missing) == []


@pytest.mark.fault(22)
async def test_a_stream_that_is_not_defined_is_missed_unless_freeswitch_plays_another() -> None:
    [problem], _ = await problems_of({}, **{"local_stream show": "default,/music\n"})
    assert "no local_stream 'moh'" in problem.words
    assert not problem.is_silent
    [problem], _ = await problems_of({}, **{"local_stream show": "jazz,/music\n"})
    assert problem.is_silent


@pytest.mark.fault(22)
async def test_a_phrase_that_is_not_installed_is_missed_and_so_are_its_sounds_and_numbers() -> None:
    position = {"announce_position": "yes"}
    assert (
        "no phrase 'callctl_position'"
        in (await words_of(position, {"xml_locate languages language name en": "can't find anything\n"}))[0]
    )
    assert (await words_of({"announce_wait": "yes"}))[0].startswith("there is no phrase 'callctl_wait'")
    both = await words_of({"announce_wait": "yes", "announce_position": "yes"})
    assert ["callctl_wait" in both[0], "callctl_position_and_wait" in both[1]] == [True, True]
    [numbers] = await words_of(position, {"module_exists mod_say_en": "false"})
    assert numbers.startswith("mod_say_en is not loaded, which says the numbers")
    sound = {"file_exists /sounds/en/ivr/8000/ivr-you_are_number.wav": "false"}
    assert await words_of(position, sound) == [
        "there is no file /sounds/en/ivr/ivr-you_are_number.wav for the phrase callctl_position"
    ]


@pytest.mark.fault(22)
@pytest.mark.parametrize(
    ("sound", "missed"),
    [
        ("hello.wav", False),
        ("hello", False),
        ("bye.wav", True),
        ("/elsewhere/bye.wav", True),
        ("{volume=2}bye.wav", True),
        ("playback::bye.wav", True),
        ("file_string://hello.wav!bye.wav", True),
        ("phrase:bye:1", True),
        ("phrase::bye,1", True),
        ("phrase::callctl_position,1", False),
        ("${music_of_the_day}", False),
        ("say:hello", False),
        ("tone_stream://%(100,100,440)", False),
        ("speak::flite|kal|hello", False),
        ("vendor://anything", False),
    ],
)
async def test_each_way_to_name_a_sound_is_understood(sound: str, missed: bool) -> None:
    assert bool(await words_of({"greeting": sound})) is missed


async def test_what_is_never_played_is_not_asked_for() -> None:
    _, asked = await problems_of({"callback_offer": "offer.wav", "announce_sound": ("ad.wav",)})
    assert not [question for question in asked if "offer.wav" in question or "ad.wav" in question]
    _, asked = await problems_of(
        {"callback_offer": "offer.wav", "callback_key": "1", "announce_sound": ("ad.wav",)}
        | {"announce_frequency": 30}
    )
    assert {"file_exists /sounds/en/offer.wav", "file_exists /sounds/en/ad.wav"} <= set(asked)


async def test_the_music_of_the_dialplan_is_looked_at_too() -> None:
    [words] = await words_of({}, {"global_getvar callctl_away_music": "/no/such.wav"})
    assert words == "there is no file /no/such.wav for callctl_away_music of the dialplan"
