"""A world for the protocol of workstations: a server, several agents, and all that goes wrong.

It has a clock of its own and one source of chance, so a seed says everything that happens: frames
are lost, doubled, late and out of order; agents, machines and the server die between any two steps
of theirs; disks are lost. What really happened, the world knows: it compares what was recorded.
"""

import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from edge import desk, wire
from edge.agent.book import Left, MemoryBook
from edge.agent.core import (
    EXPIRED,
    Agent,
    Cut,
    Effect,
    Erase,
    Profile,
    Rules,
    Say,
    SendFile,
    SendLog,
    Spawn,
    Steer,
)
from edge.desk import Desk, Hand, Stage, Station
from edge.messages import (
    Command,
    Done,
    Ended,
    File,
    Frame,
    FromServer,
    Log,
    Message,
    Offer,
    Verb,
    file_name,
)
from tests.support.promises import Broken

STEP = 0.5
PATIENCE = 10.0  # of the server with an offer
DAYS = 3 * 86400.0  # that a clock may be wrong by
RULES = Rules(resend=2.0, greeting=4.0, silence=3.0, window=4, piece=16, pieces=3)
BEAT = 3.0


def left_by(attempt: str, sizes: Sequence[int]) -> tuple[Left, ...]:
    """Where a file lies says what is in it."""
    return tuple(
        Left(number, f"file {number}", size, "0" * 64, f"{attempt} {number} ")
        for number, size in enumerate(sizes)
    )


