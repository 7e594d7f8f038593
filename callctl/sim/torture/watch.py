"""The watch: holds callctl to its invariants at every step, while nothing excuses it.

What takes time is given the time it may take, counted from when the switch concerned was last in trouble or
callctl away. Whatever lasts longer than it may is a violation, and told once.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from callctl.acd.distributor import Distributor
from callctl.acd.views import AgentView, MemberView
from callctl.call.switch import CALLER_RING_SECONDS
from callctl.clock import SteadyClock
from callctl.model import CALLBACK_TARGET, AgentState, AgentStatus, prelude_seconds
from callctl.server import Server
from callctl.sim.channel import Channel, State
from callctl.sim.switch import Switch
from callctl.sim.torture.climate import Climate
from callctl.sim.torture.crowd import Crowd
from callctl.sim.torture.disk import Disk
from callctl.sim.torture.house import House
from callctl.sim.torture.mishaps import Mishaps
from callctl.sim.torture.timeline import Timeline, Violation
from callctl.sim.torture.truth import Leg, Story, Truth

STEP_SECONDS = 0.1
"""How often everything is looked at while something happens."""

CALM_STEP_SECONDS = 0.5
"""How often when nothing has been observed since the last look."""

ORPHAN_SECONDS = 1.0
"""How long an agent's leg may live without its caller."""

SILENCE_SECONDS = 5.0
"""How long an agent may have answered without hearing anybody: a bridge that fails is asked for after 3 s."""

STUCK_SECONDS = 3.0
"""How long an agent may count as being on a leg without one: the second of a leg that is being cancelled, and
the bridge that is settled."""

STRANDED_SECONDS = 40.0
"""How long a caller may be with nobody: 5 s of the dialplan's music, or the 30 s that a caller may take to
come back before being fetched."""

FREED_SECONDS = 35.0
"""How long a caller may be in CS_RESET whom nobody expects: callctl looks every 30 s."""

WRONG_QUEUE_SECONDS = 3.0
"""How long a caller may stand in the queue that it was sent away from: its channel comes within 0.1 s."""

UNNOTICED_SECONDS = 3.0
"""How long callctl may not know that two talk."""

KNOWING_SECONDS = 3.0
"""How long a talk and callctl must be there together for callctl to know of it: it looks where it does not
hear."""

EVENT_SECONDS = 0.3
"""What a bound is given besides, for events to come and a leg's thread to notice: some ticks."""

PLACE_SECONDS = 0.002
"""How much a time of joining may change on its way through a variable and a row, both to a millisecond."""

ON_A_LEG = (AgentState.RESERVED, AgentState.RECEIVING, AgentState.IN_A_QUEUE_CALL)


