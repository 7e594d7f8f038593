"""The main path of a call queue through the stand-in, on streams in memory under a virtual clock."""

from __future__ import annotations

from trio.testing import MockClock

from callctl.sim.people import Caller, Endpoint
from tests.sim.harness import Client, World, world

SUBSCRIPTION = "event json BACKGROUND_JOB CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_HANGUP_COMPLETE"
MUSIC = "sendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: local_stream://moh"
ANSWER = "sendmsg\ncall-command: execute\nexecute-app-name: answer"


async def wait_with_music(here: World, caller: Caller) -> tuple[str, Client]:
    """Let a caller in, and take the call as callctl does."""
    uuid = here.switch.place_call(caller)
    socket = await here.socket()
    await socket.say("connect", "linger 10", "myevents json", ANSWER, MUSIC)
    await socket.event("CHANNEL_ANSWER")
    return uuid, socket


async def test_a_caller_is_bridged_to_an_agent_and_both_legs_end(autojump_clock: MockClock) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint(answer_after=1, talk_seconds=3))
        inbound = await here.client(SUBSCRIPTION)
        caller, _ = await wait_with_music(here, Caller())
        await inbound.say("bgapi originate {origination_uuid=leg-1,originate_timeout=10}user/1001 &park()")
        assert (await inbound.event("BACKGROUND_JOB")).body == "+OK leg-1\n"
        await inbound.ask(f"api uuid_setvar_multi {caller} socket_resume=false;hangup_after_bridge=true")
        assert await inbound.ask(f"api uuid_bridge {caller} leg-1") == "+OK leg-1\n"
        bridge = await inbound.event("CHANNEL_BRIDGE")
        assert (bridge.get("Bridge-A-Unique-ID"), bridge.get("Bridge-B-Unique-ID")) == (caller, "leg-1")
        ended = await inbound.event("CHANNEL_HANGUP_COMPLETE", caller)
        assert ended.get("Hangup-Cause") == "NORMAL_CLEARING"
        assert ended.variable("sip_hangup_disposition") == "send_bye"
        agent = await inbound.event("CHANNEL_HANGUP_COMPLETE", "leg-1")
        assert agent.variable("sip_hangup_disposition") == "recv_bye"
        assert (
            2.9 < int(agent.variable("end_uepoch")) / 1e6 - int(agent.variable("bridge_uepoch")) / 1e6 < 3.2
        )


async def test_a_caller_who_loses_patience_is_gone_and_the_socket_lingers(autojump_clock: MockClock) -> None:
    async with world() as here:
        _, socket = await wait_with_music(here, Caller(patience=5))
        ended = await socket.event("CHANNEL_HANGUP_COMPLETE")
        assert ended.variable("sip_hangup_disposition") == "recv_bye"
        await socket.until(lambda: socket.is_closed)
        assert socket.notices() == ["linger", "disconnect"]


async def test_a_busy_agent_makes_the_job_fail_with_its_cause(autojump_clock: MockClock) -> None:
    async with world() as here:
        here.switch.add_endpoint("user/1001", Endpoint.busy())
        inbound = await here.client(SUBSCRIPTION)
        await inbound.say("bgapi originate {origination_uuid=leg-1}user/1001 &park()\nJob-UUID: job-1")
        job = await inbound.event("BACKGROUND_JOB")
        assert (job.body, job.get("Job-UUID")) == ("-ERR USER_BUSY\n", "job-1")
