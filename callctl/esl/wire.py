"""The wire format of Event Socket: the one door to `framing` (bytes ↔ messages) and `event` (↔ events).

No input, no output and no clock in here, so the stand-in for the switch speaks by the same code, and tests
can cut and damage the bytes as they like.
"""

from callctl.esl.event import (
    Event,
    EventMapping,
    channel_of,
    encode_connect_reply,
    encode_event_json,
    encode_event_plain,
    event_of,
    is_event,
)
from callctl.esl.framing import (
    CommandDecoder,
    CommandMessage,
    Decoder,
    Message,
    encode_message,
)
from callctl.esl.headers import HeaderValue

__all__ = [
    "CommandDecoder",
    "CommandMessage",
    "Decoder",
    "Event",
    "EventMapping",
    "HeaderValue",
    "Message",
    "channel_of",
    "encode_connect_reply",
    "encode_event_json",
    "encode_event_plain",
    "encode_message",
    "event_of",
    "is_event",
]
