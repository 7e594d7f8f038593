"""What callers hear and agents go through, once each over real sockets."""

from __future__ import annotations

from datetime import date, timedelta

import httpx2
import pytest
import trio

from callctl.acd.distributor import Distributor
from callctl.model import AgentStatus, OpeningHours, QueueSettings, Strategy, Tier
from callctl.sim.people import Caller, Endpoint
from tests.server.conftest import ANSWERS, HANGS_UP


async def test_a_greeting_comes_before_the_music(theatre) -> None:
    async with theatre(QueueSettings(name="caller", greeting="hello.wav", moh_sound="moh.wav")) as t:
        await t.call(Caller(patience=2.5))
    runs = [name for name in t.seen if name.startswith("runs playback")]
    assert runs == ["runs playback hello.wav", "runs playback moh.wav"]


@pytest.mark.fault(5)
async def test_no_key_ends_the_greeting_or_the_music(theatre) -> None:
    presses = tuple((0.1 + number * 0.2, digit) for number, digit in enumerate("*#1***"))
    async with theatre(QueueSettings(name="caller", greeting="hello.wav", moh_sound="song.wav")) as t:
        t.stage.switch.add_sound("hello.wav", 0.7)
        t.stage.switch.add_sound("song.wav", 30)
        t.stage.switch.place_call(Caller(presses=presses, patience=1.6))
        with trio.fail_after(10):
            await t.until(lambda: bool(t.stage.server.reception.sessions))
            await t.stage.server.reception.wait_empty()
    heard = [what for what in t.seen if what.startswith("runs playback")]
    assert heard == ["runs playback hello.wav", "runs playback song.wav"]
    assert "music-failed" not in [row["event"] for row in t.rows("call_events")]


@pytest.mark.fault(5)
async def test_no_key_ends_the_whisper(theatre) -> None:
    async with theatre(QueueSettings(name="caller", agent_announce="sales.wav")) as t:
        t.stage.switch.add_sound("sales.wav", 0.8)
        t.hire("1001", Endpoint(answer_after=0.05, talk_seconds=0.1, presses=((0.1, "*"),)))
        await t.call(Caller())
    [call] = t.rows("calls")
    assert call["wait_seconds"] > 0.8


@pytest.mark.fault(5)
async def test_whom_callctl_lets_go_has_the_keys_of_the_dialplan_again(theatre) -> None:
    async with theatre(QueueSettings(name="caller", exit_keys="1")) as t:
        t.stage.switch.place_call(Caller(presses=((0.2, "1"),)))
        await t.until(lambda: any("callctl-done" in what for what in t.seen) or t.waiting() == 1)
        [caller] = t.stage.switch.channels()
        await t.until(lambda: caller.variable("playback_terminators") == "none")
        await t.stage.server.reception.wait_empty()
        assert caller.variable("playback_terminators") == ""


async def test_the_music_of_the_call_goes_over_the_queues(theatre) -> None:
    async with theatre() as t:
        await t.call(Caller(patience=0.3, variables={"cc_moh_override": "mine.wav"}))
    assert "runs playback mine.wav" in t.seen


async def test_announcements_are_heard_over_the_music_and_the_place_is_said(theatre) -> None:
    queue = QueueSettings(
        name="caller",
        announce_sound=("one.wav", "two.wav"),
        announce_frequency=0.3,
        announce_position="yes",
        announce_interval=0.4,
        moh_sound="local_stream://moh",
    )
    async with theatre(queue) as t:
        t.stage.switch.add_sound("one.wav", 0.05)
        t.stage.switch.add_sound("two.wav", 0.05)
        t.stage.switch.add_sound("callctl_position,1", 0.05)
        await t.call(Caller(patience=1.2))
    runs = [name for name in t.seen if "wav" in name or "phrase" in name]
    assert runs[:3] == ["runs playback one.wav", "runs phrase callctl_position,1", "runs playback two.wav"]


