"""What a waiting caller hears: greeting, music, announcements, and the place in the queue.

Music is an application on the caller's leg; everything else is played over it, so a bridge breaks all of
it off at once and waits for nothing.
"""

from __future__ import annotations

import math

from callctl.call.events import (
    Announce,
    AskPlace,
    Effect,
    Greet,
    MediaKind,
    MusicEnded,
    PlaceTold,
    PlayMusic,
    PrepareCaller,
    ReportUnplayable,
    SoundFailed,
    StartTimer,
)
from callctl.model import Arrival, QueueSettings, WaitMedia
from callctl.records.caller_identity import can_be_dialled

SHORTEST_MUSIC_SECONDS = 1.0
"""Music that ends sooner each time is not played for ever: an empty file would keep the switch busy for
nothing."""

MOST_SHORT_PLAYS = 3
"""So many times in a row may it end sooner: somebody may have broken it off by `uuid_break`."""

RINGING_TONE = "tone_stream://%(1000,4000,425);loops=-1"
"""What a caller hears where the queue's music cannot be played: in silence one takes the line for dead, and
hangs up."""

TIMER_SOUND = "announce-sound"
TIMER_PLACE = "announce-place"
TIMER_OFFER = "callback-offer"


class Entertainment:
    """The sounds of one wait."""

    def __init__(self, arrival: Arrival, queue: QueueSettings) -> None:
        self._queue = queue
        self._offers_callback = bool(
            queue.callback_key and queue.callback_offer and can_be_dialled(arrival.caller_number)
        )
        self._music = arrival.moh_sound or queue.moh_sound
        self._has_greeted = arrival.resumes > 0
        self._playing = ""
        self._playing_since = 0.0
        self._failed: set[str] = set()
        """What could not be played, and has been noted."""
        self._short_plays = 0
        """How many times in a row the music has ended almost at once."""
        self._sounds_played = 0
        self._said_position: int | None = None
        self._said_wait_at: tuple[int, float] | None = None
        """The minutes that were said last, and when."""

    @property
    def music(self) -> str:
        """The sound that the call or else the queue asks for."""
        return self._music

    def begin(self, now: float) -> list[Effect]:
        """The wait begins, or begins again on a new socket."""
        effects: list[Effect] = [PrepareCaller(self._queue.wait_media)]
        # Any sound would be early media, and so end the ringing tone.
        if self._queue.wait_media is WaitMedia.RING_READY:
            return effects
        if self._queue.greeting and not self._has_greeted:
            effects.append(Greet(self._queue.greeting))
        self._has_greeted = True
        effects.append(self._play(self._music, now))
        if self._queue.announce_sound and self._queue.announce_frequency:
            effects.append(StartTimer(TIMER_SOUND, self._queue.announce_frequency))
        if self._says_the_place:
            effects.append(StartTimer(TIMER_PLACE, self._queue.announce_interval))
        if self._offers_callback:
            effects.append(StartTimer(TIMER_OFFER, self._queue.callback_offer_after))
        return effects

    # --- music ---

    def music_ended(self, event: MusicEnded, now: float) -> list[Effect]:
        """Play it again; or else the queue's music where it was the call's own, or else a ringing tone.

        What was ended early, by a key for example, can be played. Where the tone cannot be played either, the
        caller waits in silence, rather than in a loop of orders.
        """
        if event.by_key or now - self._playing_since >= SHORTEST_MUSIC_SECONDS:
            self._short_plays = 0
        else:
            self._short_plays += 1
        if event.played and self._short_plays < MOST_SHORT_PLAYS:
            return [self._play(self._playing, now)]
        failed = ReportUnplayable(MediaKind.MUSIC, self._playing)
        if self._playing == RINGING_TONE:
            return [failed]
        self._short_plays = 0
        is_own = self._playing == self._music != self._queue.moh_sound
        return [failed, self._play(self._queue.moh_sound if is_own else RINGING_TONE, now)]

    def _play(self, sound: str, now: float) -> PlayMusic:
        self._playing = sound
        self._playing_since = now
        return PlayMusic(sound)

    # --- announcements ---

    def sound_failed(self, event: SoundFailed) -> ReportUnplayable:
        """Say what it was that could not be played."""
        is_greeting = event.sound == self._queue.greeting
        kind = MediaKind.GREETING if is_greeting else MediaKind.ANNOUNCEMENT
        return ReportUnplayable(kind, event.sound)

    def is_first_failure(self, sound: str) -> bool:
        """Say whether this sound fails for the first time in this wait, and remember it."""
        is_first = sound not in self._failed
        self._failed.add(sound)
        return is_first

    def timer_fired(self, timer: str) -> list[Effect]:
        """Announce what is due, and set the timer for the next time."""
        if timer == TIMER_SOUND:
            sounds = self._queue.announce_sound
            sound = sounds[self._sounds_played % len(sounds)]
            self._sounds_played += 1
            return [Announce(sound), StartTimer(TIMER_SOUND, self._queue.announce_frequency)]
        if timer == TIMER_PLACE:
            return [AskPlace(), StartTimer(TIMER_PLACE, self._queue.announce_interval)]
        if timer == TIMER_OFFER:
            return [Announce(self._queue.callback_offer)]
        return []

    def place_told(self, event: PlaceTold, now: float) -> list[Effect]:
        """Say the place as far as the queue says it, and as far as it is better than what was said."""
        position, minutes = self._position_to_say(event.position), self._minutes_to_say(event, now)
        if position is not None and minutes is not None:
            return [Announce(f"phrase::callctl_position_and_wait,{position}:{minutes}")]
        if position is not None:
            return [Announce(f"phrase::callctl_position,{position}")]
        return [] if minutes is None else [Announce(f"phrase::callctl_wait,{minutes}")]

    @property
    def _says_the_place(self) -> bool:
        return self._queue.announce_position != "no" or self._queue.announce_wait != "no"

    def _position_to_say(self, position: int) -> int | None:
        said, rule = self._said_position, self._queue.announce_position
        if rule == "no" or (rule == "only-up" and said is not None and position >= said):
            return None
        self._said_position = position
        return position

    def _minutes_to_say(self, event: PlaceTold, now: float) -> int | None:
        """The expected wait in whole minutes: never a rise, and never a guess where there is no estimate."""
        rule, expected = self._queue.announce_wait, event.expected_wait_seconds
        if rule == "no" or expected is None or (rule == "once" and self._said_wait_at is not None):
            return None
        minutes = max(1, math.ceil(expected / 60))
        if self._said_wait_at is not None:
            said_minutes, said_at = self._said_wait_at
            still_promised = max(1, math.ceil(said_minutes - (now - said_at) / 60))
            minutes = min(minutes, still_promised)
        self._said_wait_at = (minutes, now)
        return minutes
