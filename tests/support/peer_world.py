"""A world of workstations that order of each other, and of all that goes wrong between them.

A clock of its own and one source of chance: a seed says everything that happens. Words are lost,
doubled, late and out of order; lines are cut; agents die between any two steps of theirs; disks are
lost. What really began and ended, the world knows.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from edge.agent import asking, taking
from edge.agent.asking import Asker, Pace
from edge.agent.peering import WORDS, MemoryPeerBook, Order, Over, Said
from edge.agent.taking import Taker
from edge.identity import Grant
from edge.messages import Verb
from tests.support.promises import Broken

STEP = 0.5
PACE = Pace(resend=2.0, patience=3.0)
TYPES = ("press",)


class Crash(Exception):
    """Whoever was at work is dead; what it had committed stays."""


@dataclass
class Chances:
    drop: float = 0.1
    double: float = 0.15
    late: float = 0.2
    cut: float = 0.02
    crash: float = 0.01
    disk: float = 0.003
    expired: float = 0.2


CALM = Chances(0, 0, 0, 0, 0, 0, 0)


@dataclass
class Packet:
    at: float
    to: int
    line: int
    origin: int
    is_answer: bool
    message: Said


@dataclass
class Running:
    until: float
    over: Over | None = None


@dataclass
class Wanted:
    """What the world wants of a workstation."""

    order: Order
    asker: int
    peer: int
    stop_at: float | None
    given: bool = False
    results: list[Over] = field(default_factory=list)


def run_id(number: int) -> str:
    return str(UUID(int=(1_000_000 << 80) | (7 << 76) | (2 << 62) | number))


class Station:
    """A workstation: both ends, the disk below them, and the engine that outlives the agent."""

    def __init__(self, world: "World", number: int) -> None:
        self.world, self.number = world, number
        self.disks = 0
        self.wipe()

    def wipe(self) -> None:
        self.disks += 1
        self.disk = MemoryPeerBook(f"{self.number}-{self.disks}")
        self.engine: dict[str, Running] = {}
        self.parents: dict[str, Over] = {}
        self.start()

    def start(self) -> None:
        self.out: dict[int, int] = {}
        self.inward: set[int] = set()
        self.book = self.disk.copy()
        self.asker = self.world.askers(self.book, PACE)
        self.taker = self.world.takers(self.book, 2.0)
        self.ask(self.asker.awake())
        self.take(self.taker.awake())

    # Effects: the book first, and at each of these points it may die.

    def commit(self) -> None:
        self.world.maybe_crash()
        self.disk = self.book.copy()
        self.world.maybe_crash()

    def ask(self, effects: Iterable[asking.Effect]) -> None:
        self.commit()
        for each in effects:
            match each:
                case asking.Say(peer, message) if int(peer) in self.out:
                    line = self.out[int(peer)]
                    self.world.send(int(peer), line, self.number, message, is_answer=False)
                case asking.Deliver(run, result):
                    self.deliver(run, result)
            self.world.maybe_crash()

    def deliver(self, run: str, result: Over) -> None:
        """To whoever gave the order: it takes a result once."""
        if run not in self.parents:
            self.parents[run] = result
            self.world.wanted[run].results.append(result)
        self.world.maybe_crash()
        self.asker.settled(run)
        self.commit()

    def take(self, effects: Iterable[taking.Effect]) -> None:
        self.commit()
        for each in effects:
            self.carry_out(each)
            self.world.maybe_crash()

    def carry_out(self, effect: taking.Effect) -> None:
        match effect:
            case taking.Say(line, message):
                self.world.answer(self.number, line, message)
            case taking.Begin(order):
                self.begin(order.run)
            case taking.Look(order):
                if order.run not in self.engine:
                    raise Broken(f"{order.run} had begun, and the engine does not know it")
            case taking.Steer(run, verb):
                running = self.engine.get(run)
                if running is not None and verb in (Verb.STOP, Verb.KILL) and not running.over:
                    self.over(run, running, "STOPPED")
            case taking.Cut(line):
                self.inward.discard(line)

    def begin(self, run: str) -> None:
        if run not in self.engine:
            self.world.has_begun(run)
            self.engine[run] = Running(self.world.now + self.world.chance.random() * 12)
        self.world.maybe_crash()
        self.take(self.taker.began(run))

    def over(self, run: str, running: Running, ending: str) -> None:
        running.over = Over(run, ending, self.world.now, output={"run": run})
        self.world.truth[run] = running.over

    # Time.

    def live(self) -> None:
        for run, running in list(self.engine.items()):
            if running.over is None and self.world.now >= running.until:
                self.over(run, running, "SUCCEEDED")
            if running.over is None:
                self.taker.news(run, {"at": self.world.now})
            else:
                self.take(self.taker.ended(running.over, self.world.now))
        self.give_orders()
        for peer in self.asker.awaited():
            if int(peer) not in self.out and self.world.chance.random() < 0.5:
                self.call(int(peer))
        self.ask(self.asker.tick(self.world.now, self.world.now))
        self.take(self.taker.tick(self.world.now))

    def give_orders(self) -> None:
        for each in self.world.wanted.values():
            if each.asker != self.number or each.results:
                continue
            if not each.given and self.world.chance.random() < 0.3:
                self.ask(self.asker.order(str(each.peer), each.order, self.world.now))
                each.given = True
            if each.given and each.stop_at is not None and self.world.now >= each.stop_at:
                now = self.world.now
                self.ask(self.asker.wish(each.order.run, Verb.STOP, now, now))
                each.stop_at = None

    def call(self, peer: int) -> None:
        other = self.world.stations[peer]
        line = self.world.next_line()
        self.out[peer] = line
        is_expired = self.world.chance.random() < self.world.chances.expired

        def answered() -> None:
            grant = Grant(str(self.number), str(peer), 9e9, types=TYPES)
            other.inward.add(line)
            other.take(other.taker.connect(line, grant, is_expired=is_expired))

        self.world.guarded(other, answered)
        if line in other.inward:
            self.ask(self.asker.connect(str(peer), other.disk.lineage, self.world.now))

    def hang_up(self) -> None:
        for peer in list(self.out):
            self.asker.disconnect(str(peer))
        self.out.clear()

    def receive(self, packet: Packet) -> None:
        now = self.world.now
        if packet.is_answer and self.out.get(packet.origin) == packet.line:
            self.ask(self.asker.receive(str(packet.origin), packet.message, now))
        elif not packet.is_answer and packet.line in self.inward:
            self.take(self.taker.receive(packet.line, packet.message, now, now))


class World:
    def __init__(
        self,
        seed: int,
        *,
        count: int = 3,
        orders: int = 8,
        askers: type[Asker] = Asker,
        takers: type[Taker] = Taker,
        stations: type[Station] = Station,
    ) -> None:
        self.chance, self.now, self.lines = random.Random(seed), 0.0, 0
        self.chances = CALM
        self.is_written = seed % 4 == 0
        self.askers, self.takers = askers, takers
        self.packets: list[Packet] = []
        self.callers: dict[int, int] = {}
        self.begun: set[str] = set()
        self.truth: dict[str, Over] = {}
        self.burned: set[int] = set()
        self.forgotten: set[str] = set()  # orders that nobody remembers to have given
        self.wanted = {each.order.run: each for each in map(self.want, range(orders), [count] * 99)}
        self.stations = [stations(self, number) for number in range(count)]

    def want(self, number: int, count: int) -> Wanted:
        chance = self.chance
        asker, peer = chance.sample(range(count), 2)
        before = chance.random() * 20 if chance.random() < 0.2 else None
        name = "oven" if chance.random() < 0.1 else "press"
        stop_at = chance.random() * 20 if chance.random() < 0.3 else None
        order = Order(run_id(number), name, {"piece": number}, start_before=before)
        return Wanted(order, asker, peer, stop_at)

    def maybe_crash(self) -> None:
        if self.chance.random() < self.chances.crash:
            raise Crash

    def has_begun(self, run: str) -> None:
        if run in self.begun:
            raise Broken(f"{run} began twice")
        wanted = self.wanted[run]
        if wanted.order.type not in TYPES:
            raise Broken(f"{run} began, and may not")
        self.begun.add(run)

    # The network.

    def next_line(self) -> int:
        self.lines += 1
        return self.lines

    def send(self, to: int, line: int, origin: int, message: Said, *, is_answer: bool) -> None:
        self.callers.setdefault(line, origin)
        if self.is_written:
            message = WORDS.read(WORDS.write(message))
        chance, chances = self.chance, self.chances
        for _ in range(2 if chance.random() < chances.double else 1):
            if chance.random() >= chances.drop:
                late = chance.random() * 8 if chance.random() < chances.late else 0.0
                at = self.now + 0.1 + late
                self.packets.append(Packet(at, to, line, origin, is_answer, message))

    def answer(self, origin: int, line: int, message: Said) -> None:
        if line in self.callers:
            self.send(self.callers[line], line, origin, message, is_answer=True)

    def deliver(self) -> None:
        due = [each for each in self.packets if each.at <= self.now]
        self.packets = [each for each in self.packets if each.at > self.now]
        if self.chances.late:
            self.chance.shuffle(due)
        for packet in due:
            station = self.stations[packet.to]
            self.guarded(station, partial(station.receive, packet))

    def guarded(self, station: Station, work: Callable[[], None]) -> None:
        """Whoever crashes is started again, and may crash at that."""
        while True:
            try:
                return work()
            except Crash:
                work = station.start

    # The course of things.

    def step(self) -> None:
        self.now += STEP
        self.deliver()
        for station in self.stations:
            self.guarded(station, station.live)
            if self.chance.random() < self.chances.cut:
                station.hang_up()
            if self.chance.random() < self.chances.disk:
                self.burn(station)

    def burn(self, station: Station) -> None:
        self.burned.add(station.number)
        for run, each in list(self.wanted.items()):
            if each.asker == station.number and run not in station.parents:
                self.wanted[run] = replace(each, given=True, results=[])
                self.forgotten.add(run)
        self.guarded(station, station.wipe)

    def run(self, chances: Chances, storm: int) -> None:
        """A storm, then calm until everything is settled; then what was promised must hold."""
        self.chances = chances
        for _ in range(storm):
            self.step()
        self.chances = CALM
        for station in self.stations:
            station.hang_up()  # a grant that had expired is renewed
        for _ in range(600):
            if not self.unsettled():
                return self.check()
            self.step()
        raise Broken(f"not settled: {self.unsettled()}")

    def unsettled(self) -> list[str]:
        wanted = [
            run
            for run, each in self.wanted.items()
            if not each.results and run not in self.forgotten
        ]
        return wanted + [run for each in self.stations for run in each.disk.asked]

    def check(self) -> None:
        for run, each in self.wanted.items():
            if run in self.forgotten:
                continue
            if len(each.results) != 1:
                raise Broken(f"{run} has {len(each.results)} results")
            self.check_result(each, each.results[0])

    def check_result(self, wanted: Wanted, result: Over) -> None:
        run = wanted.order.run
        if result.ending == "LOST":
            if wanted.peer not in self.burned:
                raise Broken(f"{run} is lost, and nothing was burned: {result.error}")
        elif not result.began:
            if run in self.begun:
                raise Broken(f"{run} is said not to have begun")
        elif self.truth.get(run) != result:
            raise Broken(f"{run} ended as {self.truth.get(run)}, and was told as {result}")
