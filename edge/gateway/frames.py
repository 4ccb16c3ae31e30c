"""One transaction for each frame that a workstation sends.

Its row is locked, the desk decides on what the rows say, and all that follows is written with how
far it has been heard: so each of its words counts exactly once. Whoever calls this speaks when it
has been committed, and not before.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from edge import desk
from edge.desk import Change, Desk, Hand, Stage, Station
from edge.gateway import bounds, cloning, filing, mirror, recording, stocking
from edge.gateway.recording import Closing
from edge.messages import (
    DOES,
    Accept,
    Began,
    Command,
    Ended,
    File,
    Frame,
    FromServer,
    Hello,
    Item,
    Lease,
    Log,
    Metrics,
    Output,
    Refusal,
    Reject,
    Stock,
    Verb,
)
from edge.talking import Shut
from edge.window import Window
from scheduler.domain.wakes import Wake
from scheduler.services import events
from scheduler.services.catalog import Catalog
from scheduler.store import holders, progress, stocks, workstations
from scheduler.store.holders import Identity
from scheduler.store.output import Chunk
from scheduler.store.rows import Row
from scheduler.store.workstations import Key

if TYPE_CHECKING:
    from uuid import UUID

Conn = AsyncConnection[Any]

ATTEMPT = re.compile(r"([1-9][0-9]{0,17})\.([1-9][0-9]{0,8})")
FOR_EVER = timedelta(days=365 * 7000)  # its holder is judged by what was agreed, not by a lease
STREAMS = (1, 2)
NO_ROOM = frozenset({Refusal.BUSY, Refusal.DRAINING})  # it may do something else as little
MOST_METRICS = 16 << 10
LATE = 1.0  # seconds
SILENCE = 3.0  # beats, after which nobody is there any more
EPOCH, LAST_MOMENT = 0.0, 253_000_000_000.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame came in, and what whoever speaks there is told of our habits."""

    server: str
    carrier: str
    beat: float = 15.0
    poll: float = 5.0
    opened: float | None = None  # when this connection was, by the database's clock
    window: Window = field(default_factory=Window)


@dataclass(slots=True)
class Heard:
    """What came of a frame, once it is committed."""

    session: int
    answers: list[FromServer]
    have: tuple[int, ...]
    safe: tuple[int, ...]
    slots: int
    greeted: Hello | None = None
    closed: int = 0  # attempts that are not in its hand any more
    refused: bool = False
    commands: int = 0  # whose fate is not known
    wake: Wake = field(default_factory=Wake)


async def hear(
    conn: Conn, catalog: Catalog, workstation: int, frame: Frame, place: Place, clock: float
) -> Heard:
    frame = bounds.checked(frame)
    hello = frame.messages[0] if frame.messages else None
    greets = isinstance(hello, Hello)
    async with conn.transaction():
        if greets:
            await workstations.ask_wanted(conn, [workstation])
        row, hands, commands = await workstations.opened(
            conn, workstation, keys_in(frame), all=greets
        )
        if row is None or row["state"] != "ACCEPTED":
            raise Shut("this workstation is not accepted", remedy="ask who runs the server")
        if row["doubts"] and not greets:
            hands += await doubtful(conn, row, hands)
        hearing = Hearing(conn, catalog, row, place, clock)
        hearing.own = await mirror.known(conn, row["id"], frame)
        await hearing.look_at_files(frame, hands)
        if isinstance(hello, Hello) and hello.lineage != row["lineage"]:
            await stocks.forget(conn, row["id"])
        if greets or any(isinstance(each, Lease) for each in frame.messages):
            hearing.stock = await stocking.due(conn, row["id"])
        return await hearing.hear(frame, hands, commands)


async def doubtful(conn: Conn, row: Row, known: Sequence[Row]) -> list[Row]:
    """What may have to be given up by this frame is looked at as well."""
    have = {(each["task_id"], each["attempt"]) for each in known}
    found = await workstations.hands(conn, row["id"])
    return [each for each in found if (each["task_id"], each["attempt"]) not in have]


