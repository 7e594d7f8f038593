"""Callers who are transferred into a queue, or out of one, by anybody and at any time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.live.centre import QUEUES, CallCentre, Caller, Row, open_centre
from tests.live.configuration import AWAY_SECONDS
from tests.live.freeswitch import FreeSwitch
from tests.live.patience import until
from tests.live.test_links import drop_inbound

QUEUES_AND_SECOND = f"{QUEUES}\n[queue.second]\nring-timeout = 2\n"

UNDISTURBED_SECONDS = 2.0 * AWAY_SECONDS
"""How long a new visit is watched: a socket that ends too late would break it off within milliseconds, and
the dialplan's music lasts AWAY_SECONDS."""


@pytest.fixture
async def centre(freeswitch: FreeSwitch, tmp_path: Path) -> AsyncIterator[CallCentre]:
    """A call centre with two queues in which callers may wait for long."""
    async with open_centre(freeswitch, tmp_path, QUEUES_AND_SECOND) as centre:
        await centre.start()
        yield centre
        await centre.check_all_is_over()


async def transfer(centre: CallCentre, uuid: str, extension: str) -> None:
    """Send a channel to an extension of the trunk's context, as anybody on the switch may."""
    answer = await centre.console.api(f"uuid_transfer {uuid} {extension} XML public")
    assert answer.startswith("+OK"), answer


async def visits(centre: CallCentre, caller: Caller, count: int) -> list[Row]:
    """Wait until a caller has `count` visits, of which the last one waits; return their rows in order."""
    sql = "SELECT * FROM calls WHERE caller_number = ? ORDER BY joined_at, rowid"

    def is_so() -> bool:
        rows = centre.rows(sql, caller.number)
        return len(rows) == count and rows[-1]["state"] == "waiting"

    try:
        await until(is_so)
    except trio.TooSlowError:
        stand = [dict(row) for row in centre.rows(sql, caller.number)]
        raise AssertionError(f"no {count} visits, but {stand}") from None
    return [Row(values=dict(row)) for row in centre.rows(sql, caller.number)]


async def check_hears_callctl(centre: CallCentre, uuid: str) -> None:
    """See that a caller's channel runs what callctl ordered, and not the dialplan's pause or nothing."""
    channel = await centre.console.channel(uuid)
    assert channel["Channel-State"] == "CS_EXECUTE"
    assert channel["variable_socket_resume"] == "true"
    assert not channel.get("variable_current_application_data", "").startswith("tone_stream"), "a pause"


async def check_undisturbed(centre: CallCentre, caller: Caller, uuid: str, queue: str) -> None:
    """See that the new visit of a caller who was transferred goes on, and serve the caller."""
    [before, visit] = await visits(centre, caller, 2)
    assert (before["reason"], visit["queue"]) == (before["reason"], queue)
    # The row of a visit may be there a moment before its variables.
    await until(lambda: centre.is_kept(uuid), 2)
    began = trio.current_time()
    while trio.current_time() < began + UNDISTURBED_SECONDS:
        await check_hears_callctl(centre, uuid)
        await trio.sleep(0.2)
    assert [row["id"] for row in await visits(centre, caller, 2)] == [before["id"], visit["id"]]
    centre.agent("1001", "ring100", queue=queue, skill="consulted")
    talking = await centre.row(caller, "state = 'talking'")
    assert (talking["id"], talking["queue"], talking["resumes"]) == (visit["id"], queue, 0)
    await centre.hang_up(caller)
    await centre.row(caller, f"id = '{visit.text('id')}' AND ended_at IS NOT NULL")


@pytest.mark.fault(19.1)
@pytest.mark.fault(19.2)
@pytest.mark.parametrize("queue", ["caller", "second"])
async def test_a_waiting_caller_who_is_sent_into_a_queue_begins_a_visit_there(
    centre: CallCentre, queue: str
) -> None:
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'waiting'")).text("uuid")
    await trio.sleep(0.5)
    await transfer(centre, place, f"visit-{queue}")
    [before, visit] = await visits(centre, caller, 2)
    assert (before["reason"], before["state"], before["queue"]) == ("TRANSFERRED", "ended", "caller")
    assert (visit["state"], visit["queue"]) == ("waiting", queue)
    assert before.text("ended_at") <= visit.text("joined_at")
    await check_undisturbed(centre, caller, place, queue)


@pytest.mark.fault(19.1)
@pytest.mark.parametrize("queue", ["caller", "second"])
async def test_a_talking_caller_who_is_sent_into_a_queue_begins_a_visit_there(
    centre: CallCentre, queue: str
) -> None:
    centre.agent("1002", "ring100")
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'talking'")).text("uuid")
    await trio.sleep(0.5)
    centre.log_out("1002")
    await transfer(centre, place, f"visit-{queue}")
    [before, visit] = await visits(centre, caller, 2)
    assert (before["reason"], before["agent"]) == ("BRIDGED", "1002")
    assert (visit["state"], visit["queue"]) == ("waiting", queue)
    await check_undisturbed(centre, caller, place, queue)


