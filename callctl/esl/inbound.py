"""callctl calls FreeSWITCH: one lasting connection to each switch, for orders, jobs and events.

The link logs in, filters, subscribes, has its owner reconcile, and serves until the connection is lost; then
it begins again, for ever, with growing and random pauses. While it is down every order ends at once with
ConnectionLost. Nothing is repeated by itself: whether a lost order was carried out is for the caller to ask.
"""

from __future__ import annotations

import random as random_module
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum, auto
from functools import partial

import structlog
import trio
from attrs import frozen

from callctl.errors import CommandRefused, ConnectionLost, EslError, LoginRefused, ReplyTimeout, WaitEnded
from callctl.esl import commands
from callctl.esl.connection import REPLY_SECONDS, Connection, ConnectionStatistics, PendingReply, Reply
from callctl.esl.wire import Event, Message
from callctl.ids import Ids

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0
"""How long the connection and its greeting may take; a switch whose Event Socket hangs gives no greeting."""

SILENCE_SECONDS = 45.0
"""How long nothing may come before the switch is asked for a sign of life: it sends HEARTBEAT every 20 s."""

STABLE_SECONDS = 60.0
"""A connection that lived this long makes the next pause short again."""

MAX_PAUSE_SECONDS = 30.0
"""The longest pause between two attempts."""

HURRIED_SECONDS = 1.0
"""The shortest pause, also where a sign of life of the switch asks for the next attempt."""


class Attempt(Enum):
    """What an attempt to reach a switch met."""

    REFUSED = auto()
    """The machine answers, and nobody listens there: FreeSWITCH does not run."""
    UNANSWERED = auto()
    """Nothing came back."""
    TURNED_AWAY = auto()
    """FreeSWITCH runs, and does not let us in."""


CUSTOM = "CUSTOM"
"""What every event is called that has a subclass instead of a name, such as `sofia::register`."""

OTHER_EVENT = "(other)"
"""Under which those events are counted that nobody asked for: a switch could invent any number of names."""


@frozen
class JobResult:
    """What a background job came to: `text` as FreeSWITCH gave it, without white space around it."""

    text: str

    @property
    def ok(self) -> bool:
        """Whether this is anything but an error."""
        return not self.text.startswith(("-ERR", "-USAGE"))


class PendingJob:
    """The result of one job that was posted, known by its Job-UUID before it is even sent."""

    def __init__(self, label: str, forget: Callable[[], object]) -> None:
        self._label = label
        self._forget = forget
        self._settled = trio.Event()
        self._outcome: JobResult | EslError | None = None

    async def wait(self, timeout_seconds: float) -> JobResult:
        """Return what the job came to. To be called once, however late.

        Raises CommandRefused when FreeSWITCH does not begin it, and ConnectionLost, Disconnected or
        ReplyTimeout when its result is unknown. After a cancellation the job goes on in FreeSWITCH.
        """
        try:
            with trio.move_on_after(timeout_seconds):
                await self._settled.wait()
        finally:
            self._forget()
        if self._outcome is None:
            raise ReplyTimeout(f"no result of {self._label!r} within {timeout_seconds:g} s")
        if isinstance(self._outcome, EslError):
            raise self._outcome
        return self._outcome

    def settle(self, outcome: JobResult | EslError) -> None:
        """End the wait. Only the link does that."""
        if self._outcome is None:
            self._outcome = outcome
            self._settled.set()

    def begin(self, reply: Reply | WaitEnded) -> None:
        """FreeSWITCH has answered the order; what becomes of the job comes as an event."""
        if isinstance(reply, WaitEnded):
            self.settle(reply)
        elif not reply.ok:
            self.settle(CommandRefused(reply.command, reply.text))


@frozen(kw_only=True)
class LinkStatistics:
    """How one link stands: `connection` is None while it is down, `events` counts by name since the start."""

    up: bool
    reconnects: int
    last_error: str
    jobs: int
    events: Mapping[str, int]
    connection: ConnectionStatistics | None