class Hearing:
    """A frame while it is being heard."""

    def __init__(self, conn: Conn, catalog: Catalog, row: Row, place: Place, clock: float) -> None:
        self.conn, self.catalog, self.row = conn, catalog, row
        self.place, self.clock = place, clock
        self.id: int = row["id"]
        self.runs: dict[str, UUID] = {}
        self.own: dict[str, Hand] = {}  # attempts that it decides about itself
        self.keys: dict[str, Key] = {}  # theirs
        self.stock: Stock | None = None
        self.unfit = ""
        self.stored = filing.Stored()
        self.filed: dict[str, Key] = {}  # attempts that files are told of

    async def hear(self, frame: Frame, hands: Sequence[Row], commands: Sequence[Row]) -> Heard:
        self.desk = Desk(self.station(hands, commands), self.clock)
        place = self.place
        if frame.messages and isinstance(frame.messages[0], Hello):
            self.unfit = place.window.objection(frame.messages[0].version)
        session = self.desk.hear(
            frame, opened=place.opened, beat=place.beat, poll=place.poll, unfit=self.unfit
        )
        heard = Heard(
            session,
            self.desk.answers,
            tuple(self.desk.have),
            self.desk.safe(),
            self.row["slots"],
            commands=len(self.desk.station.commands),
        )
        await self.apply(heard)
        await self.deliver(heard.answers)
        if frame.messages and isinstance(frame.messages[0], Hello):
            await self.look_for_clone(frame.messages[0], heard)
        return heard

    async def look_at_files(self, frame: Frame, hands: Sequence[Row]) -> None:
        if names := {each.attempt for each in frame.messages if isinstance(each, File)}:
            ours = {f"{each['task_id']}.{each['attempt']}" for each in hands}
            self.filed = {name: key_of(name) for name in names & ours}
            self.filed |= await mirror.keys(self.conn, self.id, names - ours)
            self.stored = await filing.stored(self.conn, self.id, frame, self.filed)

    def station(self, found: Sequence[Row], commands: Sequence[Row]) -> Station:
        hands = {}
        for each in found:
            attempt = f"{each['task_id']}.{each['attempt']}"
            stage = Stage(each["stage"].lower())
            hands[attempt] = Hand(attempt, stage, each["since"], each["logged"])
            self.runs[attempt] = each["run_id"]
        row = self.row
        return Station(
            session=row["session"],
            opened=row["opened"],
            greeting=row["greeting"],
            lineage=row["lineage"],
            retired=frozenset(row["retired"]),
            have=tuple(row["have"]),
            safe=tuple(row["safe"]),
            hands={name: self.with_files(hand) for name, hand in (hands | self.own).items()},
            files=self.stored.files,
            commands=tuple(map(as_command, commands)),
            doubts=row["doubts"],
            stock=self.stock,
        )

    def with_files(self, hand: Hand) -> Hand:
        filed = self.stored.attempts.get(hand.attempt, 0)
        return replace(hand, filed=filed) if filed else hand

    async def deliver(self, answers: Sequence[FromServer]) -> None:
        if said := [each.id for each in answers if isinstance(each, Command)]:
            await workstations.delivered(self.conn, said)

    async def look_for_clone(self, hello: Hello, heard: Heard) -> None:
        found = cloning.event(self.row, hello, clock=self.clock, beat=self.place.beat)
        if found is not None:
            _, wake = await events.receive_within(self.conn, [found], by=["gateway"])
            heard.wake.merge(wake)

    # What shall become of the rows.

    async def apply(self, heard: Heard) -> None:
        changes = self.desk.changes
        if not changes:
            return
        for change in changes:
            await self.one(change, heard)
        await self.mirror(changes, heard.wake)
        await self.tell(changes, heard.wake)
        await self.store(changes, heard.wake)
        await self.keep_files(changes, heard.wake)
        await self.close(changes, heard)
        if heard.greeted is None:
            await self.remember(changes, heard)

    async def one(self, change: Change, heard: Heard) -> None:
        match change:
            case desk.Greeted():
                await self.greeted(change, heard)
            case desk.Accepted(attempt):
                await workstations.accept(self.conn, self.id, key_of(attempt))
                heard.wake.add(runs=[self.runs[attempt]])
            case desk.Noted(Began() as began):
                await self.began(began, heard.wake)
            case desk.Noted(Metrics() as metrics):
                await self.measured(metrics)
            case desk.Kept(revision):
                await stocking.kept(self.conn, self.id, revision)
            case desk.Commanded(done):
                await workstations.done(
                    self.conn, self.id, done.command, applied=done.applied, why=done.why
                )

    async def greeted(self, greeted: desk.Greeted, heard: Heard) -> None:
        heard.greeted = hello = greeted.hello
        if self.row["holder"] is None:
            self.row["holder"] = await self.become_holder(hello)
        await workstations.greet(
            self.conn,
            self.id,
            session=greeted.session,
            opened=greeted.opened,
            greeting=hello.greeting,
            lineage=hello.lineage,
            have=list(heard.have),
            safe=list(heard.safe),
            doubts=self.doubts(),
            is_new=hello.lineage != self.row["lineage"],
            slots=hello.slots,
            free=free_at(hello),
            version=hello.version,
            facts=dict(hello.facts),
            policy=dict(hello.policy),
            does=sorted({*hello.does} & {*DOES}),
            unfit=self.unfit,
            labels={**hello.labels},
            draining=hello.draining,
            skew=hello.clock - self.clock,
            server=self.place.server if self.place.carrier == "stream" else None,
            carrier=self.place.carrier,
        )
        await workstations.see(self.conn, self.id, carrier=self.place.carrier, why="it came back")
        if self.row["server"] not in (None, self.place.server):
            heard.wake.people.add(f"workstation:{self.id}")

    async def become_holder(self, hello: Hello) -> int:
        name = f"ws:{self.row['name']}"
        identity = Identity(
            name=name,
            kind="agent",
            incarnation=f"workstation {self.id}",
            host=str(hello.facts.get("hostname", ""))[:200],
            pid=0,
            version=hello.version,
            queues=[name],
            slots=hello.slots,
        )
        await holders.retire_others(self.conn, name, identity.incarnation)
        holder = await holders.register(self.conn, identity, FOR_EVER)
        await workstations.set_holder(self.conn, self.id, holder)
        return holder

    async def began(self, began: Began, wake: Wake) -> None:
        """Only of what was ever its own: an attempt that is not named in its hands is nobody's."""
        if (key := key_or_none(began.attempt)) is None:
            return
        run = await workstations.began(
            self.conn,
            self.id,
            key,
            at=moment(began.at + self.ahead, self.clock),
            pid=began.pid,
        )
        wake.add(runs=[run] if run else [])

    @property
    def ahead(self) -> float:
        return mirror.ahead_of(self.row)

    async def measured(self, metrics: Metrics) -> None:
        """A row for each minute is kept, and the newest with the workstation."""
        at = min(metrics.at + self.ahead, self.clock + 60)
        values = {**metrics.values, "at": at}
        if len(str(values)) > MOST_METRICS:
            return
        minute = moment(at, self.clock).replace(second=0, microsecond=0)
        await workstations.measured(self.conn, self.id, minute, values)
        await workstations.measure(self.conn, self.id, values)

    async def mirror(self, changes: Sequence[Change], wake: Wake) -> None:
        """What it tells of its own runs, before what it says of their attempts."""
        told = [
            each.body
            for each in changes
            if isinstance(each, desk.Noted) and isinstance(each.body, mirror.TOLD)
        ]
        if told:
            wake.merge(await mirror.hear(self.conn, self.row, told))
        self.keys = await mirror.keys(self.conn, self.id, attempts_of(changes))

    def key(self, attempt: str) -> Key | None:
        return self.keys.get(attempt) or key_or_none(attempt)

    # Together, since each kind is one statement.

    async def tell(self, changes: Sequence[Change], wake: Wake) -> None:
        """What attempts say of themselves; before their results, which end what may be said."""
        ended = [each.ended for each in changes if isinstance(each, desk.Recorded)]
        said: dict[Key, Any] = {}
        for change in changes:
            if isinstance(change, desk.Noted) and isinstance(change.body, Output):
                key = self.key(change.body.attempt)
                if key and change.body.kind == "progress":
                    said[key] = bounds.progress(change.body.value)
        said |= recording.progress_of((key_of(each.attempt), each) for each in ended)
        if said and self.row["holder"] is not None:
            wake.add(runs=await progress.tell(self.conn, self.row["holder"], said))

    async def store(self, changes: Sequence[Change], wake: Wake) -> None:
        logs = [each for each in changes if isinstance(each, desk.Logged)]
        if not logs:
            return
        keyed = [(key, each) for each in logs if (key := self.key(each.attempt))]
        chunks = [chunk_of(key, each) for key, each in keyed if each.data]
        if chunks:
            await workstations.append_output(self.conn, chunks)
        ends = {key: self.desk.hands[each.attempt].logged for key, each in keyed}
        wake.add(runs=await workstations.logged(self.conn, self.id, ends))

    async def keep_files(self, changes: Sequence[Change], wake: Wake) -> None:
        if filed := [each for each in changes if isinstance(each, desk.Filed)]:
            wake.add(runs=await filing.keep(self.conn, self.id, filed, self.filed))

    async def close(self, changes: Sequence[Change], heard: Heard) -> None:
        closings, over = [], []
        for change in changes:
            if (closing := self.closing(change)) is None:
                continue
            closings.append(closing)
            if not isinstance(change, desk.Orphaned):
                over.append((closing.key, *words_of(change)))
        if over:
            await workstations.close(self.conn, self.id, over)
        heard.closed = len(over)
        heard.refused = any(refusal in NO_ROOM for _, refusal, _ in over)
        if closings:
            name, holder = self.row["name"], self.row["holder"]
            heard.wake.merge(
                await recording.record(self.conn, self.catalog, holder, name, closings)
            )
            await self.date(closings)

    async def date(self, closings: Sequence[Closing]) -> None:
        """What was told of when it was long over ended then, and not when we heard of it."""
        late = {
            each.key: each.at
            for each in closings
            if each.at is not None and isinstance(each.verdict, desk.Recorded)
        }
        if late:
            await workstations.ended(self.conn, late)

    def ended_at(self, ended: Ended) -> datetime | None:
        """If that is worth telling: by our clock."""
        at = ended.at + self.ahead
        return moment(at, self.clock) if self.clock - at > LATE else None

    def closing(self, change: Change) -> Closing | None:
        """None for what nobody here has ever given it: whatever it says of that is noise."""
        at = None
        match change:
            case desk.Recorded(ended) | desk.Orphaned(ended):
                attempt, at = ended.attempt, self.ended_at(ended)
            case desk.HandedBack(attempt) | desk.Lost(attempt):
                pass
            case _:
                return None
        run = self.runs.get(attempt)
        return Closing(run, key_of(attempt), change, at) if run is not None else None

    async def remember(self, changes: Sequence[Change], heard: Heard) -> None:
        """How far it was heard, in the transaction of what was heard."""
        lease = next((each for each in changes if isinstance(each, desk.Renewed)), None)
        await workstations.heard(
            self.conn,
            self.id,
            have=heard.have,
            safe=heard.safe,
            doubts=self.doubts(),
            carrier=self.place.carrier,
            free=min(lease.free, recording.HIGHEST) if lease else None,
            skew=lease.clock - self.clock if lease else None,
        )

    def doubts(self) -> dict[str, int]:
        found = [each.doubts for each in self.desk.changes if isinstance(each, desk.Doubted)]
        return dict(found[-1] if found else self.row["doubts"])


