"""What a waiting caller hears, and when."""

from __future__ import annotations

import pytest
from attrs import evolve

from callctl.call.entertainment import TIMER_OFFER, TIMER_PLACE, TIMER_SOUND, Entertainment
from callctl.call.events import (
    Announce,
    AskPlace,
    Greet,
    PlaceTold,
    PlayMusic,
    PrepareCaller,
    StartTimer,
)
from callctl.model import Arrival, QueueSettings, WaitMedia

T = 1_800_000_000.0
ARRIVAL = Arrival(call="c", uuid="u", switch="fs1", queue="q", arrived_at=T, joined_at=T)


def entertainment(arrival: Arrival = ARRIVAL, **queue: object) -> Entertainment:
    return Entertainment(arrival, QueueSettings(name="q", moh_sound="moh", **queue))  # type: ignore[arg-type]


def said(sounds: Entertainment, position: int, wait: float | None, at: float) -> tuple[str, ...]:
    effects = sounds.place_told(PlaceTold(position, wait), T + at)
    return tuple(effect.sound for effect in effects if isinstance(effect, Announce))


def test_a_greeting_is_heard_once_before_the_music() -> None:
    sounds = entertainment(greeting="hello")
    assert sounds.begin(T) == [PrepareCaller(WaitMedia.ANSWER), Greet("hello"), PlayMusic("moh")]
    assert sounds.begin(T + 60) == [PrepareCaller(WaitMedia.ANSWER), PlayMusic("moh")]


def test_a_caller_who_comes_back_after_a_restart_is_not_greeted_again() -> None:
    sounds = entertainment(evolve(ARRIVAL, resumes=1), greeting="hello")
    assert Greet("hello") not in sounds.begin(T)


def test_the_music_of_the_call_goes_over_that_of_the_queue() -> None:
    assert PlayMusic("mine") in entertainment(evolve(ARRIVAL, moh_sound="mine")).begin(T)


def test_announcements_are_played_in_turn() -> None:
    sounds = entertainment(announce_sound=("a", "b"), announce_frequency=20)
    assert StartTimer(TIMER_SOUND, 20) in sounds.begin(T)
    played = [sounds.timer_fired(TIMER_SOUND) for _ in range(3)]
    assert played == [[Announce(sound), StartTimer(TIMER_SOUND, 20)] for sound in ("a", "b", "a")]


def test_nothing_is_announced_where_the_queue_asks_for_nothing() -> None:
    assert not [e for e in entertainment().begin(T) if isinstance(e, StartTimer)]


def test_the_place_is_asked_for_and_said_at_each_interval() -> None:
    sounds = entertainment(announce_position="yes", announce_interval=30)
    assert StartTimer(TIMER_PLACE, 30) in sounds.begin(T)
    assert sounds.timer_fired(TIMER_PLACE) == [AskPlace(), StartTimer(TIMER_PLACE, 30)]
    assert said(sounds, 3, None, 30) == ("phrase::callctl_position,3",)
    assert said(sounds, 4, None, 60) == ("phrase::callctl_position,4",)


def test_only_up_says_a_position_when_it_is_better_than_the_last_one_said() -> None:
    sounds = entertainment(announce_position="only-up")
    assert [bool(said(sounds, position, None, 0)) for position in (3, 3, 4, 2, 3, 1)] == [
        True,
        False,
        False,
        True,
        False,
        True,
    ]


def test_the_expected_wait_is_said_in_whole_minutes_and_never_rises() -> None:
    sounds = entertainment(announce_wait="yes")
    assert said(sounds, 1, 200.0, 0) == ("phrase::callctl_wait,4",)
    assert said(sounds, 1, 600.0, 60) == ("phrase::callctl_wait,3",)
    assert said(sounds, 1, 70.0, 90) == ("phrase::callctl_wait,2",)
    assert said(sounds, 1, 900.0, 600) == ("phrase::callctl_wait,1",)


def test_a_wait_that_cannot_be_estimated_is_not_said() -> None:
    assert said(entertainment(announce_wait="yes"), 1, None, 0) == ()


def test_the_wait_is_said_once_where_the_queue_says_once() -> None:
    sounds = entertainment(announce_wait="once")
    assert said(sounds, 1, 61.0, 0) == ("phrase::callctl_wait,2",)
    assert said(sounds, 1, 61.0, 30) == ()


def test_position_and_wait_are_one_announcement_or_they_would_be_played_inside_each_other() -> None:
    sounds = entertainment(announce_position="yes", announce_wait="yes")
    assert said(sounds, 3, 100.0, 0) == ("phrase::callctl_position_and_wait,3:2",)


@pytest.mark.fault(4)
@pytest.mark.parametrize(
    ("number", "is_offered"), [("4930123", True), ("(212) 555-0100", True), ("anonymous", False), ("", False)]
)
def test_a_callback_is_offered_to_those_who_can_be_called_back(number: str, is_offered: bool) -> None:
    arrival = evolve(ARRIVAL, caller_number=number)
    sounds = entertainment(
        arrival, callback_key="1", callback_dialstring="trunk/{number}", callback_offer="press-1"
    )
    timers = [effect.timer for effect in sounds.begin(T) if isinstance(effect, StartTimer)]
    assert (TIMER_OFFER in timers) is is_offered
