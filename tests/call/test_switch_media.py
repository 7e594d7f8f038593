"""What cannot be heard is counted, and logged once a minute."""

from __future__ import annotations

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from callctl.call.events import MediaKind
from callctl.call.media_check import MediaProblem
from callctl.call.switch_media import LOOK_SECONDS, MOST_SOUNDS, SwitchMedia
from callctl.model import QueueSettings
from tests.call.test_switch import connected
from tests.sim.harness import world

MOH = "local_stream://moh"


@pytest.mark.fault(22)
async def test_a_sound_that_fails_is_counted_each_time_and_logged_once_a_minute(
    autojump_clock: MockClock,
) -> None:
    media = SwitchMedia("fs1")
    with capture_logs() as lines:
        for _ in range(3):
            media.failed(MediaKind.MUSIC, MOH, "sales")
        media.failed(MediaKind.WHISPER, "sales.wav", "sales")
        await trio.sleep(61)
        media.failed(MediaKind.MUSIC, MOH, "sales")
    assert media.failures == {MediaKind.MUSIC: 4, MediaKind.WHISPER: 1}
    assert [(line["kind"], line["sound"], line["more"]) for line in lines] == [
        ("music", MOH, 0),
        ("whisper", "sales.wav", 0),
        ("music", MOH, 2),
    ]


async def test_the_sounds_that_are_kept_apart_have_a_bound(autojump_clock: MockClock) -> None:
    media = SwitchMedia("fs1")
    for number in range(MOST_SOUNDS + 10):
        media.failed(MediaKind.MUSIC, f"{number}.wav", "sales")
    assert len(media._logged) <= MOST_SOUNDS


@pytest.mark.fault(22)
async def test_a_switch_is_asked_at_once_and_again_and_each_problem_is_logged_once(
    autojump_clock: MockClock,
) -> None:
    async with world() as here, connected(here) as switch, trio.open_nursery() as nursery:
        here.switch.streams = {"jazz": "/music"}
        queues = {"sales": QueueSettings(name="sales")}
        with capture_logs() as lines:
            nursery.start_soon(switch.media.watch, switch, queues)
            await trio.sleep(1)
            assert [problem.words[:29] for problem in switch.media.problems] == [
                "there is no local_stream 'moh'"[:29]
            ]
            switch.media.look_again()
            await trio.sleep(1)
            here.switch.streams = {"moh": "/music"}
            await trio.sleep(LOOK_SECONDS)
        assert switch.media.problems == []
        assert [line["event"] for line in lines if line["event"] == "not all can be heard"] == [
            "not all can be heard"
        ]
        queues["help"] = QueueSettings(name="help", announce_position="yes")
        here.switch.phrases = "<language/>"
        switch.media.look_again()
        await trio.sleep(1)
        [problem] = switch.media.problems
        assert isinstance(problem, MediaProblem)
        assert "no phrase 'callctl_position'" in problem.words
        nursery.cancel_scope.cancel()
