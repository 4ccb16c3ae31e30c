"""Workers and a server, their connections and their deaths, all of it decided by a seed.

The desk is the real one; the rows, the wire and the workers are as small as they can be. Time goes
in steps. What breaks a promise raises `Broken`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from edge.remote.desk import Change, Desk, Gone, Hand, HandedBack, Heard, Over
from edge.remote.messages import (
    Ended,
    Ending,
    Forget,
    Have,
    Hello,
    Lease,
    Offer,
    Welcome,
)

BEAT = 8.0  # steps; longer than anything is under way
LEASE = 40
SLOTS = 3
TASKS = 6


class Broken(AssertionError):
    pass


@dataclass
class Row:
    state: str = "READY"
    attempt: int = 0
    holder: str | None = None
    since: float = 0.0
    counted: int = 0


@dataclass
class Wire:
    """One connection. What is said arrives in order, or not at all once it is cut."""

    up: list[tuple[float, Any]] = field(default_factory=list)
    down: list[tuple[float, Any]] = field(default_factory=list)
    is_cut: bool = False


@dataclass
class Worker:
    session: str
    hands: dict[str, str] = field(default_factory=dict)  # running, or ended
    wire: Wire | None = None
    last_lease: float = 0.0
    is_fenced: bool = False

    def hello(self) -> Hello:
        return Hello(1, 1, "mate", SLOTS, ("cut",), (), tuple(self.hands), "mate")

    def take(self, message: Any, world: "World") -> None:
        match message:
            case Offer(attempt):
                self.hands[attempt] = "running"
                world.begun(self, attempt)
            case Have(attempts) | Welcome(forget=attempts):
                for each in attempts:
                    self.hands.pop(each, None)
            case Forget(attempt):
                self.hands.pop(attempt, None)


@dataclass
class Pending:
    """A word that waits for its commit."""

    session: str
    changes: Sequence[Change]


class World:
    def __init__(self, seed: int, desk: Callable[[float], Desk] = Desk) -> None:
        self.random, self.make_desk = Random(seed), desk
        self.now = 0.0
        self.rows = {number: Row() for number in range(1, TASKS + 1)}
        self.workers = [Worker("s0"), Worker("s1")]
        self.sessions = 2
        self.desks: dict[str, Desk] = {}
        self.wires: dict[str, Wire] = {}  # by session: the connection that speaks for it
        self.heard: dict[str, float] = {}
        self.gone: set[str] = set()
        self.pending: list[Pending] = []
        self.runs_of: dict[int, list[tuple[str, str]]] = {}  # who began what, of each task

    # What is promised.

    def begun(self, worker: Worker, attempt: str) -> None:
        """Nobody begins what another has begun, unless one of them was declared gone."""
        task = task_of(attempt)
        if worker.session in self.gone:
            return  # it does not know yet; whatever it says of it counts no more
        for session, other in self.runs_of.get(task, []):
            if other != attempt and session not in self.gone:
                raise Broken(f"{attempt} began though {other} of {session} had")
        self.runs_of.setdefault(task, []).append((worker.session, attempt))

    def close(self, session: str, attempt: str) -> None:
        """As the guard of the statement has it."""
        row = self.rows[task_of(attempt)]
        if (row.holder, f"{task_of(attempt)}.{row.attempt}") != (session, attempt):
            return
        if row.state == "COMPLETED":
            raise Broken(f"{attempt} was recorded twice")
        row.state, row.holder, row.counted = "COMPLETED", None, row.counted + 1

    def hand_back(self, session: str, attempt: str) -> None:
        row = self.rows[task_of(attempt)]
        if (row.holder, f"{task_of(attempt)}.{row.attempt}") == (session, attempt):
            row.state, row.holder = "READY", None

    # A course.

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step(calm=False)
        for _ in range(600):
            self.step(calm=True)
            if self.is_over():
                return
        raise Broken(f"not over: {self.rows} {[w.hands for w in self.workers]}")

    def is_over(self) -> bool:
        done = all(row.state == "COMPLETED" for row in self.rows.values())
        free = not any(worker.hands for worker in self.workers)
        return done and free and not any(desk.hands for desk in self.desks.values())

    def step(self, *, calm: bool) -> None:
        self.now += 1
        if not calm:
            self.mischief()
        for worker in self.workers:
            self.work(worker)
        self.hear()
        self.commit(all=calm)
        self.claim()
        self.look()

    def mischief(self) -> None:
        if self.random.random() < 0.06:
            self.cut(self.random.choice(self.workers))
        if self.random.random() < 0.02:
            self.restart()
        if self.random.random() < 0.015:
            self.kill(self.random.choice(self.workers))
        if self.random.random() < 0.01:
            self.now += LEASE  # everybody was asleep

    def cut(self, worker: Worker) -> None:
        if worker.wire is not None:
            worker.wire.is_cut = True
            worker.wire = None

    def restart(self) -> None:
        """The server dies: what was not committed never was, and nobody is told of what was."""
        if self.random.random() < 0.5:
            self.commit(all=True, silent=True)
        self.pending.clear()
        self.desks.clear()
        self.wires.clear()
        for worker in self.workers:
            self.cut(worker)

    def kill(self, worker: Worker) -> None:
        self.cut(worker)
        worker.hands.clear()
        self.sessions += 1
        worker.session, worker.is_fenced = f"s{self.sessions}", False

    # Workers.

    def work(self, worker: Worker) -> None:
        if worker.wire is None or worker.wire.is_cut:
            if self.random.random() < 0.5:
                worker.wire = Wire()
                self.say_up(worker, worker.hello(), *self.unheard(worker))
            return
        for message in due(worker.wire.down, self.now):
            if message == "fenced":
                self.kill(worker)
                return
            worker.take(message, self)
        for attempt in [a for a, state in worker.hands.items() if state == "running"]:
            if self.random.random() < 0.3:
                worker.hands[attempt] = "ended"
                self.say_up(worker, Ended(attempt, Ending.SUCCEEDED))
        if self.now - worker.last_lease >= BEAT / 2:
            worker.last_lease = self.now
            self.say_up(worker, Lease(tuple(worker.hands)))

    def unheard(self, worker: Worker) -> list[Ended]:
        return [
            Ended(attempt, Ending.SUCCEEDED)
            for attempt, state in worker.hands.items()
            if state == "ended"
        ]

    def say_up(self, worker: Worker, *messages: Any) -> None:
        if worker.wire is not None:
            told = (worker.session, worker.wire, messages)
            worker.wire.up.append((self.now + self.random.randint(0, 2), told))

    def say_down(self, session: str, *messages: Any) -> None:
        if (wire := self.wires.get(session)) is not None and not wire.is_cut:
            at = self.now + self.random.randint(0, 2)
            wire.down += [(at, each) for each in messages]

    # The server.

    def hear(self) -> None:
        for worker in self.workers:
            wire = worker.wire
            if wire is None or wire.is_cut:
                continue
            for session, whence, messages in due(wire.up, self.now):
                self.frame(session, whence, messages)

    def frame(self, session: str, wire: Wire, messages: Sequence[Any]) -> None:
        if session in self.gone:
            wire.down.append((self.now, "fenced"))
            return
        self.heard[session] = self.now
        if isinstance(messages[0], Hello):
            self.wires[session] = wire
            desk = self.desks[session] = self.make_desk(BEAT)
            desk.hands = {each.attempt: each for each in self.hands(session)}
            back, forget = desk.greet(messages[0])
            self.say_down(session, Welcome(1, BEAT, LEASE, 0.0, 1.0, "", tuple(forget)))
            self.write(session, back)
            messages = messages[1:]
        if (found := self.desks.get(session)) is None:
            return
        heard = found.hear(messages, self.now)
        self.say_down(session, *heard.answers)
        self.write(session, heard.changes)

    def hands(self, session: str) -> list[Hand]:
        return [
            Hand(f"{task}.{row.attempt}", task, row.since)
            for task, row in self.rows.items()
            if row.holder == session and row.state == "IN_PROGRESS"
        ]

    def write(self, session: str, changes: Sequence[Change]) -> None:
        if changes:
            self.pending.append(Pending(session, changes))

    def commit(self, *, all: bool, silent: bool = False) -> None:
        while self.pending and (all or self.random.random() < 0.6):
            word = self.pending.pop(0)
            over = [self.carry_out(word.session, each) for each in word.changes]
            if not silent:
                desk = self.desks.get(word.session)
                for attempt in filter(None, over):
                    if desk is not None:
                        desk.closed(attempt)
                ends = [e.hand.attempt for e in word.changes if isinstance(e, Over)]
                self.say_down(word.session, Have(tuple(ends)))

    def carry_out(self, session: str, change: Change) -> str | None:
        match change:
            case Over(hand):
                self.close(session, hand.attempt)
                return hand.attempt
            case HandedBack(hand):
                self.hand_back(session, hand.attempt)
                return hand.attempt
            case Gone():
                self.gone.add(session)
        return None

    def claim(self) -> None:
        for session, desk in self.desks.items():
            wire = self.wires.get(session)
            if session in self.gone or wire is None or wire.is_cut:
                continue
            ready = [task for task, row in self.rows.items() if row.state == "READY"]
            for task in ready[: max(0, SLOTS - desk.taken)]:
                if self.random.random() < 0.5:
                    self.offer(session, desk, task)

    def offer(self, session: str, desk: Desk, task: int) -> None:
        row = self.rows[task]
        row.state, row.attempt, row.holder, row.since = (
            "IN_PROGRESS",
            row.attempt + 1,
            session,
            self.now,
        )
        attempt = f"{task}.{row.attempt}"
        if self.random.random() < 0.05:
            return  # the answer to the claim was lost
        desk.offered(Hand(attempt, task, self.now))
        self.say_down(session, Offer(attempt, "cut", None, "r", "t", "y", 1, "k"))

    def look(self) -> None:
        """Leases, and what the rows say of all hands."""
        for session in {row.holder for row in self.rows.values() if row.holder}:
            if self.now - self.heard.get(session, 0.0) > LEASE:
                self.gone.add(session)
                for row in self.rows.values():
                    if row.holder == session:
                        row.state, row.holder = "READY", None
        for session, desk in self.desks.items():
            if self.now % BEAT == 0 and session not in self.gone:
                heard: Heard = desk.compare(self.hands(session), self.now)
                self.say_down(session, *heard.answers)
                self.write(session, heard.changes)
        for session in self.gone & self.desks.keys():
            self.say_down(session, "fenced")
            del self.desks[session]


def due(queue: list[tuple[float, Any]], now: float) -> list[Any]:
    """What has arrived: nothing overtakes what was said before it."""
    found = []
    while queue and queue[0][0] <= now:
        found.append(queue.pop(0)[1])
    return found


def task_of(attempt: str) -> int:
    return int(attempt.partition(".")[0])