@pytest.mark.fault(19.1)
async def test_a_caller_may_be_sent_from_queue_to_queue_in_quick_succession(centre: CallCentre) -> None:
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'waiting'")).text("uuid")
    queues = ["second", "caller", "second", "second", "caller"]
    for number, queue in enumerate(queues, start=2):
        await transfer(centre, place, f"visit-{queue}")
        rows = await visits(centre, caller, number)
        assert [row["queue"] for row in rows[1:]] == queues[: number - 1]
        assert {row["reason"] for row in rows[:-1]} == {"TRANSFERRED"}
        await until(partial(centre.is_kept, place), 2)
        await check_hears_callctl(centre, place)
    await trio.sleep(UNDISTURBED_SECONDS)
    await check_hears_callctl(centre, place)
    await centre.hang_up(caller)
    await until(lambda: not centre.server.reception.sessions)
    assert len(await ended_visits(centre, caller)) == len(queues) + 1


async def ended_visits(centre: CallCentre, caller: Caller) -> list[Row]:
    """Return the rows of a caller's visits that have ended, as the database has them now."""
    await centre.server.journal.flush()
    found = centre.rows("SELECT * FROM calls WHERE caller_number = ? AND state = 'ended'", caller.number)
    return [Row(values=dict(row)) for row in found]


@pytest.mark.fault(19.4)
async def test_a_caller_who_is_sent_elsewhere_while_the_inbound_link_is_down_hears_what_is_there(
    centre: CallCentre,
) -> None:
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'waiting'")).text("uuid")
    await trio.sleep(0.5)
    drop_inbound(centre)
    await transfer(centre, place, "elsewhere")
    assert (await centre.row(caller))["reason"] == "TRANSFERRED"
    await trio.sleep(2)
    channel = await centre.console.channel(place)
    assert channel["Channel-State"] == "CS_EXECUTE"
    assert channel["variable_current_application"] == "endless_playback"
    await centre.hang_up(caller)


@pytest.mark.fault(19.3)
@pytest.mark.parametrize("elsewhere", ["elsewhere", "announcement", "colleague"])
async def test_a_caller_who_was_sent_elsewhere_while_callctl_was_down_is_left_there(
    centre: CallCentre, elsewhere: str
) -> None:
    await centre.stop()
    await centre.spawn()
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'waiting'")).text("uuid")
    await trio.sleep(0.5)
    await centre.kill()
    await trio.sleep(0.5 * AWAY_SECONDS)
    await transfer(centre, place, elsewhere)
    await until(lambda: centre.is_at(place, elsewhere))
    await centre.start()
    centre.agent("1001", "ring100")
    await trio.sleep(UNDISTURBED_SECONDS)
    assert centre.offers(caller) == []
    assert await centre.is_at(place, elsewhere)
    assert (await centre.console.channel(place))["Caller-Destination-Number"] == elsewhere
    await centre.hang_up(caller)
    row = await centre.row(caller, "state = 'ended'")
    assert (row["reason"], row["offers"]) == ("TRANSFERRED", 0)


@pytest.mark.fault(19.2)
@pytest.mark.parametrize("queue", ["caller", "second"])
async def test_a_caller_who_was_sent_into_a_queue_while_callctl_was_down_waits_there(
    centre: CallCentre, queue: str
) -> None:
    await centre.stop()
    await centre.spawn()
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'waiting'")).text("uuid")
    await trio.sleep(0.5)
    await centre.kill()
    # Not in the very instant: what FreeSWITCH does at the end of a socket may undo a transfer.
    await trio.sleep(0.5 * AWAY_SECONDS)
    await transfer(centre, place, f"visit-{queue}")
    await trio.sleep(0.5)
    await centre.start()
    [before, visit] = await visits(centre, caller, 2)
    assert (before["reason"], before["queue"]) == ("TRANSFERRED", "caller")
    assert (visit["queue"], visit["resumes"]) == (queue, 0)
    await centre.hang_up(caller)
    await until(lambda: not centre.server.reception.sessions)
    assert len(await ended_visits(centre, caller)) == 2


@pytest.mark.fault(7)
@pytest.mark.parametrize("number", ["enter", "wait", "done", "alone", "second-look"])
async def test_nobody_gets_into_the_queue_by_dialling_an_extension_of_the_dialplan(
    centre: CallCentre, number: str
) -> None:
    result = await centre.console.job(
        f"originate {{originate_timeout=5}}sofia/trunk/callctl-{number}@127.0.0.1:"
        f"{centre.freeswitch.ports.trunk} &park()"
    )
    assert result.strip() == "-ERR NO_ROUTE_DESTINATION"
    await centre.server.journal.flush()
    assert centre.rows("SELECT * FROM calls") == []


