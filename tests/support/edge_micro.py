"""A workstation by itself: its book on a disk, and a clock and a runner that are given.

What dies with the agent is its memory alone: the disk stays, and so does the runner with its
commands. A `Crash` may come at any step at which something has, or has not yet, been written.
"""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from edge import attempts
from edge.agent.core import Agent, Erase, Profile, Spawn, Steer
from edge.agent.micro.alone import Here
from edge.agent.micro.engine import Effects, Engine, Over, Send
from edge.agent.micro.ledger import Case, Ledger
from edge.agent.store import DiskBook
from edge.desk import Change, Desk, Greeted, Noted, Station, Taken
from edge.messages import NUMBERED, Body, Ended, Frame, Lane, Offer, RunTold, Verb
from scheduler.domain import process_types
from scheduler.domain.definitions import ProcessType
from scheduler.domain.rehearsal import BEGIN, WELL, Given
from scheduler.domain.states import Reason
from scheduler.domain.tasks import Task

MOST_STEPS = 100_000
FINAL = (Verb.STOP, Verb.KILL)
AWAITED = (Reason.SIGNAL, Reason.APPROVAL)


class Crash(Exception):
    """The agent is dead."""


@dataclass
class Running:
    offer: Offer
    ended: Ended | None = None


@dataclass
class Runner:
    """What it has begun it knows until it is told to forget it."""

    begun: dict[str, Running] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)

    def spawn(self, offer: Offer) -> None:
        if offer.attempt not in self.begun:
            self.begun[offer.attempt] = Running(offer)
            self.starts.append(offer.attempt)

    def living(self) -> list[str]:
        return [name for name, each in self.begun.items() if each.ended is None]