@pytest.mark.fault(19)
async def test_each_caller_is_told_the_wait_of_its_own_place(theatre) -> None:
    queue = QueueSettings(name="caller", announce_wait="yes", announce_interval=0.4)
    async with theatre(queue) as t:
        t.hire("1001", ANSWERS)

        def make_a_place_take_a_minute(distributor: Distributor, now: float) -> None:
            distributor.set_external_call("1001", True, now)
            for _ in range(3):
                distributor._floor.queues["caller"].waits.add(now, 60.0, 1)

        t.stage.server.dispatcher.act(make_a_place_take_a_minute)
        heard: dict[str, str] = {}

        def hear(name: str, uuid: str, at: float, member: str) -> None:
            if "phrase" in name:
                heard.setdefault(uuid, name)

        t.stage.switch.on_observed(hear)
        callers = []
        for number in range(3):
            callers.append(t.stage.switch.place_call(Caller()))
            await t.until(lambda waiting=number + 1: t.waiting() == waiting)
        await t.until(lambda: len(heard) == 3)
    assert [heard[uuid] for uuid in callers] == [
        f"runs phrase callctl_wait,{minutes}" for minutes in (1, 2, 3)
    ]


@pytest.mark.fault(22)
async def test_callers_hear_ringing_where_the_music_is_missing_and_it_is_known(theatre) -> None:
    async with theatre(QueueSettings(name="caller", moh_sound="local_stream://moh")) as t:
        t.stage.switch.streams = {}
        await t.call(Caller(patience=0.5))
        text = await metrics_of(t)
    assert "runs playback local_stream://moh" in t.seen
    assert any(name.startswith("runs playback tone_stream://") for name in t.seen)
    assert not any("silence_stream" in name for name in t.seen)
    assert 'callctl_media_failures_total{kind="music",switch="fs1"} 1.0' in text
    assert ("music-failed", "local_stream://moh") in [
        (row["event"], row["detail"]) for row in t.rows("call_events")
    ]


@pytest.mark.fault(22)
async def test_an_announcement_a_greeting_and_a_whisper_that_are_missing_are_known(theatre) -> None:
    queue = QueueSettings(
        name="caller",
        greeting="/no/such/hello.wav",
        announce_position="yes",
        announce_interval=0.3,
        agent_announce="/no/such/sales.wav",
    )
    async with theatre(queue) as t:
        t.stage.switch.phrases = "<language/>"
        t.hire("1001", Endpoint(answer_after=1.0, talk_seconds=0.1))
        await t.call(Caller())
        text = await metrics_of(t)
    for kind in ("announcement", "greeting", "whisper"):
        assert f'callctl_media_failures_total{{kind="{kind}",switch="fs1"}}' in text
    events = [(row["event"], row["detail"]) for row in t.rows("call_events")]
    assert ("greeting-failed", "/no/such/hello.wav") in events
    assert events.count(("announcement-failed", "phrase::callctl_position,1")) == 1


async def metrics_of(t) -> str:
    """Return what `/metrics` says."""
    async with httpx2.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{t.stage.server.http_port}/metrics")).text


async def test_an_announcement_does_not_delay_the_bridge(theatre) -> None:
    queue = QueueSettings(name="caller", announce_sound=("long.wav",), announce_frequency=0.1)
    async with theatre(queue) as t:
        t.stage.switch.add_sound("long.wav", 60.0)
        t.hire("1001", Endpoint(answer_after=0.5, talk_seconds=0.1))
        await t.call(Caller())
    [call] = t.rows("calls")
    assert "runs playback long.wav" in t.seen
    assert call["wait_seconds"] < 1.0


async def test_an_agent_hears_the_whisper_before_the_caller(theatre) -> None:
    async with theatre(QueueSettings(name="caller", agent_announce="sales.wav")) as t:
        t.stage.switch.add_sound("sales.wav", 0.3)
        t.hire("1001", HANGS_UP)
        await t.call(Caller())
    assert t.seen.index("runs playback sales.wav") < t.seen.index("bridged")
    [call] = t.rows("calls")
    assert call["wait_seconds"] > 0.3


@pytest.mark.fault(22)
async def test_an_agent_hears_a_whisper_to_its_end_however_short_the_time_for_a_key(theatre) -> None:
    async with theatre(QueueSettings(name="caller", agent_announce="long.wav", accept_timeout=0.3)) as t:
        t.stage.switch.add_sound("long.wav", 1.5)
        t.hire("1001", HANGS_UP)
        await t.call(Caller())
    [call] = t.rows("calls")
    assert call["wait_seconds"] > 1.5
    assert t.seen.index("runs park") < t.seen.index("bridged")


