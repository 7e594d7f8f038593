"""Where the stand-in differs from the recordings, and why it may: the one table of differences.

Nothing in it is anything that callctl relies on. A row that is not needed any more fails the test.
"""

from __future__ import annotations

import re

from attrs import frozen

from tests.sim.replay import Difference


@frozen
class Row:
    """What may differ: each part is a regular expression that must match the whole of its field."""

    recording: str
    connection: str
    event: str
    what: str
    reason: str

    def allows(self, difference: Difference) -> bool:
        return all(
            re.fullmatch(pattern, text)
            for pattern, text in (
                (self.recording, difference.recording),
                (self.connection, difference.connection),
                (self.event, difference.event),
                (self.what, difference.what),
            )
        )


TABLE = (
    Row(
        r".*",
        r"inbound",
        r"HEARTBEAT",
        r"missing",
        "Heartbeats come by the switch's own clock, wherever a recording happens to begin.",
    ),
    Row(
        r".*",
        r"outbound-\d",
        r"CHANNEL_PARK",
        r"missing|extra",
        "The channel parks within 20 ms of `connect`, and `myevents` comes before or after that: the "
        "recordings show both. callctl hears CHANNEL_PARK of agents' legs alone, and not on this connection.",
    ),
    Row(
        r".*/originate_(answered|ring_all)",
        r"inbound",
        r"CHANNEL_EXECUTE_COMPLETE",
        r"Application-Response",
        "The agent's own phone plays when `hupall` ends it: FILE PLAYED or PLAYBACK ERROR, by chance. "
        "callctl reads the response on the caller's channel, where it is as recorded.",
    ),
    Row(
        r"json/outbound_hand_back",
        r"inbound",
        r"CHANNEL_HANGUP",
        r"missing|extra",
        "Once FreeSWITCH numbered a leg's CHANNEL_UNPARK before its CHANNEL_HANGUP. Events out of order are "
        "a fault of the stand-in (`late_events`), not its habit.",
    ),
    Row(
        r".*/outbound_playback_hangup",
        r"inbound",
        r"CHANNEL_DESTROY|CHANNEL_STATE",
        r"extra",
        "The recording ends with the linger; the channel's last events come 20 ms later.",
    ),
    Row(
        r"plain/call_(bridged_hangup_after_bridge|second_agent_answers)",
        r"inbound",
        r"CHANNEL_STATE",
        r"missing",
        "Twice in all recordings an agent's leg passed through CS_CONSUME_MEDIA on its way into the bridge. "
        "callctl does not subscribe to CHANNEL_STATE.",
    ),
    Row(
        r"plain/inbound_bgapi",
        r"inbound",
        r"BACKGROUND_JOB",
        r"body",
        "`show application` lists FreeSWITCH's modules; the stand-in has none, and says what it can show.",
    ),
    Row(
        r"plain/zz_switch_shutdown",
        r"inbound|outbound-1",
        r"CHANNEL_STATE",
        r"variable_.*",
        "While FreeSWITCH shuts down, CHANNEL_STATE carries the variables that it leaves out otherwise.",
    ),
)

NOT_REPLAYED = {
    "plain/inbound_events_xml": "callctl never asks for XML events, and its wire format does not read them.",
}