class SwitchLink:
    """The link to one switch. `run` keeps it up; `api`, `post_api` and `job` give orders over it."""

    def __init__(
        self,
        *,
        name: str,
        host: str,
        port: int,
        password: str,
        on_event: Callable[[Event], None],
        on_up: Callable[[SwitchLink], Awaitable[None]],
        on_down: Callable[[str], None],
        on_failed_attempt: Callable[[Attempt], None] | None = None,
        ids: Ids,
        random: random_module.Random,
        open_stream: Callable[[str, int], Awaitable[trio.abc.Stream]] | None = None,
        events: Sequence[str] = ("BACKGROUND_JOB", "HEARTBEAT"),
        custom_events: Sequence[str] = (),
        filters: Sequence[tuple[str, str]] = (),
    ) -> None:
        """`on_event` is called for every event but BACKGROUND_JOB, and must return at once.

        `on_up` runs beside the reader after each login, to reconcile; if it raises, the connection is given
        up and made anew. `on_down` is called once for each time that the link was up, with the reason, and
        `on_failed_attempt` whenever the switch could not be reached. `filters` are OR-ed, and in force
        before `events` are asked for; both should hold BACKGROUND_JOB and HEARTBEAT. `open_stream` takes host
        and port.
        """
        self.name = name
        self._host = host
        self._port = port
        self._password = password
        self._on_event = on_event
        self._on_up = on_up
        self._on_down = on_down
        self._on_failed_attempt = on_failed_attempt or _nothing_to_do
        self._ids = ids
        self._random = random
        self._open_stream = open_stream or trio.open_tcp_stream
        self._events = events
        self._custom_events = custom_events
        self._filters = filters
        self._log = log.bind(switch=name)
        self._connection: Connection | None = None
        self._up = trio.Event()
        self._jobs: dict[str, PendingJob] = {}
        self._counts: Counter[str] = Counter()
        self._greeted = trio.Event()
        self._refusal = ""
        self._was_up = self._was_silent = False
        self.last_error = ""
        """Why the link is or was last down, in words."""
        self.reconnects = 0
        """How often the link came up again after the first time."""
        self.lost_at = 0.0
        """When the switch was last there before the link was lost, on Trio's clock; for `on_down`."""
        self._sign_of_life = trio.Event()

    @property
    def up(self) -> bool:
        """Whether the switch takes orders: logged in, filtered and subscribed."""
        return self._connection is not None and self._connection.ended is None

    async def wait_up(self) -> None:
        """Wait until the switch takes orders."""
        await self._up.wait()

    def statistics(self) -> LinkStatistics:
        """Return how the link stands."""
        return LinkStatistics(
            up=self.up,
            reconnects=self.reconnects,
            last_error=self.last_error,
            jobs=len(self._jobs),
            events=dict(self._counts),
            connection=self._connection.statistics() if self._connection else None,
        )

    # --- orders ---

    async def api(self, text: str, timeout_seconds: float = REPLY_SECONDS) -> str:
        """Run a fast `api` command and return its answer.

        Raises CommandRefused for an error, and ConnectionLost, Disconnected, OutboxFull or ReplyTimeout when
        the answer is unknown. After a cancellation the command may still be carried out.
        """
        [slot] = self.post_api(text)
        return (await slot.wait(timeout_seconds)).require_ok().text

    def post_api(self, *texts: str) -> list[PendingReply]:
        """Send `api` commands in one write, in order, and return the slots of their replies.

        Raises ConnectionLost, Disconnected or OutboxFull; then nothing was sent.
        """
        return self._connected().post(*map(commands.api, texts))

    async def job(self, text: str, *, timeout_seconds: float, job_uuid: str | None = None) -> JobResult:
        """Run an `api` command in FreeSWITCH's background, and return what it came to.

        Raises as `post_job` and `PendingJob.wait` do. After a cancellation the job goes on in FreeSWITCH.
        """
        return await self.post_job(text, job_uuid=job_uuid).wait(timeout_seconds)

    def post_job(self, text: str, *, job_uuid: str | None = None) -> PendingJob:
        """Have an `api` command run in FreeSWITCH's background; its result must be waited for.

        Raises ConnectionLost, Disconnected or OutboxFull; then nothing was sent.
        """
        job_uuid = job_uuid or self._ids.uuid()
        [slot] = self._connected().post(commands.bgapi(text, job_uuid=job_uuid))
        job = PendingJob(slot.command.label, partial(self._jobs.pop, job_uuid))
        self._jobs[job_uuid] = job
        slot.then(job.begin)
        return job

    async def add_filter(self, header: str, value: str) -> None:
        """Let events with this header value through as well, until the connection is lost."""
        await self._order(commands.filter_events(header, value))

    async def remove_filter(self, header: str, value: str) -> None:
        """Take one filter back. Without any filter left, everything that was subscribed comes through."""
        await self._order(commands.unfilter_events(header, value))

    async def widen(
        self,
        events: Sequence[str],
        custom_events: Sequence[str] = (),
        filters: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Ask for further events, now and after every login; what is asked for already changes nothing.

        Raises ConnectionLost when the switch is down: the next login asks for them.
        """
        new_filters = [each for each in filters if each not in self._filters]
        new_events = [name for name in events if name not in self._events]
        new_custom = [name for name in custom_events if name not in self._custom_events]
        self._filters = (*self._filters, *new_filters)
        self._events = (*self._events, *new_events)
        self._custom_events = (*self._custom_events, *new_custom)
        for header, value in new_filters:
            await self._order(commands.filter_events(header, value))
        if new_events or new_custom:
            await self._order(commands.subscribe(new_events, new_custom))

    async def _order(self, command: commands.Command) -> Reply:
        return (await self._connected().request(command)).require_ok()

    def _connected(self) -> Connection:
        if self._connection is None:
            raise ConnectionLost(f"switch {self.name} is not connected: {self.last_error or 'not yet'}")
        return self._connection

    # --- the life of the link ---

    async def run(self) -> None:
        """Keep the link up for ever. A cancellation closes it, and every wait ends with ConnectionLost."""
        attempts = 0
        while True:
            begun_at = trio.current_time()
            self.last_error = await self._attempt()
            if trio.current_time() - begun_at >= STABLE_SECONDS:
                attempts = 0
            attempts += 1
            pause_seconds = self._random.uniform(HURRIED_SECONDS, min(MAX_PAUSE_SECONDS, 2.0**attempts))
            self._log.warning("switch not connected", why=self.last_error, again_in=round(pause_seconds, 1))
            await self._pause(pause_seconds)

    async def _pause(self, seconds: float) -> None:
        """Wait until the next attempt: so long, or until a sign of life."""
        earliest = trio.current_time() + HURRIED_SECONDS
        with trio.move_on_after(seconds):
            await self._sign_of_life.wait()
            await trio.sleep_until(earliest)

    def hurry(self) -> None:
        """Something came from the switch, so it is there: end the wait for the next attempt."""
        self._sign_of_life.set()

    async def _attempt(self) -> str:
        """Connect and serve until the connection is lost; return why it was, or why there was none."""
        where = f"{self._host}:{self._port}"
        self._sign_of_life = trio.Event()
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream = await self._open_stream(self._host, self._port)
        except trio.TooSlowError:
            self._on_failed_attempt(Attempt.UNANSWERED)
            return f"{where} does not answer within {CONNECT_SECONDS:g} s"
        except OSError as error:
            self._on_failed_attempt(Attempt.REFUSED if _is_refusal(error) else Attempt.UNANSWERED)
            return f"cannot connect to {where}: {error}"
        return f"{where}: {await self._serve(stream)}"

    async def _serve(self, stream: trio.abc.Stream) -> str:
        self._greeted, self._refusal = trio.Event(), ""
        connection = Connection(
            stream, on_event=self._take_event, on_notice=self._take_notice, name=self.name
        )
        why = ""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, connection, nursery.cancel_scope)
                try:
                    await self._log_in(connection)
                except EslError as error:
                    why = str(error)
                    self._on_failed_attempt(Attempt.TURNED_AWAY)
                else:
                    self._go_up(connection)
                    nursery.start_soon(self._reconcile, connection)
                    await self._watch(connection)
                nursery.cancel_scope.cancel()
        finally:
            why = self._refusal or why or str(connection.ended)
            self._go_down(connection, why)
        return why

    async def _read(self, connection: Connection, scope: trio.CancelScope) -> None:
        await connection.run()
        scope.cancel()

    async def _log_in(self, connection: Connection) -> None:
        with trio.move_on_after(CONNECT_SECONDS):
            await self._greeted.wait()
        if not self._greeted.is_set():
            raise ReplyTimeout(f"no greeting of FreeSWITCH within {CONNECT_SECONDS:g} s")
        reply = await connection.request(commands.auth(self._password))
        if not reply.ok:
            raise LoginRefused(f"FreeSWITCH refused the password: {reply.text}")
        # Filters first: between a subscription and its filter everything would come through.
        orders = [commands.filter_events(header, value) for header, value in self._filters]
        orders.append(commands.subscribe(self._events, self._custom_events))
        for slot in connection.post(*orders):
            (await slot.wait()).require_ok()

    def _go_up(self, connection: Connection) -> None:
        self._connection, self._was_silent = connection, False
        if self._was_up:
            self.reconnects += 1
        self._was_up = True
        self._log.info("switch connected", host=self._host, port=self._port)
        self._up.set()

    def _go_down(self, connection: Connection, why: str) -> None:
        connection.close(why)
        if self._connection is None:
            return
        self._connection, self.last_error = None, why
        self.lost_at = connection.last_received_at if self._was_silent else trio.current_time()
        self._up = trio.Event()
        for job in self._jobs.values():
            job.settle(ConnectionLost(why))
        self._on_down(why)

    async def _reconcile(self, connection: Connection) -> None:
        try:
            await self._on_up(self)
        except* EslError as group:
            connection.close(f"the switch could not be taken over: {group.exceptions[0]}")
        except* Exception:
            self._log.exception("taking over the switch failed")
            connection.close("taking over the switch failed")

    async def _watch(self, connection: Connection) -> None:
        """Return when the switch gave no sign of life, not even when asked for one."""
        while True:
            # A moment, and no duration: what is left of one may be too short for a float to add to the time.
            alarm_at = connection.last_received_at + SILENCE_SECONDS
            if trio.current_time() < alarm_at:
                await trio.sleep_until(alarm_at)
                continue
            silent_seconds = trio.current_time() - connection.last_received_at
            try:
                await connection.request(commands.api("uptime"))
            except WaitEnded as error:
                self._was_silent = True
                connection.close(f"silent for {silent_seconds:.0f} s, and then: {error}")
                return

    # --- what comes in ---

    def _take_event(self, event: Event) -> None:
        is_ours = event.name in self._events or event.name == CUSTOM
        self._counts[event.name if is_ours else OTHER_EVENT] += 1
        if event.name != "BACKGROUND_JOB":
            self._on_event(event)
        elif (job := self._jobs.get(event.get("Job-UUID"))) is not None:
            job.settle(JobResult(event.body.strip()))
        # Any other job's result comes too late for the one who waited, who has settled it by asking.

    def _take_notice(self, message: Message) -> None:
        if message.content_type == "auth/request":
            self._greeted.set()
        elif message.content_type == "text/rude-rejection":
            self._refusal = "FreeSWITCH refused our address (apply-inbound-acl in event_socket.conf)"


def _is_refusal(error: BaseException | None) -> bool:
    """Say whether a connection was refused, at each address of the host."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_refusal, error.exceptions))
    # Trio raises a plain OSError from what each address said.
    return isinstance(error, ConnectionRefusedError) or (error is not None and _is_refusal(error.__cause__))


def _nothing_to_do(_: object) -> None:
    """Nobody wants to know."""