class Watch:
    """Looks at everything, again and again."""

    def __init__(
        self,
        climate: Climate,
        *,
        house: House,
        switches: dict[str, Switch],
        crowd: Crowd,
        mishaps: Mishaps,
        disk: Disk,
        truth: Truth,
        timeline: Timeline,
        clock: SteadyClock,
    ) -> None:
        self.violations: list[Violation] = []
        self.healed_leases = 0
        self._switches = switches
        self._house = house
        self._crowd = crowd
        self._mishaps = mishaps
        self._disk = disk
        self._truth = truth
        self._timeline = timeline
        self._clock = clock
        self._slack = EVENT_SECONDS + climate.latency_seconds + 2 * climate.late_seconds
        # A lost result of an originate is asked for when its time is over.
        self._ring_back_seconds = CALLER_RING_SECONDS if any(q.callback_key for q in climate.queues) else 0.0
        longest_ring = max(self._ring_back_seconds, *(queue.ring_timeout for queue in climate.queues))
        self._patience = longest_ring + 5.0 if climate.lost_jobs else 0.0
        self._stuck_seconds = STUCK_SECONDS + self._patience
        # An agent hears the prelude alone, and has so long for the key.
        prelude = max(
            prelude_seconds(q.agent_announce, q.accept_key, q.accept_timeout) for q in climate.queues
        )
        self._silence_seconds = SILENCE_SECONDS + self._patience + prelude
        self._keys = {queue.name: queue.accept_key for queue in climate.queues}
        self._since: dict[tuple[str, str], float] = {}
        self._told: set[tuple[str, str]] = set()
        self._places: dict[str, tuple[str, float]] = {}
        self._entries: dict[str, int] = {}
        """How often each caller had been sent into a queue when it was last seen."""
        self._kept_since: dict[str, float] = {}
        """Since when each caller has the place that is brought along from queue to queue."""
        self._statuses: dict[str, tuple[AgentStatus, float]] = {}
        self._observed = trio.Event()
        self._seen: dict[str, float] = {}
        self._calm_since: dict[str, float] = {}
        self._calm_spells: dict[str, list[tuple[float, float]]] = {name: [] for name in switches}
        self.promised: set[str] = set()
        """Calls that callctl had for a while, so that they must have a row."""
        self.promised_callbacks: set[str] = set()
        """Callers whom it let go with the promise to call them back."""
        for switch in switches.values():
            switch.on_observed(self._notice)
        house.on_start.append(self._check_statuses)
        house.on_end.append(self._note_last_statuses)
        house.on_end.append(self._promise)
        house.on_end.append(self._end_spells)
        house.on_end.append(self._count_leases)

    async def run(self) -> None:
        """Look at every step, until cancelled."""
        while True:
            with trio.move_on_after(CALM_STEP_SECONDS - STEP_SECONDS):
                await self._observed.wait()
            self._observed = trio.Event()
            await trio.sleep(STEP_SECONDS)
            self.look()

    def _notice(self, name: str, uuid: str, at: float, other: str) -> None:
        self._observed.set()
        if name == "hung-up" and uuid in self._truth.stories:
            self._note_promised_callback(self._truth.stories[uuid])
        if name == "bridged":
            self._check_acceptance(self._truth.legs.get(uuid) or self._truth.legs.get(other), at)

    def _note_promised_callback(self, story: Story) -> None:
        server = self._house.server
        is_kept = not self._disk.is_full if server is None else self._is_kept(server)
        if story.channel.variable("callctl_target") == CALLBACK_TARGET and is_kept:
            self.promised_callbacks.add(story.uuid)

    def _check_acceptance(self, leg: Leg | None, at: float) -> None:
        """Nobody gets a caller who has not pressed the key that the queue asks for."""
        key = "" if leg is None else self._keys.get(leg.channel.variable("cc_queue"), "")
        if leg is not None and key and leg.channel.variable("callctl_accepted") != key:
            about = (leg.channel.uuid, leg.caller_uuid, leg.agent)
            self._violated(at, f"{leg.agent} got {leg.caller_uuid} without the key", about)

    def look(self) -> None:
        """Look once at everything."""
        now = self._clock.now()
        self._take_wrongs(now)
        server = self._house.server
        lasting: dict[tuple[str, str], float] = {}
        if server is not None and not server.is_stopping:
            agents, members = server.dispatcher.ask(self._look_at_the_floor)
            calm = {
                name
                for name, switch in self._switches.items()
                if server.switches[name].is_ready and not self._mishaps.is_troubled(switch)
            }
            self._note_spells(calm if self._is_kept(server) else set(), now)
            for kind, name, seconds, about in self._lasting(server, agents, members, calm):
                key = kind, name
                began_at = lasting[key] = self._since.get(key, now)
                if now - began_at > seconds + self._slack:
                    self._violated(now, f"{kind}: {name}, for {now - began_at:.1f} s", about, key)
            self._check_places(members, now)
            self._note_statuses(agents, now)
            for call in server.reception.sessions:
                self._seen.setdefault(call, now)
        self._since = lasting

    # --- when callctl could know ---

    def could_know(self, switch: str, began_at: float, ended_at: float) -> bool:
        """Say whether callctl was there, with nothing to excuse it, for a moment of what lasted so long."""
        for start, end in self._calm_spells[switch]:
            heard_it_all = start <= began_at and ended_at + self._slack <= end
            if heard_it_all or min(ended_at, end) - max(began_at, start) > KNOWING_SECONDS:
                return True
        return False

    def _is_kept(self, server: Server) -> bool:
        """Say whether what callctl knows now outlives it.

        On a full disk nothing does, and neither does what gathered meanwhile, until the journal has tried
        again (LAST_RETRY_SECONDS at most). A lock of another program harms nothing: there is the spill.
        """
        journal = server.journal.statistics()
        return not self._disk.is_full and (journal.error is None or not journal.pending_rows)

    def _note_spells(self, calm: set[str], now: float) -> None:
        for name in self._switches:
            if name in calm:
                self._calm_since.setdefault(name, now)
            elif (since := self._calm_since.pop(name, None)) is not None:
                self._calm_spells[name].append((since, now))

    def _end_spells(self, _server: Server) -> None:
        self._note_spells(set(), self._clock.now())

    def _violated(
        self, now: float, what: str, about: tuple[str, ...], key: tuple[str, str] | None = None
    ) -> None:
        if key is not None:
            if key in self._told:
                return
            self._told.add(key)
        self._timeline.add(now, "WATCH", what, *about)
        self.violations.append(Violation(now, what, about))

    def _take_wrongs(self, now: float) -> None:
        for what, about in self._truth.wrongs:
            self._violated(now, what, about)
        self._truth.wrongs.clear()
        for what in self._house.faults:
            self._violated(now, what, ())
        self._house.faults.clear()

    # --- the floor, as callctl sees it ---

    def _look_at_the_floor(
        self, distributor: Distributor, now: float
    ) -> tuple[tuple[AgentView, ...], tuple[MemberView, ...]]:
        due_at = distributor.next_deadline()
        if due_at is not None and due_at <= now:
            if due_at < now - STEP_SECONDS:
                self._violated(
                    now, f"the distributor overslept by {now - due_at:.3f} s", (), ("overslept", "")
                )
        else:
            for broken in distributor.check_invariants(now):
                self._violated(now, broken.words, (broken.call,), (broken.invariant, broken.words))
        return distributor.agents(now), distributor.members(now)

    # --- what may last only so long ---

    def _lasting(
        self,
        server: Server,
        agents: tuple[AgentView, ...],
        members: tuple[MemberView, ...],
        calm: set[str],
    ) -> Iterator[tuple[str, str, float, tuple[str, ...]]]:
        """Yield what should not last: the kind, whom, how many seconds it may last, and about whom."""
        legs: dict[str, list[Channel]] = {}
        for name in calm:
            for channel in self._switches[name].channels():
                if channel.variable("cc_side") == "agent":
                    legs.setdefault(channel.variable("cc_agent"), []).append(channel)
                    yield from self._of_leg(self._switches[name], channel, server)
                elif channel.variable("cc_side") == "member":
                    yield from self._of_member(channel, server)
        for agent, held in legs.items():
            if len(held) > 1:
                yield "an agent has two legs", agent, 0.0, (agent, *(leg.uuid for leg in held))
        if len(calm) == len(self._switches):
            for view in agents:
                yield from self._of_agent(view, legs.get(view.name, []))
        yield from self._of_sent(members, calm)
        led = {member.arrival.uuid for member in members}
        led |= {session.record.arrival.uuid for session in server.reception.sessions.values()}
        for story in self._truth.alive.values():
            if story.switch.name in calm and not story.is_moved:
                if story.is_talking or story.uuid in led or story.channel.variable("callctl_reason"):
                    continue
                yield "a caller is with nobody", story.uuid, STRANDED_SECONDS, (story.uuid,)

    def _of_sent(
        self, members: tuple[MemberView, ...], calm: set[str]
    ) -> Iterator[tuple[str, str, float, tuple[str, ...]]]:
        """Yield who is silent for ever, and who waits elsewhere than in the queue to which it was sent."""
        for story in self._truth.alive.values():
            if story.switch.name in calm and story.channel.state is story.channel.running is State.RESET:
                seconds = FREED_SECONDS if story.is_moved else SILENCE_SECONDS
                yield "a caller is in CS_RESET", story.uuid, seconds, (story.uuid,)
        for member in members:
            arrival = member.arrival
            sent = self._truth.alive.get(arrival.uuid)
            if sent is None or sent.switch.name not in calm or sent.is_moved or not sent.entered:
                continue
            _, queue = sent.entered[-1]
            if queue != arrival.queue and queue not in arrival.came_through:
                about = (arrival.uuid, member.call)
                yield f"a caller who was sent to {queue} waits in", arrival.queue, WRONG_QUEUE_SECONDS, about

    def _of_leg(
        self, switch: Switch, leg: Channel, server: Server
    ) -> Iterator[tuple[str, str, float, tuple[str, ...]]]:
        caller_uuid, agent = leg.variable("cc_member_uuid"), leg.variable("cc_agent")
        about = (leg.uuid, caller_uuid, agent)
        if leg.is_consulting:
            return  # The agent talks with a colleague, with the caller or without.
        # A caller who is to be called back has no channel yet, but a call.
        is_there = switch.locate(caller_uuid) is not None if caller_uuid else self._has_call(leg, server)
        if not is_there:
            yield "a leg lives without its caller", leg.uuid, ORPHAN_SECONDS, about
        elif leg.is_answered and leg.partner is None:
            seconds = self._silence_seconds + (0.0 if caller_uuid else self._ring_back_seconds)
            yield "an agent hears nobody", leg.uuid, seconds, about

    def _of_member(
        self, member: Channel, server: Server
    ) -> Iterator[tuple[str, str, float, tuple[str, ...]]]:
        about = (member.uuid, member.variable("callctl_call"))
        story = self._truth.stories.get(member.uuid)
        if story is None and not self._has_call(member, server):
            yield "a caller is called back for nobody", member.uuid, ORPHAN_SECONDS, about
        elif story is not None and not story.talks and not story.is_moved:
            yield "a caller who was called back hears nobody", member.uuid, self._silence_seconds, about

    def _has_call(self, leg: Channel, server: Server) -> bool:
        return leg.variable("callctl_call") in server.reception.sessions

    def _of_agent(
        self, agent: AgentView, legs: list[Channel]
    ) -> Iterator[tuple[str, str, float, tuple[str, ...]]]:
        about = (agent.name, agent.call)
        # Two results of originates may be lost one after the other; each may take its time.
        whom = f"{agent.name} for {agent.call}{f' by {agent.offer.id}' if agent.offer else ''}"
        if agent.state in ON_A_LEG and not legs:
            yield f"an agent is {agent.state} without a leg", whom, self._stuck_seconds, about
        if agent.state is not AgentState.IN_A_QUEUE_CALL and any(leg.partner is not None for leg in legs):
            yield f"an agent talks and is {agent.state}", whom, UNNOTICED_SECONDS, about

    # --- what must not change ---

    def _check_places(self, members: tuple[MemberView, ...], now: float) -> None:
        """A caller whose channel carries a time of joining is never seen with another one in that wait."""
        for member in members:
            # Who is to be called back is not on the line, and keeps the place of the call before.
            uuid = member.arrival.original_uuid
            story = self._truth.stories.get(uuid)
            if story is None:
                self._violated(now, f"nobody knows the caller {uuid}", (uuid,), ("unknown", uuid))
                continue
            if story.moved_at + WRONG_QUEUE_SECONDS > now:
                continue  # The caller is on the way from one visit to the next.
            if self._entries.get(uuid, 0) != len(story.entered):
                self._entries[uuid] = len(story.entered)
                self._places.pop(uuid, None)
                self._kept_since.pop(uuid, None)
            joined_at = member.arrival.joined_at
            known = None if member.arrival.callback else self._places.get(uuid)
            if known is not None and known[0] == member.queue and abs(known[1] - joined_at) > PLACE_SECONDS:
                what = f"{uuid} joined at {known[1]:.3f} and has {joined_at:.3f} now"
                self._violated(now, what, (uuid, member.call), ("place", member.call))
            brought = member.arrival.place_since
            since = joined_at if brought is None else brought
            kept = self._kept_since.get(uuid)
            if kept is not None and since < kept and self._ring_back_seconds:
                kept = self._kept_since[uuid] = since  # that of a callback, in the queue joined just now
            if kept is not None and abs(kept - since) > PLACE_SECONDS:
                what = f"{uuid} had a place since {kept:.3f} and has one since {since:.3f} in {member.queue}"
                self._violated(now, what, (uuid, member.call), ("place brought along", member.call))
            if not member.arrival.callback and (known is None or known[0] != member.queue):
                carried = story.channel.variable("cc_queue_joined_epoch")
                if carried and abs(float(carried) - joined_at) <= PLACE_SECONDS:
                    self._places[uuid] = member.queue, joined_at
                    self._kept_since.setdefault(uuid, since)

    def _note_statuses(self, agents: tuple[AgentView, ...], now: float) -> None:
        for agent in agents:
            known = self._statuses.get(agent.name)
            if known is None or known[0] is not agent.status:
                self._statuses[agent.name] = agent.status, now

    def _note_last_statuses(self, server: Server) -> None:
        """What changed since the last look may have been written, and then it is there after a restart."""
        now = self._clock.now()
        self._note_statuses(server.dispatcher.ask(lambda distributor, at: distributor.agents(at)), now)

    def _check_statuses(self, server: Server) -> None:
        """A status that was confirmed, and not changed by anybody since, is there after a restart."""
        now = self._clock.now()
        for agent in server.dispatcher.ask(lambda distributor, at: distributor.agents(at)):
            confirmed = self._crowd.acknowledged.get(agent.name)
            seen = self._statuses.get(agent.name)
            if confirmed is None or seen is None or seen[0] is not confirmed.status:
                continue
            if agent.status is not confirmed.status and seen[1] < now - STEP_SECONDS:
                what = f"{agent.name} was {confirmed.status} and is {agent.status} after a restart"
                self._violated(now, what, (agent.name,))

    def _promise(self, server: Server) -> None:
        """What is known for longer than a batch takes stands on the disk, also after a kill."""
        if self._is_kept(server):
            before = self._clock.now() - STEP_SECONDS
            self.promised |= {call for call, at in self._seen.items() if at < before}
        self._seen.clear()

    def _count_leases(self, server: Server) -> None:
        self.healed_leases += server.dispatcher.healed_leases
