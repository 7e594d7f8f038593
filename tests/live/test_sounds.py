"""What callers and agents cannot hear, as FreeSWITCH tells of it, and what they hear instead."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from callctl.call.entertainment import RINGING_TONE
from callctl.call.events import MediaKind
from callctl.call.media_check import media_problems
from callctl.cli.probe import ask
from callctl.config import SwitchSettings
from callctl.esl.wire import Event
from callctl.model import OverflowRule, QueueSettings
from tests.live.centre import CallCentre
from tests.live.configuration import PASSWORD
from tests.live.freeswitch import FreeSwitch
from tests.live.patience import until
from tests.live.test_features import SECOND_OF_TONE, Sounds, centre_with

NO_STREAM = "local_stream://nobody-has-defined-it"


def failures(centre: CallCentre) -> dict[MediaKind, int]:
    return dict(centre.server.switches["live"].media.failures)


@pytest.mark.fault(22)
async def test_where_the_music_is_missing_callers_hear_ringing_and_it_is_known(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    sounds = Sounds()
    async with (
        centre_with(freeswitch, tmp_path, f'moh-sound = "{NO_STREAM}"') as centre,
        freeswitch.console(sounds.take, "PLAYBACK_START") as console,
    ):
        await console.api("status")
        media = centre.server.switches["live"].media
        await until(lambda: bool(media.problems))
        assert [problem.words[:49] for problem in media.problems] == [
            "there is no local_stream 'nobody-has-defined-it' f"[:49]
        ]
        caller = await centre.call()
        await until(lambda: RINGING_TONE in sounds.begun)
        assert failures(centre) == {MediaKind.MUSIC: 1}
        await centre.hang_up(caller)
        await centre.row(caller)


@pytest.mark.fault(22)
async def test_a_phrase_and_a_greeting_that_are_missing_are_known(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    settings = 'greeting = "/no/such/hello.wav"\nannounce-position = "yes"\nannounce-interval = 15'
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        media = centre.server.switches["live"].media
        await until(lambda: bool(media.problems))
        assert [problem.words.partition(" for ")[0] for problem in media.problems] == [
            "there is no file /no/such/hello.wav",
            "there is no phrase 'callctl_position'",
        ]
        caller = await centre.call()
        await until(lambda: MediaKind.GREETING in failures(centre))
        await until(lambda: MediaKind.ANNOUNCEMENT in failures(centre), 20.0)
        await centre.hang_up(caller)
        await centre.row(caller)


@pytest.mark.fault(22)
async def test_sounds_that_are_broken_off_by_the_bridge_or_the_caller_count_as_heard(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    announcement = "tone_stream://%(10000,0,900);loops=1"
    settings = f'announce-sound = ["{announcement}"]\nannounce-frequency = 1'
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        for _ in range(2):
            caller = await centre.call()
            await centre.row(caller, "state = 'waiting'")
            await trio.sleep(1.5)
            await centre.hang_up(caller)
            await centre.row(caller)
        caller = await centre.call()
        await trio.sleep(1.5)
        centre.agent("1001", "answer")
        await centre.row(caller, "state = 'talking'")
        await centre.hang_up(caller)
        await centre.row(caller)
        assert failures(centre) == {}


@pytest.mark.fault(22)
async def test_an_agent_hears_a_whisper_to_its_end(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    settings = f'agent-announce = "{SECOND_OF_TONE};loops=3"\naccept-timeout = 1'
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        centre.agent("1001", "answer")
        caller = await centre.call()
        row = await centre.row(caller, "state = 'talking'")
        assert row.seconds("wait_seconds") > 3.0
        assert failures(centre) == {}
        await centre.hang_up(caller)
        await centre.row(caller)


@pytest.mark.fault(22)
async def test_the_time_for_the_key_begins_when_the_whisper_has_ended(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    settings = f'accept-key = "1"\naccept-timeout = 2\nagent-announce = "{SECOND_OF_TONE};loops=3"'
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        centre.agent("1001", "answer")
        caller = await centre.call()
        await centre.row(caller, "state = 'ringing'")
        await trio.sleep(3.8)
        await centre.press_on_phone("answer", "1")
        await centre.row(caller, "state = 'talking'")
        await centre.hang_up(caller)
        assert (await centre.row(caller))["reason"] == "BRIDGED"


@pytest.mark.fault(22)
async def test_a_whisper_that_is_missing_is_known(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    async with centre_with(freeswitch, tmp_path, 'agent-announce = "/no/such/sales.wav"') as centre:
        centre.agent("1001", "answer")
        caller = await centre.call()
        await centre.row(caller, "state = 'talking'")
        assert failures(centre) == {MediaKind.WHISPER: 1}
        await centre.hang_up(caller)
        await centre.row(caller)


@pytest.mark.fault(22)
async def test_what_this_switch_lacks_is_named_and_nothing_else(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    switch = SwitchSettings(
        name="live", host="127.0.0.1", port=freeswitch.ports.event_socket, password=PASSWORD
    )
    there = tmp_path / "there.wav"
    there.touch()
    queue = QueueSettings(
        name="sales",
        greeting=str(there),
        agent_announce="tone_stream://%(100,0,500)",
        announce_wait="yes",
        overflow=(OverflowRule(to="voicemail:1", waited=5),),
    )
    problems = await media_problems([queue], lambda questions: ask(switch, questions))
    assert [problem.words[:42] for problem in problems] == [
        "mod_voicemail is not loaded, and is needed"[:42],
        "there is no phrase 'callctl_wait' for the "[:42],
    ]


@pytest.mark.fault(22)
async def test_without_voicemail_its_target_leads_to_the_last_resort(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    settings = '[[queue.caller.overflow]]\nto = "voicemail:1000"\nwaited = 1'
    causes: dict[str, str] = {}

    def take(event: Event) -> None:
        causes[event.uuid] = event.get("Hangup-Cause")

    async with (
        centre_with(freeswitch, tmp_path, settings) as centre,
        freeswitch.console(take, "CHANNEL_HANGUP_COMPLETE") as console,
    ):
        await console.api("status")
        row = await centre.row(await centre.call())
        assert row["reason"] == "OVERFLOW"
        await until(lambda: row.text("uuid") in causes)
        assert causes[row.text("uuid")] == "NORMAL_TEMPORARY_FAILURE"