@pytest.mark.fault(22)
async def test_the_time_for_the_key_begins_when_the_whisper_has_ended(theatre) -> None:
    queue = QueueSettings(name="caller", agent_announce="long.wav", accept_key="1", accept_timeout=1)
    async with theatre(queue) as t:
        t.stage.switch.add_sound("long.wav", 1.2)
        t.hire("1001", Endpoint(answer_after=0.05, talk_seconds=0.2, presses=((1.5, "1"),)))
        await t.call(Caller())
    assert [(row["agent"], row["result"]) for row in t.rows("offers")] == [("1001", "answered")]


async def test_an_agent_gets_the_call_only_by_pressing_the_key(theatre) -> None:
    queue = QueueSettings(name="caller", accept_key="1", accept_timeout=1)
    async with theatre(queue) as t:
        t.hire("1001", ANSWERS, no_answer_delay_time=60)
        t.hire("1002", Endpoint(answer_after=0.05, talk_seconds=0.2, presses=((0.3, "1"),)))
        await t.call(Caller())
    assert [(row["agent"], row["result"]) for row in t.rows("offers")] == [
        ("1001", "no-answer"),
        ("1002", "answered"),
    ]


@pytest.mark.fault(17)
@pytest.mark.parametrize("key", ["#", "*", "0"])
async def test_any_key_of_a_telephone_can_accept_a_call(theatre, key: str) -> None:
    queue = QueueSettings(name="caller", accept_key=key, accept_timeout=1)
    async with theatre(queue) as t:
        t.hire("1001", Endpoint(answer_after=0.05, talk_seconds=0.2, presses=((0.3, key),)))
        await t.call(Caller(patience=4))
    assert [(row["agent"], row["result"]) for row in t.rows("offers")] == [("1001", "answered")]


@pytest.mark.fault(17)
@pytest.mark.parametrize("told", ["a\nb", "a{b", "${x}", "a:_:b", "a b"])
async def test_a_call_that_names_its_visit_oddly_is_served_like_any(theatre, told: str) -> None:
    async with theatre() as t:
        t.hire("1001", HANGS_UP)
        await t.call(Caller(variables={"callctl_call": told}, patience=3))
    [call] = t.rows("calls")
    assert (call["reason"], call["resumes"]) == ("BRIDGED", 0)


async def test_a_higher_base_score_is_served_first(theatre) -> None:
    async with theatre() as t:
        t.stage.switch.place_call(Caller(number="1", name="first"))
        await t.until(lambda: t.waiting() == 1)
        t.stage.switch.place_call(Caller(number="2", variables={"cc_base_score": "100"}))
        await t.until(lambda: t.waiting() == 2)
        t.hire("1001", HANGS_UP)
        await t.stage.server.reception.wait_empty()
    bridged = sorted(t.rows("calls"), key=lambda row: row["bridged_at"])
    assert [row["caller_number"] for row in bridged] == ["2", "1"]


async def test_a_caller_who_was_cut_off_comes_back_to_the_old_place(theatre) -> None:
    queue = QueueSettings(name="caller", abandoned_resume_allowed=True)
    async with theatre(queue) as t:
        await t.call(Caller(number="1", patience=0.2))
        t.stage.switch.place_call(Caller(number="2"))
        await t.until(lambda: t.waiting() == 1)
        t.stage.switch.place_call(Caller(number="1"))
        await t.until(lambda: t.waiting() == 2)
        t.hire("1001", HANGS_UP)
        await t.stage.server.reception.wait_empty()
    bridged = sorted((row for row in t.rows("calls") if row["bridged_at"]), key=lambda row: row["bridged_at"])
    assert [row["caller_number"] for row in bridged] == ["1", "2"]