@pytest.mark.fault(11)
async def test_the_dialplan_keeps_a_caller_whose_transfers_run_in_another_context(centre: CallCentre) -> None:
    caller = await centre.call("forced")
    place = (await centre.row(caller, "state = 'waiting'")).text("uuid")
    [session] = centre.server.reception.sessions.values()
    assert session._caller._socket is not None
    session._caller._socket.close()
    await centre.row(caller, "resumes = 1")
    assert await centre.console.variable(place, "force_transfer_context") == "nowhere"
    centre.agent("1001", "ring100")
    await centre.row(caller, "state = 'talking'")
    await centre.hang_up(caller)
    assert (await centre.row(caller))["reason"] == "BRIDGED"


async def refer(centre: CallCentre, phone: str, target: str) -> None:
    """Let the agent at this phone send a REFER to `target`."""
    [uuid] = [
        channel["uuid"]
        for channel in await centre.console.channels()
        if channel["dest"] == phone and channel["direction"] == "inbound"
    ]
    answer = await centre.console.api(f"uuid_deflect {uuid} {target}")
    assert answer.startswith("+OK"), answer


@pytest.mark.fault(11)
async def test_an_agent_transfers_a_caller_to_a_colleague(centre: CallCentre) -> None:
    centre.agent("1001", "ring100")
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'talking'")).text("uuid")
    await trio.sleep(0.5)
    await refer(centre, "ring100", f"sip:1002@127.0.0.1:{centre.freeswitch.ports.phones}")
    row = await centre.row(caller)
    assert (row["reason"], row["agent"]) == ("BRIDGED", "1001")
    await until(lambda: centre.is_at(place, "colleague-1002"), 5)
    await trio.sleep(1)
    assert await centre.is_on_the_line(caller)
    channel = await centre.console.channel(place)
    assert channel["Caller-Context"] == "default"
    assert channel["variable_current_application"] == "bridge"
    await centre.hang_up(caller)


@pytest.mark.fault(11)
async def test_an_agent_transfers_a_caller_into_another_queue(centre: CallCentre) -> None:
    centre.agent("1001", "ring100")
    caller = await centre.call()
    place = (await centre.row(caller, "state = 'talking'")).text("uuid")
    await trio.sleep(0.5)
    await refer(centre, "ring100", f"sip:queue-second@127.0.0.1:{centre.freeswitch.ports.phones}")
    [before, visit] = await visits(centre, caller, 2)
    assert (before["reason"], before["agent"]) == ("BRIDGED", "1001")
    assert (visit["queue"], visit["previous_visit"], visit["transferred_by"]) == (
        "second",
        before["id"],
        "1001",
    )
    assert await centre.console.variable(place, "force_transfer_context") == "_undef_"
    await check_undisturbed(centre, caller, place, "second")


@pytest.mark.fault(11)
async def test_an_agent_who_waits_in_a_queue_transfers_a_caller_there(centre: CallCentre) -> None:
    """REFER with Replaces, from the leg of a talk to a leg that waits."""
    centre.agent("1001", "ring100")
    caller = await centre.call()
    await centre.row(caller, "state = 'talking'")
    leg = await centre.console.api("create_uuid")
    consultation = (
        f"originate {{origination_uuid={leg},origination_caller_id_number=1001}}"
        f"sofia/office/queue-second@127.0.0.1:{centre.freeswitch.ports.office} &park()"
    )
    assert (await centre.console.job(consultation)).startswith("+OK")
    agent = Caller(number="1001", uuid=leg)
    await centre.row(agent, "state = 'waiting'")
    await trio.sleep(0.5)
    replaces = await replaces_of(centre, (await centre.row(agent, "state = 'waiting'")).text("uuid"))
    await refer(
        centre,
        "ring100",
        f"sip:queue-second@127.0.0.1:{centre.freeswitch.ports.office}?Replaces={replaces}",
    )
    [before, visit] = await visits(centre, caller, 2)
    assert (before["reason"], before["agent"]) == ("BRIDGED", "1001")
    assert (visit["queue"], visit["skills"]) == ("second", '{"consulted": 1}')
    assert (visit["previous_visit"], visit["transferred_by"]) == (before["id"], "1001")
    consulted = await centre.row(agent)
    assert (consulted["reason"], consulted["queue"]) == ("TRANSFERRED", "second")
    await until(lambda: centre.is_gone(leg))
    centre.agent("1003", "ring200", queue="second", skill="consulted")
    talking = await centre.row(caller, "state = 'talking'")
    assert talking["agent"] == "1003"
    await trio.sleep(1)
    assert await centre.is_on_the_line(caller)
    await centre.hang_up(caller)
    await until(lambda: not centre.server.reception.sessions)


async def replaces_of(centre: CallCentre, uuid: str) -> str:
    """Return the value of Replaces that names this leg's dialog, ready for the URI of a Refer-To."""
    channel = await centre.console.channel(uuid)
    call_id = channel["variable_sip_call_id"].replace("@", "%40")
    to_tag, from_tag = channel["variable_sip_to_tag"], channel["variable_sip_from_tag"]
    return f"{call_id}%3Bto-tag%3D{to_tag}%3Bfrom-tag%3D{from_tag}"
