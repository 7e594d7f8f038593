"""What a waiting caller hears."""

from __future__ import annotations

from callctl.call.events import Effect, MusicEnded, PlayMusic, PrepareCaller
from callctl.model import Arrival, QueueSettings, WaitMedia

SHORTEST_MUSIC_SECONDS = 1.0
"""Music that ends sooner is not played again: an empty file would keep the switch busy for nothing."""

SILENCE = "silence_stream://-1"
"""What a caller hears for ever where the queue's music cannot be played."""


class Entertainment:
    """The sounds of one wait."""

    def __init__(self, arrival: Arrival, queue: QueueSettings) -> None:
        self._music = arrival.moh_sound or queue.moh_sound
        self._wait_media = queue.wait_media
        self._playing_since = 0.0

    @property
    def music(self) -> str:
        """The sound that the call or else the queue asks for."""
        return self._music

    def begin(self, now: float) -> list[Effect]:
        """The wait begins, or begins again on a new socket."""
        prepare = PrepareCaller(self._wait_media)
        # Music would be early media, and so end the ringing tone.
        if self._wait_media is WaitMedia.RING_READY:
            return [prepare]
        return [prepare, self._play(self._music, now)]

    def is_playable(self, event: MusicEnded, now: float) -> bool:
        """Say whether the music that ended can be played again."""
        return event.played and now - self._playing_since >= SHORTEST_MUSIC_SECONDS

    def play_again(self, now: float) -> Effect:
        """Begin the music anew."""
        return self._play(self._music, now)

    def fall_silent(self, now: float) -> Effect:
        """Give the music up: silence keeps the call alive."""
        return self._play(SILENCE, now)

    def _play(self, sound: str, now: float) -> Effect:
        self._playing_since = now
        return PlayMusic(sound)
