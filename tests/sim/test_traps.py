"""The traps of a real FreeSWITCH, and that the stand-in has them."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from callctl.sim.channel import PRIVATE_QUEUE_LENGTH
from callctl.sim.dialplan import recorded_dialplan
from callctl.sim.people import Caller, Endpoint
from tests.sim.harness import Client, World, quiet, world

EVENTS = (
    "event json BACKGROUND_JOB CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE "
    "CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_STATE CHANNEL_PARK CHANNEL_UNPARK"
)
MUSIC = "tone_stream://%(1000,0,350);loops=-1"
RESUMED = "tone_stream://%(500,0,800);loops=2"


def execute(application: str, argument: str = "", *, lock: bool = False, uuid: str = "") -> str:
    lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}"]
    if argument:
        lines.append(f"execute-app-arg: {argument}")
    if lock:
        lines.append("event-lock: true")
    if uuid:
        lines.append(f"event-uuid: {uuid}")
    return "\n".join(lines)


async def arrive(here: World, destination: str = "resume") -> tuple[str, Client]:
    """Let a caller in at an extension of the recordings, and take the call."""
    uuid = here.switch.place_call(Caller(destination=destination))
    socket = await here.socket()
    await socket.say("connect", "linger 5", "myevents json", execute("answer"))
    await socket.until(lambda: len(socket.replies()) == 3)
    return uuid, socket


async def bridged(here: World, inbound: Client, caller: str) -> None:
    """Ring an agent and bridge the caller with the leg, `leg`."""
    here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
    await inbound.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
    await inbound.event("BACKGROUND_JOB")
    await inbound.ask(f"api uuid_bridge {caller} leg")
    await inbound.event("CHANNEL_BRIDGE")


def applications(client: Client, uuid: str) -> list[str]:
    """What ran on a channel, with its arguments, in order."""
    events = client.events("CHANNEL_EXECUTE", uuid)
    return [f"{event.get('Application')} {event.get('Application-Data')}".strip() for event in events]


# --- what happens to a call when our socket goes away ---------------------------------------------


async def test_a_parked_caller_goes_on_in_the_dialplan_when_the_socket_drops(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here)
        await inbound.ask(f"api uuid_setvar {uuid} socket_resume false")
        await socket.event("CHANNEL_EXECUTE_COMPLETE")
        await socket.drop()
        await here.socket(2)
        await quiet(1)
        assert applications(inbound, uuid)[-2:] == [f"playback {RESUMED}", "socket 127.0.0.1:8084 async full"]


async def test_a_caller_whose_socket_drops_before_connect_is_parked_for_ever(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="sock"))
        await (await here.socket()).drop()
        await quiet(3600)
        assert here.switch.locate(uuid) is not None
        assert inbound.events("CHANNEL_PARK", uuid)
        assert not inbound.events("CHANNEL_UNPARK", uuid)


async def test_with_socket_resume_a_drop_before_connect_goes_on(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="resume"))
        await (await here.socket()).drop()
        await here.socket(2)
        await quiet(1)
        assert applications(inbound, uuid)[-2] == f"playback {RESUMED}"


async def test_no_connect_for_25_seconds_ends_the_connection(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        began = here.switch.now()
        here.switch.place_call(Caller(destination="sock"))
        socket = await here.socket()
        await socket.until(lambda: socket.is_closed)
        assert 25 <= here.switch.now() - began < 26


async def test_endless_music_goes_on_without_anybody_in_control(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here, "sock")
        await socket.say(execute("playback", MUSIC))
        await quiet(1)
        await socket.drop()
        await quiet(3600)
        assert here.switch.locate(uuid) is not None
        assert not [
            e for e in inbound.events("CHANNEL_EXECUTE_COMPLETE", uuid) if e.get("Application") == "playback"
        ]


async def test_with_socket_resume_music_is_broken_off_within_40_ms(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here)
        await socket.say(execute("playback", MUSIC))
        await quiet(1)
        dropped = here.switch.now()
        await socket.drop()
        await inbound.until(lambda: f"playback {RESUMED}" in applications(inbound, uuid))
        resumed = inbound.events("CHANNEL_EXECUTE", uuid)[-1]
        assert int(resumed.get("Event-Date-Timestamp")) / 1e6 - dropped < 0.04


async def test_a_crash_while_bridged_cuts_the_talk_with_socket_resume(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here)
        await bridged(here, inbound, uuid)
        await inbound.ask(f"api uuid_setvar {uuid} hangup_after_bridge true")
        await socket.drop()
        await inbound.event("CHANNEL_HANGUP_COMPLETE", "leg")
        await here.socket(2)
        assert here.switch.locate(uuid) is not None


async def test_a_crash_while_bridged_costs_nothing_without_socket_resume(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here)
        await inbound.ask(f"api uuid_setvar_multi {uuid} socket_resume=false;hangup_after_bridge=true")
        await bridged(here, inbound, uuid)
        await socket.drop()
        await quiet(60)
        assert here.switch.locate("leg") is not None
        await inbound.ask("api uuid_kill leg")
        await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)


async def test_a_hangup_that_was_acknowledged_is_carried_out_without_us(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here, "sock")
        await socket.ask("sendmsg\ncall-command: hangup\nhangup-cause: CALL_REJECTED")
        await socket.drop()
        assert (await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)).get("Hangup-Cause") == "CALL_REJECTED"


async def test_a_job_goes_on_when_its_connection_is_lost_and_its_event_is_lost(
    autojump_clock: MockClock,
) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=1))
        one, two = await here.client("event json ALL"), await here.client()
        await one.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
        await quiet(0.1)
        await one.drop()
        await quiet(5)
        assert not one.events("BACKGROUND_JOB")
        assert await two.ask("api uuid_exists leg") == "true"


async def test_closing_the_socket_of_a_caller_who_was_transferred_strands_the_caller(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here)
        await inbound.ask(f"api uuid_transfer {uuid} answer XML default")
        await quiet(1)
        await socket.ask("exit")
        await quiet(60)
        assert inbound.events("CHANNEL_STATE", uuid)[-1].get("Channel-State") == "CS_RESET"
        assert here.switch.locate(uuid) is not None


async def test_a_stranded_caller_can_be_brought_back(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here, "sock")
        await socket.say(execute("playback", MUSIC))
        await quiet(1)
        await socket.drop()
        assert await inbound.ask(f"api uuid_transfer {uuid} sock XML public") == "+OK\n"
        again = await here.socket(2)
        await again.say("connect")
        assert (await again.event("CHANNEL_DATA")).uuid == uuid


async def test_sync_with_socket_resume_hangs_the_channel_for_ever(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here, "sync")
        assert socket.events("CHANNEL_DATA")[0].get("Socket-Mode") == "static"
        await inbound.ask(f"api uuid_setvar {uuid} socket_resume true")
        await socket.drop()
        await quiet(3600)
        assert here.switch.locate(uuid) is not None
        assert not inbound.events("CHANNEL_HANGUP", uuid)


# --- before and after connect ---------------------------------------------------------------------


async def test_the_reply_to_a_first_command_that_is_not_connect_is_swallowed(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.switch.place_call(Caller(destination="sock"))
        socket = await here.socket()
        await socket.say("linger 5", "myevents json")
        await socket.until(lambda: bool(socket.replies()))
        await quiet(1)
        assert [reply.headers["Reply-Text"] for reply in socket.replies()] == ["+OK Events Enabled"]


async def test_the_first_host_that_answers_takes_the_call(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.switch.place_call(Caller(destination="failover"))
        assert await here.socket()


async def test_when_no_host_answers_the_next_action_runs(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.is_listening = False
        inbound = await here.client(EVENTS)
        uuid = here.switch.place_call(Caller(destination="resume"))
        await inbound.until(lambda: f"playback {RESUMED}" in applications(inbound, uuid))


# --- bridges --------------------------------------------------------------------------------------


async def test_uuid_bridge_says_ok_for_a_caller_who_has_just_hung_up(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
        inbound = await here.client(EVENTS)
        uuid, _ = await arrive(here)
        await inbound.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
        await inbound.event("BACKGROUND_JOB")
        assert await inbound.ask(f"api uuid_bridge {uuid} leg") == "+OK leg\n"
        here.switch.channels()[0].hang_up("NORMAL_CLEARING", "recv_bye")
        await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
        await quiet(60)
        assert not inbound.events("CHANNEL_BRIDGE")
        assert here.switch.locate("leg") is not None


async def test_an_agent_gone_before_the_bridge_is_an_invalid_uuid(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, _ = await arrive(here)
        assert await inbound.ask(f"api uuid_bridge {uuid} nobody") == "-ERR Invalid uuid\n"


@pytest.mark.parametrize(
    ("variable", "survives"), [("", False), ("transfer_after_bridge=resume:XML:public", True)]
)
async def test_an_agent_who_leaves_in_the_instant_of_the_bridge_takes_the_caller_along(
    variable: str, survives: bool, autojump_clock: MockClock
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
        inbound = await here.client(EVENTS)
        uuid, _ = await arrive(here)
        if variable:
            await inbound.ask(f"api uuid_setvar_multi {uuid} {variable}")
        await inbound.say("bgapi originate {origination_uuid=leg}user/1001 &park()")
        await inbound.event("BACKGROUND_JOB")
        await inbound.say(f"api uuid_bridge {uuid} leg", "api uuid_kill leg")
        await quiet(1)
        assert (here.switch.locate(uuid) is not None) is survives
        if not survives:
            ended = await inbound.event("CHANNEL_HANGUP_COMPLETE", uuid)
            assert ended.get("Hangup-Cause") == "DESTINATION_OUT_OF_ORDER"


async def test_a_caller_falls_on_into_the_dialplan_when_the_agent_hangs_up(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, _ = await arrive(here)
        await bridged(here, inbound, uuid)
        await inbound.ask("api uuid_kill leg")
        await here.socket(2)
        assert here.switch.locate(uuid) is not None


# --- private messages -----------------------------------------------------------------------------


async def test_without_event_lock_the_next_application_runs_inside_the_running_one(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        _, socket = await arrive(here)
        await socket.say(execute("playback", MUSIC, uuid="outer"), execute("playback", RESUMED, uuid="inner"))
        await quiet(3)
        done = [event.get("Application-UUID") for event in socket.events("CHANNEL_EXECUTE_COMPLETE")]
        assert "inner" in done
        assert "outer" not in done


async def test_behind_locked_music_nothing_is_carried_out_and_a_break_throws_it_away(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        inbound = await here.client(EVENTS)
        uuid, socket = await arrive(here)
        await socket.say(execute("playback", MUSIC, lock=True))
        await quiet(1)
        await socket.ask("sendmsg\ncall-command: hangup")
        assert await inbound.ask(f"api uuid_broadcast {uuid} {RESUMED} aleg") == "+OK Message sent\n"
        await quiet(60)
        assert f"playback {RESUMED}" not in applications(inbound, uuid)
        await inbound.ask(f"api uuid_break {uuid} all")
        await quiet(60)
        assert here.switch.locate(uuid) is not None
        assert f"playback {RESUMED}" not in applications(inbound, uuid)


async def test_the_257th_waiting_message_closes_the_connection_that_sent_it(
    autojump_clock: MockClock,
) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        uuid, socket = await arrive(here)
        await socket.say(execute("playback", MUSIC, lock=True))
        await quiet(1)
        inbound = await here.client()
        order = execute("set", "a=b").replace("sendmsg", f"sendmsg {uuid}")
        await inbound.say(*[order] * (PRIVATE_QUEUE_LENGTH + 1))
        await inbound.until(lambda: inbound.is_closed)
        assert [reply.headers["Reply-Text"] for reply in inbound.replies()[1:]] == [
            "+OK"
        ] * PRIVATE_QUEUE_LENGTH
        assert not socket.is_closed


async def test_an_unknown_application_hangs_the_call_up(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        _, socket = await arrive(here)
        await socket.say(execute("nosuchapp", "x"))
        ended = await socket.event("CHANNEL_HANGUP_COMPLETE")
        assert ended.get("Hangup-Cause") == "DESTINATION_OUT_OF_ORDER"


# --- originate and jobs ---------------------------------------------------------------------------


async def test_uuid_kill_finds_a_leg_in_the_same_write_as_its_originate(autojump_clock: MockClock) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint.silent())
        inbound = await here.client(EVENTS)
        await inbound.say(
            "bgapi originate {origination_uuid=leg}user/1001 &park()", "api uuid_kill leg ORIGINATOR_CANCEL"
        )
        assert (await inbound.event("BACKGROUND_JOB")).body == "-ERR ORIGINATOR_CANCEL\n"
        assert inbound.replies()[-1].body == b"+OK\n"


async def test_an_origination_uuid_in_use_fails_or_becomes_another_one(autojump_clock: MockClock) -> None:
    async with world(dialplan=recorded_dialplan()) as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=0.5))
        inbound = await here.client(EVENTS)
        for target in ("user/1001", "user/1001", "loopback/answer"):
            await inbound.say(f"bgapi originate {{origination_uuid=leg}}{target} &park()")
            await quiet(2)
        bodies = [job.body for job in inbound.events("BACKGROUND_JOB")]
        assert bodies[:2] == ["+OK leg\n", "-ERR DESTINATION_OUT_OF_ORDER\n"]
        assert bodies[2].startswith("+OK ")
        assert bodies[2] != "+OK leg\n"


async def test_the_first_of_two_to_answer_wins_and_the_other_loses_the_race(
    autojump_clock: MockClock,
) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=3))
        here.switch.add_endpoint("user/1002", Endpoint(answer_after=1))
        inbound = await here.client(EVENTS)
        await inbound.say(
            "bgapi originate [origination_uuid=a]user/1001,[origination_uuid=b]user/1002 &park()"
        )
        assert (await inbound.event("BACKGROUND_JOB")).body == "+OK b\n"
        assert (await inbound.event("CHANNEL_HANGUP_COMPLETE", "a")).get("Hangup-Cause") == "LOSE_RACE"


@pytest.mark.parametrize(
    ("phone", "cause"),
    [
        (Endpoint.busy(), "USER_BUSY"),
        (Endpoint.rejecting(), "CALL_REJECTED"),
        (Endpoint.silent(), "NO_ANSWER"),
        (Endpoint.unregistered(), "USER_NOT_REGISTERED"),
        (None, "SUBSCRIBER_ABSENT"),
    ],
)
async def test_each_way_of_not_answering_has_its_cause(
    phone: Endpoint | None, cause: str, autojump_clock: MockClock
) -> None:
    async with world() as here:
        if phone is not None:
            here.switch.add_endpoint("user/1001", phone)
        inbound = await here.client(EVENTS)
        await inbound.say("bgapi originate {originate_timeout=5}user/1001 &park()")
        assert (await inbound.event("BACKGROUND_JOB")).body == f"-ERR {cause}\n"