class SetWorld:
    """Ids that rise, and chance that is always the same."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock, self.count = clock, 0

    def new_id(self) -> UUID:
        self.count += 1
        milliseconds = int(self.clock().timestamp() * 1000)
        return UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | self.count)

    def chance(self) -> float:
        return 0.5


class Bench:
    def __init__(
        self,
        folder: Path,
        *types: ProcessType,
        given: Mapping[str, Given] | None = None,
        slots: int = 1,
        now: datetime = BEGIN,
        here: Here | None = None,
        crash_at: int | None = None,
    ) -> None:
        self.path, self.types, self.slots = folder / "book.db", types, slots
        self.given, self.here = given or {}, here or Here(name="saw")
        self.now, self.runner = now, Runner()
        self.world = SetWorld(lambda: self.now)
        self.steps, self.crash_at, self.crashes = 0, crash_at, 0
        self.asked: dict[str, Any] = {}
        self.sent: list[Send] = []
        self.over: dict[UUID, str] = {}
        self.open()
        for each in types:
            self.engine.ledger.put_type(each, 1)
        self.book.commit()

    # A life

    def open(self) -> None:
        self.book = DiskBook(self.path)
        self.agent = Agent(self.book, Profile(slots=self.slots))
        self.engine = Engine(self.agent, Ledger(self.book), self.here, self.world)

    def die(self) -> None:
        """What was not committed has never been."""
        self.crashes += 1
        self.book.close()
        self.open()
        known = self.runner.begun.keys() | self.engine.known()
        self.turn(lambda: [*self.agent.awake(known), *self.engine.awake(self.now)])
        for each in list(self.runner.begun.values()):
            if each.ended is not None:
                self.tell_ended(each.ended)

    def close(self) -> None:
        self.book.close()

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.crash_at:
            raise Crash

    def turn(self, act: Callable[[], Any]) -> Any:
        """The book first; then each effect. At each of these points it may die."""
        found = act()
        effects = found if isinstance(found, list) else self.engine.effects
        self.step()
        self.book.commit()
        self.step()
        for effect in effects:
            self.carry_out(effect)
            self.step()
        return found

    def carry_out(self, effect: Any) -> None:
        match effect:
            case Spawn(offer):
                self.runner.spawn(offer)
            case Send():
                self.sent.append(effect)
            case Steer(attempt, verb):
                self.steer(attempt, verb)
            case Erase(attempt):
                self.runner.begun.pop(attempt, None)
            case Over(run, outcome):
                self.over[run] = outcome.ending.value

    def steer(self, attempt: str, verb: Verb) -> None:
        running = self.runner.begun.get(attempt)
        if running is not None and running.ended is None and verb in FINAL:
            running.ended = Ended(attempt, "STOPPED", self.stamp, error="stopped on request")

    # What happens

    @property
    def stamp(self) -> float:
        return self.now.timestamp()

    def start(self, type: str, input: Mapping[str, Any] | None = None, **more: Any) -> UUID:
        found: UUID = self.turn(
            lambda: self.engine.start(type, input or {}, self.now, by="tester", **more)
        )
        return found

    def tell_ended(self, ended: Ended) -> Effects:
        found: Effects = self.turn(lambda: self.engine.ended(ended, self.now))
        return found

    def ask(self, run: UUID, act: Callable[[Any], Any]) -> None:
        self.turn(lambda: self.engine.ask(run, act, self.now))

    def play(self, *, until: datetime | None = None) -> None:
        """Everything that can happen happens, until nothing does or the time has come."""
        for _ in range(MOST_STEPS):
            if not self.survive(until):
                return
        raise AssertionError("it does not come to an end")

    def survive(self, until: datetime | None) -> bool:
        try:
            return self.happen(until)
        except Crash:
            self.die()
            return True

    def happen(self, until: datetime | None) -> bool:
        """One thing; False when there is none."""
        if unheard := [each.ended for each in self.runner.begun.values() if self.is_unheard(each)]:
            assert unheard[0] is not None
            self.tell_ended(unheard[0])
        elif living := self.runner.living():
            self.finish(living[0])
        elif waiting := next(self.waiting(), None):
            self.answer(*waiting)
        else:
            return self.wait(until)
        return True

    def is_unheard(self, running: Running) -> bool:
        job = self.book.jobs.get(running.offer.attempt)
        return running.ended is not None and job is not None and job.phase != "ended"

    def finish(self, attempt: str) -> None:
        own = attempts.own(attempt)
        assert own is not None
        task = self.task(own.run, own.position)
        self.asked[task.name] = task.invocation
        outcome = self.of(task).outcome(own.number)
        self.runner.begun[attempt].ended = Ended(
            attempt,
            outcome.ending.value,
            self.stamp,
            exit_code=outcome.exit_code,
            error=outcome.error,
            output=None if outcome.output is None else json.loads(outcome.output),
        )

    def waiting(self) -> Iterator[tuple[UUID, Task]]:
        """What nobody here would ever answer."""
        for run in self.living():
            for task in self.case(run).tasks:
                if task.reason in AWAITED:
                    yield run, task

    def answer(self, run: UUID, task: Task) -> None:
        self.asked[task.name] = task.invocation
        outcome = self.of(task).outcome(task.attempt)
        self.ask(run, lambda board: board.deliver(task.id, task.attempt, outcome))

    def wait(self, until: datetime | None) -> bool:
        due = self.engine.next_due()
        if due is None or (until is not None and due > until.timestamp()):
            return False
        self.now = max(self.now + timedelta(milliseconds=1), datetime.fromtimestamp(due, UTC))
        self.turn(lambda: self.engine.wake(self.now))
        return True

    # What is there

    def of(self, task: Task) -> Given:
        return self.given.get(task.name) or self.given.get(task.name.partition("[")[0]) or WELL

    def living(self) -> list[UUID]:
        found = self.engine.ledger.rows("select id from micro_runs where not is_over order by id")
        return [UUID(run) for (run,) in found]

    def case(self, run: UUID) -> Case:
        found = self.engine.ledger.load(run)
        assert found is not None
        return found

    def task(self, run: UUID, position: int) -> Task:
        return next(each for each in self.case(run).tasks if each.position == position)

    def states(self, run: UUID) -> dict[str, str]:
        return {task.name: task.state.value for task in self.case(run).tasks}

    def told(self) -> list[Body]:
        """The whole outbox, in its order."""
        return [body for lane in NUMBERED for _, body in self.items(lane)]

    def items(self, lane: Lane) -> list[tuple[int, Body]]:
        return list(self.book.items(lane, 0, self.book.last(lane)))

    def mirrored(self, run: UUID) -> "Mirrored":
        found = Mirrored()
        for body in self.told():
            if isinstance(body, RunTold) and body.run == str(run):
                found.hear(body)
        return found


@dataclass
class Mirrored:
    """What somebody knows of a run who has been told everything, in its order."""

    row: dict[str, Any] = field(default_factory=dict)
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    attempts: list[tuple[int, int]] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    revision: int = 0

    def hear(self, told: RunTold) -> None:
        assert told.revision in (self.revision, self.revision + 1)
        self.revision = told.revision
        self.row |= json.loads(told.row)
        for text in told.tasks:
            row = json.loads(text)
            self.tasks[row["position"]] = row
        for text in told.attempts:
            row = json.loads(text)
            self.attempts.append((row["position"], row["number"]))
        self.events += [json.loads(text)["seq"] for text in told.events]


class Listener:
    """The server's end over a line that loses frames; what it hears it hears once."""

    def __init__(self, seed: int, loss: float) -> None:
        self.chance, self.loss = random.Random(seed), loss
        self.station = Station()
        self.told: list[Body] = []
        self.frames = 0

    def is_lost(self) -> bool:
        self.frames += 1
        return self.chance.random() < self.loss

    def hear(self, frame: Frame, clock: float) -> Frame | None:
        if self.is_lost():
            return None
        desk = Desk(self.station, clock)
        session = desk.hear(frame)
        for change in desk.changes:
            self.keep(change)
        return None if self.is_lost() else Frame(session, tuple(desk.answers))

    def keep(self, change: Change) -> None:
        match change:
            case Greeted(session, hello):
                self.station = replace(
                    self.station, session=session, greeting=hello.greeting, lineage=hello.lineage
                )
            case Taken(lane, seq):
                have = list(self.station.have)
                have[lane] = seq
                self.station = replace(self.station, have=tuple(have), safe=tuple(have))
            case Noted(body):
                self.told.append(body)


def deliver(bench: Bench, listener: Listener) -> float:
    """Until the server has everything; how many seconds that takes by the clock of the line."""
    now, agent = 0.0, bench.agent
    waiting = agent.connect(now, bench.stamp)
    while bench.book.jobs or bench.book.have(Lane.RESULTS) < bench.book.last(Lane.RESULTS):
        frame = agent.frame(waiting)
        bench.book.commit()
        answer = listener.hear(frame, bench.stamp) if frame.messages else None
        now += 0.02 if answer else 1.0
        if agent.link is None:
            waiting = agent.connect(now, bench.stamp)
        elif answer is not None:
            waiting = agent.receive(answer, now, bench.stamp)
        else:
            waiting = agent.tick(now, bench.stamp)
    return now


def a_type(text: str) -> ProcessType:
    [found] = process_types.parse(text)
    return found