def printed_by(attempt: str, size: int) -> bytes:
    return (attempt.encode() * (size // len(attempt) + 1))[:size]


@dataclass
class Chances:
    """How often something goes wrong."""

    drop: float = 0.1
    double: float = 0.1
    late: float = 0.2
    crash: float = 0.01  # of an agent or the server, at each step of theirs
    machine: float = 0.003
    disk: float = 0.0005
    drain: float = 0.01  # of a machine, at each step; what is drained is opened as often
    wrong: float = 0.002  # a machine's clock is set
    restore: float = 0.004  # the server's rows are again what they were a while ago


CALM = Chances(0, 0, 0, 0, 0, 0, 0, 0, 0)


@dataclass
class Running:
    """A command. It outlives the agent, and not its machine."""

    attempt: str
    until: float
    size: int
    ended: Ended | None = None
    is_held: bool = False
    files: tuple[Left, ...] = ()


@dataclass
class Packet:
    at: float
    to: int | None  # a machine, or the server
    line: tuple[int, int]  # machine and connection
    frame: Frame


@dataclass
class Task:
    number: int = 0
    holder: int | None = None
    stage: Stage = Stage.OVER
    result: Ended | None = None
    results: int = 0
    wants_stop: bool = False
    wants_hold: bool = False
    start_before: float | None = None
    given: float = 0.0
    numbers: tuple[int, ...] = ()  # all that were given

    def attempt(self, name: int) -> str:
        return f"{name}.{self.number}"


class Crash(Exception):
    """Whoever was at work is dead; what it had committed stays."""


class Machine:
    """A workstation: an agent, its disk, its runner, and one line to the server."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.lines = 0
        self.books = 0
        self.wrong = world.chance.uniform(-DAYS, DAYS)
        self.wipe()

    @property
    def clock(self) -> float:
        return self.world.now + self.wrong

    def wipe(self) -> None:
        self.books += 1
        self.disk = MemoryBook(f"{self.number}-{self.books}")
        self.begun: dict[str, Running] = {}  # the runner's folder: what it has begun
        self.living: dict[str, Running] = {}
        self.start()

    def start(self) -> None:
        self.line: int | None = None
        self.up_at = self.world.now + self.world.chance.random() * 3
        self.agent = self.world.make_agent(self.disk.copy())
        self.carry_out(self.agent.awake(self.begun))

    def die(self) -> None:
        self.start()

    def lose_power(self) -> None:
        """What ran is gone; the runner's folder says that it had begun."""
        for attempt, running in self.living.items():
            if running.ended is None:
                running.ended = self.lost(attempt)
        self.living.clear()
        self.die()

    def lost(self, attempt: str) -> Ended:
        return Ended(attempt, "LOST", self.world.now, error="the machine went down")

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """The book first; then each effect, and at each of these points it may die."""
        self.world.maybe_crash()
        self.disk = self.book.copy()
        self.world.maybe_crash()
        for each in effects:
            self.one(each)
            self.world.maybe_crash()

    @property
    def book(self) -> MemoryBook:
        assert isinstance(self.agent.book, MemoryBook)
        return self.agent.book

    def one(self, effect: Effect) -> None:
        match effect:
            case Say(message):
                self.say(message)
            case Spawn(offer):
                self.spawn(offer.attempt)
            case Steer(attempt, verb):
                self.steer(attempt, verb)
            case SendLog(attempt, offset, size, last):
                self.send_log(attempt, offset, size, last=last)
            case SendFile(attempt, file, offset, size):
                self.send_file(attempt, file, offset, size)
            case Erase(attempt):
                self.begun.pop(attempt, None)
                self.living.pop(attempt, None)
            case Cut():
                self.line = None
                self.up_at = self.world.now + self.world.chance.random() * 2

    def say(self, message: Message) -> None:
        if self.line is not None:
            session = self.agent.link.session if self.agent.link else 0
            self.world.send(None, (self.number, self.line), Frame(session, (message,)))

    def spawn(self, attempt: str) -> None:
        self.world.has_begun(attempt, self.number)
        chance = self.world.chance
        running = Running(attempt, self.world.now + chance.random() * 12, chance.randrange(0, 90))
        sizes = [chance.randrange(0, 70) for _ in range(chance.randrange(0, 3))]
        running.files = self.world.left[attempt] = left_by(attempt, sizes)
        self.begun[attempt] = self.living[attempt] = running
        self.carry_out(self.agent.began(attempt, 7, self.clock))

    def steer(self, attempt: str, verb: Verb) -> None:
        running = self.living.get(attempt)
        if running is None or running.ended is not None:
            return
        if verb in (Verb.STOP, Verb.KILL):
            self.over(running, "STOPPED")
        else:
            running.is_held = verb is Verb.HOLD

    def over(self, running: Running, ending: str) -> None:
        at = self.world.now
        running.ended = Ended(running.attempt, ending, at, exit_code=0, printed=running.size)
        self.world.ended(running.ended)
        self.living.pop(running.attempt, None)

    def send_log(self, attempt: str, offset: int, size: int, *, last: bool) -> None:
        data = printed_by(attempt, offset + size)[offset:]
        self.say(Log(attempt, offset, data, zlib.crc32(data), last))

    def send_file(self, attempt: str, file: Left, offset: int, size: int) -> None:
        data = printed_by(file.place, offset + size)[offset:]
        told = (file.name, file.size, file.digest, offset, data, zlib.crc32(data), file.kind)
        self.say(File(attempt, file.number, *told))

    def live(self) -> None:
        """One step of everything on the machine."""
        now = self.world.now
        for running in list(self.living.values()):
            if running.is_held:
                running.until += STEP
            elif now >= running.until:
                self.over(running, "SUCCEEDED")
            else:
                share = 1 - (running.until - now) / 12
                self.agent.printed(running.attempt, int(running.size * max(0.0, share)))
        for running in list(self.begun.values()):
            if running.ended is not None:
                self.agent.left(running.attempt, running.files)
                self.carry_out(self.agent.ended(running.ended))
        if self.line is None and now >= self.up_at:
            self.lines += 1
            self.line = self.lines
            self.carry_out(self.agent.connect(now, self.clock))
        self.carry_out(self.agent.tick(now, self.clock))

    def receive(self, packet: Packet) -> None:
        if packet.line[1] == self.line:
            now = self.world.now
            self.carry_out(self.agent.receive(packet.frame, now, self.clock))


@dataclass(frozen=True, slots=True)
class Asked:
    """What was last wanted of an attempt or a machine, and since when it is known to be so."""

    command: int
    verb: Verb
    known: float | None = None


@dataclass
class Rows:
    """The database: it survives everything."""

    tasks: dict[int, Task]
    stations: dict[int, Station]
    logs: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)  # of an attempt and its file's number
    orphans: list[Ended] = field(default_factory=list)
    commands: int = 0
    asked: dict[str | int, Asked] = field(default_factory=dict)  # of an attempt, of a machine

    def copy(self) -> "Rows":
        tasks = {name: replace(task) for name, task in self.tasks.items()}
        logs, files = dict(self.logs), dict(self.files)
        orphans, asked = list(self.orphans), dict(self.asked)
        return Rows(tasks, dict(self.stations), logs, files, orphans, self.commands, asked)


class Server:
    def __init__(self, world: "World", tasks: int, machines: int) -> None:
        self.world = world
        self.rows = Rows(
            {name: Task() for name in range(tasks)},
            {number: Station() for number in range(machines)},
        )
        self.lines: dict[int, tuple[int, int]] = {}  # the session that each line has

    def die(self) -> None:
        self.lines.clear()

    def receive(self, packet: Packet) -> None:
        number, line = packet.line
        rows = self.rows.copy()
        counter = self.open_desk(self.station(rows, number))
        session = counter.hear(packet.frame, opened=float(line), beat=BEAT)
        self.apply(rows, number, counter)
        self.world.maybe_crash()
        self.rows = rows
        self.world.maybe_crash()
        if session:
            self.lines[number] = (line, session)
        for each in counter.answers:
            self.world.send(number, packet.line, Frame(session, (each,)))

    def open_desk(self, station: Station) -> Desk:
        return self.world.make_desk(station, self.world.now)

    def station(self, rows: Rows, number: int) -> Station:
        """What the rows say of it: what it holds, and what it may still speak of."""
        hands = {}
        for name, task in rows.tasks.items():
            for each in task.numbers:
                attempt = f"{name}.{each}"
                is_held = task.number == each and task.holder == number
                stage = task.stage if is_held else Stage.OVER
                hands[attempt] = Hand(attempt, stage, 0.0, len(rows.logs.get(attempt, b"")))
        files = {name: len(data) for name, data in rows.files.items()}
        return replace(rows.stations[number], hands=hands, files=files)

    def apply(self, rows: Rows, number: int, counter: Desk) -> None:
        for change in counter.changes:
            self.change(rows, number, change)

    def change(self, rows: Rows, number: int, change: desk.Change) -> None:
        station = rows.stations[number]
        match change:
            case desk.Greeted(session, hello, opened):
                fresh = hello.lineage != station.lineage
                have = desk.NOTHING if fresh else station.have
                gone = {station.lineage} if fresh and station.lineage else set()
                self.shut_again(rows, number, is_shut=hello.draining)
                station = replace(
                    rows.stations[number],
                    session=session,
                    opened=opened,
                    greeting=hello.greeting,
                    lineage=hello.lineage,
                    retired=station.retired | gone,
                    have=have,
                    safe=have,
                )
            case desk.Taken(lane, seq):
                have = tuple(seq if n == lane else each for n, each in enumerate(station.have))
                station = replace(station, have=have, safe=have)
            case desk.Accepted(attempt):
                self.accepted(rows, number, attempt)
            case desk.HandedBack(attempt):
                self.free(rows, attempt)
            case desk.Recorded(ended):
                self.record(rows, ended)
            case desk.Lost(attempt):
                self.free(rows, attempt)
            case desk.Orphaned(ended):
                rows.orphans.append(ended)
            case desk.Logged(attempt, offset, data):
                rows.logs[attempt] = rows.logs.get(attempt, b"")[:offset] + data
            case desk.Filed(file):
                name = file_name(file.attempt, file.number)
                rows.files[name] = rows.files.get(name, b"")[: file.offset] + file.data
            case desk.Commanded(done):
                left = tuple(each for each in station.commands if each.id != done.command)
                station = replace(station, commands=left)
                self.note(rows, number, done)
            case desk.Doubted(doubts):
                station = replace(station, doubts=doubts)
        rows.stations[number] = station

    def shut_again(self, rows: Rows, number: int, *, is_shut: bool) -> None:
        """One whose disk was lost does not know any more that it takes nothing new."""
        asked = rows.asked.get(number)
        if asked is None:
            if is_shut:  # a restored server does not know why: somebody looks, and opens it
                self.ask(rows, number, Verb.UNDRAIN)
        elif asked.known is not None and is_shut != (asked.verb is Verb.DRAIN):
            self.ask(rows, number, asked.verb)

    def accepted(self, rows: Rows, number: int, attempt: str) -> None:
        task, since = self.held(rows, attempt), self.shut_since(rows, number)
        task.stage = Stage.RUNNING
        if since is not None and task.given > since:
            raise Broken(f"{attempt} was taken by machine {number}, which takes nothing new")

    def shut_since(self, rows: Rows, number: int) -> float | None:
        """When the machine said that it takes nothing new, unless it was opened since."""
        asked = rows.asked.get(number)
        return asked.known if asked is not None and asked.verb is Verb.DRAIN else None

    def note(self, rows: Rows, number: int, done: Done) -> None:
        name: str | int = number if done.attempt is None else done.attempt
        asked = rows.asked.get(name)
        if asked is not None and asked.command == done.command and done.applied:
            rows.asked[name] = replace(asked, known=self.world.now)

    def held(self, rows: Rows, attempt: str) -> Task:
        name, _, number = attempt.partition(".")
        task = rows.tasks[int(name)]
        if task.number != int(number) or task.holder is None:
            raise Broken(f"{attempt} is not held and was changed")
        return task

    def free(self, rows: Rows, attempt: str) -> None:
        task = self.held(rows, attempt)
        task.holder, task.stage = None, Stage.OVER

    def record(self, rows: Rows, ended: Ended) -> None:
        task = self.held(rows, ended.attempt)
        self.free(rows, ended.attempt)
        if ended.counted and ended.ending != "LOST":
            task.result = ended
            task.results += 1
        elif ended.ending in ("STOPPED", EXPIRED):
            task.result, task.results = ended, task.results + 1

    def live(self) -> None:
        self.take_back()
        chance = self.world.chance
        for name, task in self.rows.tasks.items():
            if task.result is None and task.holder is None and chance.random() < 0.3:
                self.offer(name, chance.randrange(len(self.rows.stations)))
            elif task.stage is Stage.RUNNING and task.holder is not None:
                self.want(task, task.attempt(name), task.holder)
        for number in self.rows.stations:
            self.drain(number)

    def take_back(self) -> None:
        for task in self.rows.tasks.values():
            if task.stage is Stage.OFFERED and self.world.now - task.given >= PATIENCE:
                task.holder, task.stage = None, Stage.OVER

    def offer(self, name: int, machine: int) -> None:
        if machine not in self.lines:
            return
        line, session = self.lines[machine]
        if session != self.rows.stations[machine].session:
            return
        task = self.rows.tasks[name]
        task.number = self.next_number(task.number)
        task.numbers += (task.number,)
        task.holder, task.stage = machine, Stage.OFFERED
        task.given = self.world.now
        offer = Offer(task.attempt(name), {"argv": ["true"]}, task.start_before)
        self.tell(machine, line, session, offer)

    def gone_with(self, machine: Machine) -> Iterable[str]:
        """What nobody can tell any more when its disk is lost."""
        return machine.begun

    def next_number(self, last: int) -> int:
        return last + 1

    def want(self, task: Task, attempt: str, machine: int) -> None:
        """A hold, which ends again; a stop, which does not."""
        asked = self.rows.asked.get(attempt)
        if task.wants_stop:
            task.wants_stop = task.wants_hold = False
            self.ask(self.rows, machine, Verb.STOP, attempt)
        elif task.wants_hold:
            task.wants_hold = False
            self.ask(self.rows, machine, Verb.HOLD, attempt)
        elif asked and asked.verb is Verb.HOLD and self.world.chance.random() < 0.1:
            self.ask(self.rows, machine, Verb.RESUME, attempt)

    def drain(self, number: int) -> None:
        rate, asked = self.world.chances.drain, self.rows.asked.get(number)
        is_shut = asked is not None and asked.verb is Verb.DRAIN
        if is_shut and (not rate or self.world.chance.random() < 10 * rate):
            self.ask(self.rows, number, Verb.UNDRAIN)
        elif not is_shut and self.world.chance.random() < rate:
            self.ask(self.rows, number, Verb.DRAIN)

    def ask(self, rows: Rows, number: int, verb: Verb, attempt: str | None = None) -> None:
        """Asked for once; repeated by the desk until somebody says what became of it."""
        rows.commands += 1
        station = rows.stations[number]
        command = Command(rows.commands, verb, attempt)
        rows.stations[number] = replace(station, commands=(*station.commands, command))
        rows.asked[number if attempt is None else attempt] = Asked(command.id, verb)

    def tell(self, machine: int, line: int, session: int, message: FromServer) -> None:
        self.world.send(machine, (machine, line), Frame(session, (message,)))


class World:
    def __init__(
        self,
        seed: int,
        *,
        machines: int = 2,
        tasks: int = 6,
        agents: type[Agent] = Agent,
        desks: type[Desk] = Desk,
        servers: type[Server] = Server,
        stations: type[Machine] = Machine,
    ) -> None:
        self.chance = random.Random(seed)
        self.is_written = seed % 8 == 0  # as text and back: it costs a third of the time
        self.chances = CALM
        self.now = 0.0
        self.agents, self.desks = agents, desks
        self.packets: list[Packet] = []
        self.began: dict[str, int] = {}  # attempt: the machine where it began
        self.truth: dict[str, Ended] = {}
        self.left: dict[str, tuple[Left, ...]] = {}  # by attempt
        self.burned: set[str] = set()  # of these a part of the log may be lost
        self.given_up: set[str] = set()  # by the server, while they may run
        self.server = servers(self, tasks, machines)
        self.machines = [stations(self, number) for number in range(machines)]
        for task in self.server.rows.tasks.values():
            task.wants_stop = self.chance.random() < 0.2
            task.wants_hold = self.chance.random() < 0.3
            if self.chance.random() < 0.2:
                task.start_before = self.chance.uniform(0, 2 * 60 * STEP)

    def make_agent(self, book: MemoryBook) -> Agent:
        return self.agents(book, Profile(slots=2), RULES)

    def make_desk(self, station: Station, now: float) -> Desk:
        return self.desks(station, now)

    def maybe_crash(self) -> None:
        if self.chance.random() < self.chances.crash:
            raise Crash

    # What happened.

    def has_begun(self, attempt: str, machine: int) -> None:
        if attempt in self.began:
            raise Broken(f"{attempt} began twice")
        self.began[attempt] = machine
        name = attempt.partition(".")[0]
        latest = self.server.rows.tasks[int(name)].start_before
        if latest is not None and self.now > latest:
            raise Broken(f"{attempt} began at {self.now}, which is after {latest}")
        for each in self.running():
            if each.attempt.partition(".")[0] == name and each.attempt not in self.given_up:
                raise Broken(f"{attempt} began while {each.attempt} ran")

    def running(self) -> Iterator[Running]:
        for machine in self.machines:
            yield from (each for each in machine.living.values() if each.ended is None)

    def look_at_holds(self) -> None:
        for each in self.running():
            asked = self.server.rows.asked.get(each.attempt)
            if asked is None or asked.known is None or each.attempt in self.given_up:
                continue
            if each.is_held != (asked.verb is Verb.HOLD):
                raise Broken(f"{each.attempt} was said to be {asked.verb}, and is not")

    def ended(self, ended: Ended) -> None:
        self.truth[ended.attempt] = ended

    # The network.

    def send(self, to: int | None, line: tuple[int, int], frame: Frame) -> None:
        if self.is_written:
            frame = wire.decode(wire.encode(frame))
        for _ in range(2 if self.chance.random() < self.chances.double else 1):
            if self.chance.random() < self.chances.drop:
                continue
            late = self.chance.random() * 8 if self.chance.random() < self.chances.late else 0.0
            self.packets.append(Packet(self.now + 0.1 + late, to, line, frame))

    def deliver(self) -> None:
        due = [each for each in self.packets if each.at <= self.now]
        self.packets = [each for each in self.packets if each.at > self.now]
        if self.chances.late:
            self.chance.shuffle(due)
        for packet in due:
            if packet.to is None:
                self.guarded(self.server, lambda each=packet: self.server.receive(each))
            else:
                machine = self.machines[packet.to]
                self.guarded(machine, lambda m=machine, each=packet: m.receive(each))

    def guarded(self, who: Machine | Server, work: object) -> None:
        assert callable(work)
        try:
            work()
        except Crash:
            self.again(who)

    def again(self, who: Machine | Server) -> None:
        """It comes back, and may die while it does."""
        while True:
            try:
                return who.die()
            except Crash:
                continue

    # Its course.

    def step(self) -> None:
        self.now += STEP
        self.deliver()
        self.guarded(self.server, self.server.live)
        for machine in self.machines:
            self.guarded(machine, machine.live)
            if self.chance.random() < self.chances.machine:
                self.guarded(machine, machine.lose_power)
            if self.chance.random() < self.chances.disk:
                self.guarded(machine, lambda each=machine: self.burn(each))
            if self.chance.random() < self.chances.wrong:
                machine.wrong = self.chance.uniform(-DAYS, DAYS)
        self.look_at_holds()

    def burn(self, machine: Machine) -> None:
        """The disk is lost and with it the machine: another one stands in its place."""
        for running in machine.living.values():
            running.ended = machine.lost(running.attempt)
        for attempt in self.server.gone_with(machine):
            self.truth.pop(attempt, None)
            self.burned.add(attempt)
        machine.wipe()

    def run(self, chances: Chances, storm: int) -> None:
        """A storm, then calm until everything is settled; then what was promised must hold."""
        self.chances = chances
        for _ in range(storm):
            self.step()
        self.chances = CALM
        for _ in range(1000):
            if self.is_settled():
                return self.check()
            self.step()
        raise Broken(f"not settled: {self.unsettled()}")

    def is_settled(self) -> bool:
        return not self.unsettled()

    def unsettled(self) -> Iterable[str]:
        rows = self.server.rows
        open_tasks = [f"task {n}" for n, each in rows.tasks.items() if each.result is None]
        jobs = [f"job {job.attempt}" for each in self.machines for job in each.disk.jobs.values()]
        orders = [f"command {c.id}" for each in rows.stations.values() for c in each.commands]
        return [*open_tasks, *jobs, *orders]

    def check(self) -> None:
        rows = self.server.rows
        for name, task in rows.tasks.items():
            assert task.result is not None
            attempt = task.result.attempt
            if task.results != 1:
                raise Broken(f"task {name} was recorded {task.results} times")
            if not task.result.counted:
                continue
            if self.truth.get(attempt, task.result) != task.result:
                raise Broken(f"{attempt} was recorded as {task.result}")
            printed, stored = printed_by(attempt, task.result.printed), rows.logs.get(attempt, b"")
            is_whole = printed.startswith(stored) if attempt in self.burned else printed == stored
            if not is_whole:
                raise Broken(f"the log of {attempt} is not what it printed")
        for attempt in self.truth.keys() - self.burned:
            for file in self.left[attempt]:
                found = rows.files.get(file_name(attempt, file.number))
                if found != printed_by(file.place, file.size):
                    raise Broken(f"{file.name} of {attempt} is not what was left")
        recorded = {task.result.attempt for task in rows.tasks.values() if task.result}
        kept = recorded | {each.attempt for each in rows.orphans}
        for attempt in self.truth:
            if attempt not in kept:
                raise Broken(f"the result of {attempt} is nowhere")
