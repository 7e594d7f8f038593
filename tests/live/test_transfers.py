"""Callers who are transferred into a queue, or out of one, by anybody and at any time."""

from __future__ import annotations

from collections.abc import AsyncIterator
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
    began = trio.current_time()
    while trio.current_time() < began + UNDISTURBED_SECONDS:
        await check_hears_callctl(centre, uuid)
        await trio.sleep(0.2)
    assert [row["id"] for row in await visits(centre, caller, 2)] == [before["id"], visit["id"]]
    centre.agent("1001", "ring100", queue=queue)
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
        await trio.sleep(0.1)
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
