"""What a queue can do for its callers and agents, as far as FreeSWITCH has a part in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from callctl.esl.wire import Event
from callctl.records.contacts import can_run_commands, contact_complaint
from callctl.records.names import name_complaint
from callctl.store.loading import epoch
from tests.live.centre import IS_OVER, CallCentre, open_centre
from tests.live.freeswitch import FreeSwitch
from tests.live.patience import until

SECOND_OF_TONE = "tone_stream://%(1000,0,500)"


@asynccontextmanager
async def centre_with(freeswitch: FreeSwitch, directory: Path, settings: str) -> AsyncIterator[CallCentre]:
    """Open a call centre whose queue `caller` has these settings."""
    async with open_centre(
        freeswitch, directory, f"[queue.caller]\nring-timeout = 2\n{settings}\n"
    ) as centre:
        await centre.start()
        yield centre
        await centre.check_all_is_over()


class Sounds:
    """What FreeSWITCH plays, as it begins to."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def take(self, event: Event) -> None:
        """Take PLAYBACK_START of any channel."""
        self.begun.append(event.get("Playback-File-Path"))

    def count(self, sound: str) -> int:
        """Return how often a sound was begun."""
        return self.begun.count(sound)


async def test_an_exit_key_ends_the_wait(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    async with centre_with(freeswitch, tmp_path, 'exit-keys = "#"') as centre:
        caller = await centre.call()
        await centre.row(caller, "state = 'waiting'")
        await trio.sleep(0.3)
        await centre.press(caller, "5")
        await centre.press(caller, "#")
        row = await centre.row(caller)
        assert row["reason"] == "EXIT_WITH_KEY"


async def test_a_greeting_comes_before_the_music_and_announcements_over_it(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    greeting, announcement = f"{SECOND_OF_TONE};loops=1", "tone_stream://%(200,0,900);loops=1"
    settings = f'greeting = "{greeting}"\nannounce-sound = ["{announcement}"]\nannounce-frequency = 1'
    sounds = Sounds()
    async with (
        centre_with(freeswitch, tmp_path, settings) as centre,
        freeswitch.console(sounds.take, "PLAYBACK_START") as console,
    ):
        await console.api("status")
        caller = await centre.call()
        await until(lambda: sounds.count(announcement) >= 2)
        assert sounds.begun.index(greeting) < sounds.begun.index("local_stream://moh")
        centre.agent("1001", "answer")
        talking = await centre.row(caller, "state = 'talking'")
        await trio.sleep(0.3)  # an announcement of just before the bridge may be told only now
        begun = len(sounds.begun)
        await trio.sleep(1.5)
        assert len(sounds.begun) == begun, "nothing is announced into the talk"
        assert await centre.is_on_the_line(caller)
        await centre.hang_up(caller)
        assert (await centre.row(caller))["id"] == talking["id"]


@pytest.mark.fault(5)
async def test_no_key_ends_the_greeting_or_the_music(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    greeting, music = "tone_stream://%(2000,0,500);loops=1", "tone_stream://%(1000,0,440);loops=-1"
    sounds = Sounds()
    async with (
        centre_with(freeswitch, tmp_path, f'greeting = "{greeting}"\nmoh-sound = "{music}"') as centre,
        freeswitch.console(sounds.take, "PLAYBACK_START") as console,
    ):
        await console.api("status")
        caller = await centre.call()
        await until(lambda: sounds.count(greeting) == 1)
        began = trio.current_time()
        for key in "*1#*":
            await centre.press(caller, key)
            await trio.sleep(0.1)
        await until(lambda: sounds.count(music) == 1)
        assert trio.current_time() - began > 1.7, "the greeting was heard to its end"
        for key in "**1#*":
            await centre.press(caller, key)
            await trio.sleep(0.2)
        assert sounds.begun == [greeting, music]
        await centre.hang_up(caller)
        row = await centre.row(caller)
        assert row["reason"] == "CALLER_HANGUP"


async def test_a_bridge_waits_for_no_announcement(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    announcement = "tone_stream://%(10000,0,900);loops=1"
    settings = f'announce-sound = ["{announcement}"]\nannounce-frequency = 1'
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        caller = await centre.call()
        await centre.row(caller, "state = 'waiting'")
        await trio.sleep(1.5)
        centre.agent("1001", "answer")
        await centre.row(caller, "state = 'talking'")
        await centre.hang_up(caller)
        row = await centre.row(caller)
        assert epoch(row.text("bridged_at")) - epoch(row.text("answered_at")) < 0.3


async def test_an_agent_who_presses_the_key_gets_the_caller(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    settings = f'accept-key = "1"\naccept-timeout = 5\nagent-announce = "{SECOND_OF_TONE};loops=1"'
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        centre.agent("1001", "answer")
        caller = await centre.call()
        await centre.row(caller, "state = 'ringing'")
        await trio.sleep(2)
        await centre.row(caller, "state = 'ringing'")
        await centre.press_on_phone("answer", "1")
        await centre.row(caller, "state = 'talking'")
        await centre.hang_up(caller)
        assert (await centre.row(caller))["reason"] == "BRIDGED"


@pytest.mark.fault(17)
async def test_the_hash_key_accepts_a_call(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    async with centre_with(freeswitch, tmp_path, 'accept-key = "#"\naccept-timeout = 5') as centre:
        centre.agent("1001", "answer")
        caller = await centre.call()
        await centre.row(caller, "state = 'ringing'")
        await trio.sleep(1)
        await centre.press_on_phone("answer", "#")
        await centre.row(caller, "state = 'talking'")
        await centre.hang_up(caller)
        assert (await centre.row(caller))["reason"] == "BRIDGED"


@pytest.mark.fault(17)
async def test_an_agent_with_any_name_that_is_taken_is_reached(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    name = 'O\'Neil, "Dr." $x a\\\\b=c;d 100% ü'
    assert name_complaint(name) is None
    async with centre_with(freeswitch, tmp_path, "") as centre:
        phone = freeswitch.phone("ring100talk500")
        for contact in (phone, f"{{leg_timeout=9,a='b, c'}}[d=e]{phone}"):
            assert contact_complaint(contact) is None
            centre.agent_at(name, contact)
            caller = await centre.call()
            row = await centre.row(caller)
            assert (row["reason"], row["agent"]) == ("BRIDGED", name)


@pytest.mark.parametrize(
    "contact",
    [
        "loopback/app=system:touch {proof}",
        "[execute_on_answer='system touch {proof}']{phone}",
    ],
)
async def test_what_only_an_admin_may_set_does_run_commands_on_the_switch(
    freeswitch: FreeSwitch, tmp_path: Path, contact: str
) -> None:
    """Here they are set as the control socket would; over TCP `can_run_commands` is what keeps them out."""
    proof = tmp_path / "proof"
    dialled = contact.format(proof=proof, phone=freeswitch.phone("ring100talk500"))
    assert can_run_commands(dialled)
    async with centre_with(freeswitch, tmp_path, "") as centre:
        await centre.console.api("load mod_loopback")
        centre.agent_at("1001", dialled)
        caller = await centre.call()
        await until(proof.exists)
        centre.log_out("1001")
        await centre.hang_up(caller)
        await centre.row(caller)


async def test_a_voicemail_never_gets_the_caller(freeswitch: FreeSwitch, tmp_path: Path) -> None:
    async with centre_with(freeswitch, tmp_path, 'accept-key = "1"\naccept-timeout = 1') as centre:
        centre.agent("1001", "answer", delay_seconds=60)
        caller = await centre.call()
        row = await centre.row(caller, "state = 'waiting' AND offers = 1")
        assert row["bridged_at"] is None
        assert centre.offers(caller) == [("1001", "no-answer")]
        await centre.hang_up(caller)
        await centre.row(caller)


@pytest.mark.fault(12)
async def test_a_talk_is_recorded_to_its_end_and_nothing_that_follows(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    template = f"{tmp_path}/{{queue}}-{{caller_name}}-{{call}}.wav"
    async with centre_with(freeswitch, tmp_path, f'record-template = "{template}"') as centre:
        centre.agent("1001", "ring100")
        caller = await centre.call()
        place = (await centre.row(caller, "state = 'talking'")).text("uuid")
        await trio.sleep(1.5)
        await centre.console.api(f"uuid_transfer {place} elsewhere XML public")
        row = await centre.row(caller)
        recording = trio.Path(row.text("recording"))
        assert str(recording) == f"{tmp_path}/caller-{caller.number}-{row.text('id')}.wav"
        size = (await recording.stat()).st_size
        assert size > 16000, "a second of sound at least"
        await trio.sleep(1.5)
        assert await centre.is_on_the_line(caller)
        assert (await recording.stat()).st_size - size < 8000, (
            "it was closed, with what was still to be written"
        )
        assert "session_record" not in await centre.console.api(f"uuid_buglist {place}")
        await centre.hang_up(caller)


async def test_with_ring_all_the_first_to_answer_wins_and_the_others_stop(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    async with centre_with(freeswitch, tmp_path, 'strategy = "ring-all"') as centre:
        centre.agent("1001", "ring300")
        centre.agent("1002", "ring1500")
        centre.agent("1003", "noanswer")
        caller = await centre.call()
        assert (await centre.row(caller, "state = 'talking'"))["agent"] == "1001"
        assert sorted(centre.offers(caller)) == [
            ("1001", "answered"),
            ("1002", "cancelled"),
            ("1003", "cancelled"),
        ]
        await trio.sleep(1.5)
        assert len(await centre.console.channels()) == 4, "the caller, the agent, and the far end of each"
        await centre.hang_up(caller)
        await centre.row(caller)


def with_callback(phone: str, variables: str = "") -> str:
    """Return the settings of a queue whose callers are called back on this phone, whatever their number."""
    dialstring = f"{variables}[callback_to={{number}}]{phone}"
    return (
        f'callback-key = "2"\ncallback-dialstring = "{dialstring}"\n'
        "callback-attempts = 2\ncallback-retry-interval = 1"
    )


async def test_who_asks_for_it_is_called_back_when_an_agent_is_there(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    settings = with_callback(freeswitch.phone("ring300talk1500"))
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        caller = await centre.call()
        await centre.row(caller, "state = 'waiting'")
        await centre.press(caller, "2")
        await centre.row(caller, "reason = 'EXIT_WITH_KEY'")
        await until(centre.has_no_channels)
        centre.agent("1001", "ring100")
        row = await centre.row(caller, f"callback = 1 AND {IS_OVER}")
        assert (row["reason"], row["agent"]) == ("BRIDGED", "1001")
        assert row.seconds("talk_seconds") > 1


@pytest.mark.fault(20)
@pytest.mark.parametrize(("phone", "cause"), [("busy", "USER_BUSY"), ("reject", "CALL_REJECTED")])
async def test_a_phone_that_is_busy_or_declines_is_called_again(
    freeswitch: FreeSwitch, tmp_path: Path, phone: str, cause: str
) -> None:
    # Of a phone with a presence ID, as those of the directory have, the switch tells every hangup.
    settings = with_callback(freeswitch.phone(phone), "{presence_id=1002@live}")
    async with centre_with(freeswitch, tmp_path, settings) as centre:
        caller = await centre.call()
        await centre.row(caller, "state = 'waiting'")
        await trio.sleep(0.3)
        await centre.press(caller, "2")
        await centre.row(caller, "callback = 1")
        centre.agent("1001", "answer")
        row = await centre.row(caller, f"callback = 1 AND {IS_OVER}")
        assert (row["offers"], row["reason"], row["hung_up_by"]) == (2, "TIMEOUT", "callctl")
        assert row["hangup_cause"] == cause
        asked = await centre.row(caller, "callback = 0")
        assert (row["previous_visit"], asked["target"]) == (asked["id"], "callback")


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("variables", "shown"), [("", "+4930123456"), ("{origination_caller_id_number=+4930555}", "+4930555")]
)
async def test_a_callback_shows_the_number_that_was_dialled(
    freeswitch: FreeSwitch, tmp_path: Path, variables: str, shown: str
) -> None:
    settings = with_callback(freeswitch.phone("ring1000talk500"), variables)
    async with open_centre(freeswitch, tmp_path, f"[queue.caller]\n[queue.sales]\n{settings}\n") as centre:
        await centre.start()
        caller = await centre.call("+4930123456")
        await centre.row(caller, "state = 'waiting'")
        await trio.sleep(0.3)
        await centre.press(caller, "2")
        await centre.row(caller, "callback = 1")
        await until(centre.has_no_channels)
        centre.agent("1001", "answer", queue="sales")
        numbers: set[str] = set()

        async def rings() -> bool:
            channels = await centre.console.channels()
            numbers.update(each["cid_num"] for each in channels if each["dest"] == "ring1000talk500")
            return bool(numbers)

        await until(rings)
        assert numbers == {shown}
        assert (await centre.row(caller, f"callback = 1 AND {IS_OVER}"))["reason"] == "BRIDGED"
        await centre.check_all_is_over()


@pytest.mark.fault(22)
async def test_the_dialled_number_leads_to_its_queue_and_stands_in_the_history(
    freeswitch: FreeSwitch, tmp_path: Path
) -> None:
    async with open_centre(
        freeswitch, tmp_path, "[queue.caller]\n[queue.sales]\n[queue.support]\n"
    ) as centre:
        await centre.start()
        for dialled, queue in (
            ("+4930123456", "sales"),
            ("4930123457", "support"),
            ("4930123499", "caller"),
            ("visit-sales", "sales"),
        ):
            caller = await centre.call(dialled)
            await centre.row(caller, "state = 'waiting'")
            await centre.hang_up(caller)
            row = await centre.row(caller)
            assert (row["dialled_number"], row["queue"]) == (dialled, queue)
        await centre.check_all_is_over()