# Names of attempts, as they come from outside.


def key_or_none(attempt: str) -> Key | None:
    found = ATTEMPT.fullmatch(attempt)
    return (int(found[1]), int(found[2])) if found else None


def key_of(attempt: str) -> Key:
    key = key_or_none(attempt)
    assert key is not None, "only what is in the rows gets here"
    return key


def keys_in(frame: Frame) -> set[Key]:
    return {key for each in attempts_in(frame) if (key := key_or_none(each)) is not None}


def attempts_in(frame: Frame) -> Iterable[str]:
    for message in frame.messages:
        match message:
            case Hello():
                yield from (each.attempt for each in message.known)
            case Accept() | Reject() | Log() | File():
                yield message.attempt
            case Lease():
                yield from message.running
            case Item(body=Began(attempt) | Ended(attempt) | Output(attempt)):
                yield attempt


def attempts_of(changes: Sequence[Change]) -> Iterable[str]:
    """Those that something is said of which belongs to their tasks."""
    for change in changes:
        match change:
            case desk.Logged(attempt) | desk.Noted(Output(attempt)):
                yield attempt


# Rows and values.


def as_command(row: Row) -> Command:
    about = (row["attempt"], row["reason"], row["grace"], row["data"])
    return Command(row["id"], Verb(row["verb"]), *about)


def chunk_of(key: Key, log: desk.Logged) -> Chunk:
    task, attempt = key
    stream = log.stream if log.stream in STREAMS else STREAMS[0]
    return Chunk(task_id=task, attempt=attempt, start=log.offset, stream=stream, data=log.data)


def words_of(change: Change) -> tuple[str | None, str]:
    match change:
        case desk.HandedBack(_, why, refusal):
            return refusal and refusal.value, why
        case desk.Lost(_, why):
            return None, why
    return None, ""


def free_at(hello: Hello) -> int:
    taken = sum(each.phase != "ended" for each in hello.known)
    return max(0, hello.slots - taken)


def moment(at: float, clock: float) -> datetime:
    """A time that a machine told, or now if it cannot be one."""
    return datetime.fromtimestamp(at if EPOCH < at < LAST_MOMENT else clock, UTC)