async def test_a_call_that_needs_a_skill_waits_for_who_has_it(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", HANGS_UP, skills={"english": 3})
        t.hire("1002", Endpoint(answer_after=0.3, talk_seconds=0.1), skills={"english": 5, "billing": 1})
        await t.call(Caller(variables={"callctl_skills": "english:5,billing"}))
    [offer] = t.rows("offers")
    assert offer["agent"] == "1002"
    assert "billing" in str(t.rows("decisions")[0]["passed_over"])


async def test_a_caller_gets_the_agent_of_the_last_talk(theatre) -> None:
    queue = QueueSettings(
        name="caller", strategy=Strategy.SEQUENTIALLY_BY_AGENT_ORDER, preferred_agent_seconds=600
    )
    async with theatre(queue) as t:
        t.hire("1002", HANGS_UP)
        await t.call(Caller(number="4930123"))
        t.hire("1001", HANGS_UP)
        await t.call(Caller(number="4930123"))
    assert [row["agent"] for row in t.rows("offers")] == ["1002", "1002"]


@pytest.mark.fault(22)
async def test_the_agent_of_the_last_talk_is_known_after_a_restart(theatre) -> None:
    queue = QueueSettings(
        name="caller", strategy=Strategy.SEQUENTIALLY_BY_AGENT_ORDER, preferred_agent_seconds=600
    )
    async with theatre(queue) as t:
        t.hire("1002", HANGS_UP)
        await t.call(Caller(number="4930123"))
    async with theatre(queue) as t:
        t.hire("1001", HANGS_UP)
        t.stage.switch.add_endpoint("user/1002", HANGS_UP)
        await t.call(Caller(number="4930123"))
        await t.call(Caller(number="4930777"))
    assert [row["agent"] for row in t.rows("offers")] == ["1002", "1002", "1001"]


async def test_a_closed_queue_sends_the_caller_where_it_says(theatre) -> None:
    days = {f"{date(2024, 1, 1) + timedelta(day):%m-%d}" for day in range(366)}
    always_closed = OpeningHours(holidays=tuple(sorted(days)))
    closed = QueueSettings(name="day", hours=always_closed, closed_target="queue:night")
    async with theatre(closed, QueueSettings(name="night")) as t:
        t.hire("1001", HANGS_UP, queue="night")
        await t.call(Caller(variables={"queue": "day"}))
    assert [(row["queue"], row["reason"]) for row in t.rows("calls")] == [
        ("day", "CLOSED"),
        ("night", "BRIDGED"),
    ]


async def test_with_tier_rules_the_second_level_is_rung_when_the_first_has_had_its_time(theatre) -> None:
    queue = QueueSettings(
        name="caller", tier_rules_apply=True, tier_rule_wait_second=0.3, tier_rule_no_agent_no_wait=False
    )
    async with theatre(queue) as t:
        t.hire("1001", Endpoint.busy(), busy_delay_time=60)
        t.hire("1002", HANGS_UP)
        second = Tier(queue="caller", agent="1002", level=2)
        t.stage.server.dispatcher.act(lambda d, now: d.put_tier(second, now))
        await t.call(Caller())
    offers = t.rows("offers")
    assert [row["agent"] for row in offers] == ["1001", "1002"]
    [call] = t.rows("calls")
    assert call["wait_seconds"] >= 0.3


async def test_ring_progressively_rings_one_more_after_the_delay(theatre) -> None:
    queue = QueueSettings(name="caller", strategy=Strategy.RING_PROGRESSIVELY, ring_progressively_delay=0.3)
    async with theatre(queue) as t:
        t.hire("1001", Endpoint.silent())
        t.hire("1002", Endpoint(answer_after=0.1, talk_seconds=0.1))
        await t.call(Caller())
    assert {row["agent"]: row["result"] for row in t.rows("offers")} == {
        "1001": "cancelled",
        "1002": "answered",
    }


async def test_wrap_up_of_the_queue_keeps_the_agent_and_can_be_ended_early(theatre) -> None:
    async with theatre(QueueSettings(name="caller", wrap_up_time=30)) as t:
        t.hire("1001", HANGS_UP)
        await t.call(Caller())
        t.stage.switch.place_call(Caller())
        await t.until(lambda: t.waiting() == 1)
        assert [row["state"] for row in t.rows("calls")][-1] != "ringing"
        t.stage.server.dispatcher.act(lambda d, now: d.end_wrap_up("1001", now))
        await t.stage.server.reception.wait_empty()
    assert [row["outcome"] for row in t.rows("calls")] == ["handled", "handled"]
    assert "Wrap-up" in {row["state"] for row in t.rows("agent_spans", order="started_at")}


async def test_hold_is_counted_apart_from_talk(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", Endpoint(answer_after=0.05, hold_after=0.1, hold_seconds=0.4, talk_seconds=0.8))
        await t.call(Caller())
    [call] = t.rows("calls")
    assert call["hold_seconds"] == pytest.approx(0.4, abs=0.15)
    assert call["talk_seconds"] == pytest.approx(0.4, abs=0.2)


async def test_the_agent_sees_the_callers_name_with_its_prefix(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", ANSWERS)
        t.stage.switch.place_call(
            Caller(name="Ada", talk_seconds=0.3, variables={"cc_outbound_cid_name_prefix": "SALES "})
        )
        await t.until(lambda: any(c.is_outbound for c in t.stage.switch.channels()))
        [leg] = [c for c in t.stage.switch.channels() if c.is_outbound]
        assert leg.profile.caller_id_name == "SALES Ada"
        await t.stage.server.reception.wait_empty()


async def test_an_agent_available_on_demand_goes_idle_after_one_call(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", HANGS_UP)
        t.stage.server.dispatcher.act(
            lambda d, now: d.set_status("1001", AgentStatus.AVAILABLE_ON_DEMAND, now)
        )
        await t.call(Caller())
    [agent] = t.rows("agents")
    assert agent["state"] == "Idle"


async def test_an_agent_with_a_call_of_its_own_is_not_offered_until_the_call_has_ended(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", HANGS_UP)
        link = t.stage.server.switches["fs1"].link
        own = "originate {origination_uuid=11111111-1111-4111-8111-111111111111}user/1001 &park()"
        await link.job(own, timeout_seconds=5)
        view = t.stage.server.dispatcher.act(lambda d, now: d.agents(now)[0])
        assert view.external_call
        t.stage.switch.place_call(Caller())
        await t.until(lambda: t.waiting() == 1)
        assert t.rows("offers") == []
        await link.api("uuid_kill 11111111-1111-4111-8111-111111111111")
        await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert call["outcome"] == "handled"


async def test_a_phone_that_is_known_to_be_away_is_not_rung_until_it_registers(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", HANGS_UP)
        directory = t.stage.switch.directory

        def agents():
            return t.stage.server.dispatcher.act(lambda d, now: d.agents(now))

        directory.register("user/1001")
        await t.until(lambda: agents()[0].registered is True)
        directory.unregister("user/1001")
        await t.until(lambda: agents()[0].registered is False)
        t.stage.switch.place_call(Caller())
        await t.until(lambda: t.waiting() == 1)
        assert t.rows("offers") == []
        directory.register("user/1001")
        await t.stage.server.reception.wait_empty()
    [offer] = t.rows("offers")
    assert offer["result"] == "answered"


async def test_callers_leave_when_the_last_agent_does_if_the_queue_says_so(theatre) -> None:
    async with theatre(QueueSettings(name="caller", leave_when_empty=True)) as t:
        t.hire("1001", Endpoint.silent())
        t.stage.switch.place_call(Caller())
        await t.until(lambda: t.waiting() == 1)
        t.stage.server.dispatcher.act(lambda d, now: d.set_status("1001", AgentStatus.LOGGED_OUT, now))
        await t.stage.server.reception.wait_empty()
    [call] = t.rows("calls")
    assert (call["reason"], call["outcome"]) == ("EMPTY", "refused")


async def test_a_pause_with_a_reason_and_an_end_is_in_the_spans(theatre) -> None:
    async with theatre() as t:
        t.hire("1001", HANGS_UP)
        t.stage.server.dispatcher.act(
            lambda d, now: d.set_status("1001", AgentStatus.ON_BREAK, now, "lunch", now + 0.2)
        )
        await t.call(Caller())
    breaks = [row for row in t.rows("agent_spans", order="started_at") if row["status"] == "On Break"]
    assert [row["reason"] for row in breaks] == ["lunch"]
    [call] = t.rows("calls")
    assert call["wait_seconds"] >= 0.15


async def test_longer_waits_than_an_agent_can_serve_go_by_weight_over_several_queues(theatre) -> None:
    queues = QueueSettings(name="normal"), QueueSettings(name="urgent", weight=1000)
    async with theatre(*queues) as t:
        t.stage.switch.place_call(Caller(number="1", variables={"queue": "normal"}))
        await t.until(lambda: t.waiting() == 1)
        t.stage.switch.place_call(Caller(number="2", variables={"queue": "urgent"}))
        await t.until(lambda: t.waiting() == 2)
        act = t.stage.server.dispatcher.act
        t.hire("1001", HANGS_UP, queue="urgent")
        act(lambda d, now: d.put_tier(Tier(queue="normal", agent="1001"), now))
        await t.stage.server.reception.wait_empty()
    bridged = sorted(t.rows("calls"), key=lambda row: row["bridged_at"])
    assert [row["caller_number"] for row in bridged] == ["2", "1"]
