"""A server's side of workflows in memory, with a clock that jumps to whatever comes next.

Whenever a run has nothing left to do its program is put away and replayed later, as a worker does
it, so code that is not the same each time is found without being looked for.
"""

import asyncio
import heapq
import itertools
import random
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from procession.testing.runs import Diverged, Point, Run, Unanswered
from procession.workflows import calls
from procession.workflows.calls import (
    Ask,
    Begin,
    Done,
    Drop,
    Ended,
    Fault,
    GiveUp,
    Intent,
    Known,
    Outcome,
    Record,
    Told,
)
from procession.workflows.carrying import Means, ThisStep, carry_out
from procession.workflows.defining import Workflow
from procession.workflows.faults import fault_of
from procession.workflows.program import Program
from procession.workflows.values import encode

Length = float | timedelta
Task = Mapping[str, Any]
Answer = Callable[[Task], Any]
BEGINNING = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
LATE = Outcome(fault=Fault("TimedOut", "it did not come in time"))


class World:
    """Everything that a server has for workflows, in memory and in no time.

    `kill` is asked at each `Point` whether the program dies there. `choose` picks which of several
    steps that go on at a time comes to its end next.
    """

    def __init__(
        self,
        *workflows: Workflow[Any, Any],
        begin: datetime = BEGINNING,
        kill: Callable[[Point], bool] = lambda point: False,
        choose: Callable[[int], int] = lambda many: 0,
        seed: int = 1,
    ) -> None:
        self.workflows: dict[str, Workflow[Any, Any]] = {}
        self.serve(*workflows)
        self.runs: dict[str, Run] = {}
        self.sent: list[tuple[str, Any, Any]] = []
        self._kill, self._choose = kill, choose
        self._chance = random.Random(seed)
        self._time = begin.timestamp()
        self._numbers = itertools.count(1)
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._answers: dict[str, Answer] = {}

    # What a test says

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self._time, UTC)

    def serve(self, *workflows: Workflow[Any, Any]) -> None:
        """Children of these names are runs of them."""
        self.workflows |= {workflow.name: workflow for workflow in workflows}

    def start(
        self, workflow: Workflow[Any, Any], input: Mapping[str, Any] | None = None, /, **more: Any
    ) -> Run:
        """A run of it, with the input as a map or as keywords. `go` lets it go on."""
        self.workflows.setdefault(workflow.name, workflow)
        given = encode({**(input or {}), **more}, "input")
        name = f"run-{next(self._numbers)}"
        run = Run(name, workflow, given, self._chance.getrandbits(62))
        self.runs[name] = run
        return run

    def run(
        self, workflow: Workflow[Any, Any], input: Mapping[str, Any] | None = None, /, **more: Any
    ) -> Any:
        """A run of it to its end: what it gives, or raises."""
        run = self.start(workflow, input, **more)
        self.go()
        return run.result()

    def go(self, length: Length | None = None) -> None:
        """Let everything go on until nothing is left to come, or for so long."""
        until = None if length is None else self._time + seconds(length)
        try:
            complete(self._go(until))
        except BaseException:
            self.crash()
            raise

    def after(self, length: Length, action: Callable[[], object]) -> None:
        """Do something when so much time has passed."""
        self._at(self._time + seconds(length), action)

    def event(self, type: str, key: str | None = None, data: Any = None) -> None:
        """Something has happened: whoever waits for it goes on."""
        event = {"type": type, "key": key, "data": encode(data)}
        for run, seq, task in list(self._waiting("wait_for")):
            wait = task["wait_for"]
            if wait["event"] == type and wait.get("key") in (None, key):
                self._resolve(run, seq, Outcome(event))

    def send(self, run: Run | str, topic: str, body: Any) -> None:
        to = run if isinstance(run, Run) else self.runs[run]
        to.mail.setdefault(topic, deque()).append(encode(body, "body"))
        self._deliver(to)

    def answer(self, kind: str, answer: Answer) -> None:
        """What tasks of a kind (`http`, `approval`, `action`, `run`, `process:NAME` …) come to:
        the function gets the task; what it raises is what the task fails with."""
        self._answers[kind] = answer

    def stop(self, run: Run, reason: str = "") -> None:
        run.stop_reason = reason
        run.wakes = True
        if run.program is not None:
            run.program.stop(reason)

    def hold(self, run: Run) -> None:
        run.is_held = True
        if run.program is not None:
            run.program.hold()

    def resume(self, run: Run) -> None:
        run.is_held = False
        run.wakes = True
        if run.program is not None:
            run.program.resume()

    def crash(self) -> None:
        """All programs die. What they had not said is lost."""
        for run in self.runs.values():
            self._put_away(run)

    # How it goes on

    async def _go(self, until: float | None) -> None:
        while True:
            while await self._tick():
                pass
            if not self._due or (until is not None and self._due[0][0] > until):
                break
            self._time, _, ring = heapq.heappop(self._due)
            ring()
        self._time = self._time if until is None else max(self._time, until)

    async def _tick(self) -> bool:
        """Whether there was anything to do."""
        for run in list(self.runs.values()):
            if run.is_over:
                continue
            if run.program is not None:
                await self._carry_on(run, run.program)
                return True
            if run.wakes and (not run.is_held or run.stop_reason is not None):
                self._wake(run)
                return True
        return False

    def _wake(self, run: Run) -> None:
        told = Told(
            run=run.id,
            key=run.id,
            now=lambda: self._time,
            seed=lambda: run.seed,
            progress=lambda percent, message, data: run.progress.append((percent, message)),
        )
        run.replays += bool(run.known)
        run.program = Program(lambda: run.workflow.body(run.input), told, run.known.values())
        run.begun.clear()
        run.program.begin()
        if run.stop_reason is not None:
            run.program.stop(run.stop_reason)

    async def _carry_on(self, run: Run, program: Program) -> None:
        """One thing: what the program wants, a step of it, or nothing any more."""
        if intents := program.take():
            for intent in intents:
                if run.program is program:
                    self._do(run, program, intent)
        elif run.begun:
            await self._step(run, program)
        elif program.rests is not None:
            self._put_away(run)
            run.wakes = False
        elif not program.over:
            raise RuntimeError(f"{run.id} neither goes on nor rests")

    def _put_away(self, run: Run) -> None:
        program, run.program = run.program, None
        run.begun.clear()
        run.wakes = True
        if program is not None:
            program.forget()

    def _do(self, run: Run, program: Program, intent: Intent) -> None:
        match intent:
            case Begin():
                run.begun.append(intent)
            case Drop(seq):
                run.begun = deque(begin for begin in run.begun if begin.seq != seq)
            case Record(done):
                self._keep(run, program, done)
            case Ask(seq, name, task):
                self._ask(run, seq, name, task)
            case GiveUp(seq):
                run.asked.pop(seq, None)
            case Ended():
                self._end(run, intent)
            case calls.Diverged(seq, expected, found):
                run.diverged = Diverged(seq, expected, found)
                self._end(run, Ended("DIVERGED"))

    async def _step(self, run: Run, program: Program) -> None:
        begin = run.begun[at := self._choose(len(run.begun))]
        del run.begun[at]
        means = Means(now=lambda: self._time, sleep=self._pass)
        program.finish(await carry_out(begin, ThisStep(program.told, begin.seq, begin.name), means))

    async def _pass(self, length: float) -> None:
        self._time += length

    def _keep(self, run: Run, program: Program, done: Done) -> None:
        if self._dies(run, done, "before"):
            return
        run.order += 1
        run.done.append(done)
        run.known[done.seq] = Known(done.seq, done.kind, done.name, run.order, done.outcome)
        self._effect(run, done)
        if not self._dies(run, done, "after"):
            program.give(done.seq, run.order, done.outcome)

    def _dies(self, run: Run, done: Done, side: Any) -> bool:
        dies = self._kill(Point(run.id, done.seq, done.kind, done.name, side))
        if dies:
            self._put_away(run)
        return dies

    def _effect(self, run: Run, done: Done) -> None:
        effect = done.effect or {}
        if done.kind == "send":
            self._send(effect)
        elif done.kind == "set":
            run.shown.setdefault(effect["key"], []).append(effect["value"])
            self._show(run, effect["key"])
        elif done.kind == "write":
            run.streams.setdefault(effect["stream"], []).append(effect["value"])

    def _send(self, effect: Mapping[str, Any]) -> None:
        to = self.runs.get(effect["run"])
        self.sent.append((effect["run"], effect["topic"], effect["body"]))
        if to is None:
            return
        key = (effect["topic"], effect.get("key"))
        if key[1] is None or key not in to.keys:
            to.keys.add(key)
            self.send(to, effect["topic"], effect["body"])

    def _end(self, run: Run, ended: Ended) -> None:
        run.status, run.output, run.fault = ended.ending, ended.output, ended.fault
        self._put_away(run)
        for waiting, seq, task in list(self._waiting("result")):
            if task["result"]["run"] == run.id:
                self._resolve(waiting, seq, outcome_of(run))
        for waiting, seq, task in list(self._waiting("process")):
            if task.get("child") == run.id:
                self._resolve(waiting, seq, outcome_of(run, as_child=True))

    # What the server sees to

    def _ask(self, run: Run, seq: int, name: str, task: Task) -> None:
        if seq in run.known:
            return
        run.known[seq] = Known(seq, kind_of(task), name)
        run.asked[seq] = task
        self._see_to(run, seq, task)
        if (timeout := task.get("timeout")) is not None and seq in run.asked:
            self._at(self._time + timeout, lambda: self._resolve(run, seq, LATE))

    def _see_to(self, run: Run, seq: int, task: Task) -> None:
        match kind_of(task):
            case "sleep":
                until = self._time + task["sleep"]
                self._at(until, lambda: self._resolve(run, seq, Outcome()))
            case "wait_for":
                pass
            case "recv":
                self._deliver(run)
            case "get":
                self._show(self._known_run(task["get"]["run"]), task["get"]["key"])
            case "result":
                other = self._known_run(task["result"]["run"])
                if other.is_over:
                    self._resolve(run, seq, outcome_of(other))
            case "process":
                self._start_child(run, seq, task)
            case kind:
                self._resolve(run, seq, self._answered(kind, task))

    def _start_child(self, run: Run, seq: int, task: Task) -> None:
        process = task["process"]
        workflow = self.workflows.get(process["type"])
        if workflow is None:
            self._resolve(run, seq, self._answered(f"process:{process['type']}", task))
            return
        child = self.start(workflow, process.get("input"))
        if process.get("wait", True):
            run.asked[seq] = {**task, "child": child.id}
        else:
            self._resolve(run, seq, Outcome({"run": child.id, "status": "RUNNING"}))

    def _answered(self, kind: str, task: Task) -> Outcome:
        if kind not in self._answers:
            raise Unanswered(
                f"nobody said what {kind!r} comes to: world.answer({kind!r}, lambda task: …)"
            )
        try:
            return Outcome(encode(self._answers[kind](task), f"the answer to {kind}"))
        except Exception as error:
            return Outcome(fault=fault_of(error))

    def _known_run(self, name: str) -> Run:
        if name not in self.runs:
            raise Unanswered(f"there is no run {name!r} in this world")
        return self.runs[name]

    def _deliver(self, run: Run) -> None:
        for seq, task in list(run.asked.items()):
            mail = run.mail.get(task["recv"]["topic"]) if "recv" in task else None
            if mail:
                self._resolve(run, seq, Outcome(mail.popleft()))

    def _show(self, run: Run, key: str) -> None:
        if not run.shown.get(key):
            return
        for waiting, seq, task in list(self._waiting("get")):
            if task["get"] == {"run": run.id, "key": key}:
                self._resolve(waiting, seq, Outcome(run.shown[key][-1]))

    def _waiting(self, kind: str) -> Iterator[tuple[Run, int, Task]]:
        for run in self.runs.values():
            for seq, task in run.asked.items():
                if kind in task:
                    yield run, seq, task

    def _resolve(self, run: Run, seq: int, outcome: Outcome) -> None:
        if run.asked.pop(seq, None) is None:
            return
        run.order += 1
        known = run.known[seq]
        run.known[seq] = Known(seq, known.kind, known.name, run.order, outcome)
        run.wakes = True
        if run.program is not None:
            run.program.give(seq, run.order, outcome)

    def _at(self, when: float, ring: Callable[[], object]) -> None:
        heapq.heappush(self._due, (when, next(self._numbers), ring))


def kind_of(task: Task) -> str:
    return next(key for key in task if key not in ("timeout", "retries", "on", "queue"))


def outcome_of(run: Run, *, as_child: bool = False) -> Outcome:
    if run.status == "SUCCEEDED":
        output = {"run": run.id, "status": run.status, "output": run.output}
        return Outcome(output if as_child else run.output)
    if run.status == "STOPPED":
        return Outcome(fault=Fault("Failed", f"run {run.id} was stopped"))
    why = "" if run.fault is None else f": {run.fault.type}: {run.fault.message}"
    return Outcome(fault=Fault("Failed", f"run {run.id} failed{why}"))


def seconds(length: Length) -> float:
    return length.total_seconds() if isinstance(length, timedelta) else length


def complete(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, also where a loop runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    errors: list[BaseException] = []
    thread = threading.Thread(target=attempt, args=(work, errors))
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def attempt(work: Coroutine[Any, Any, None], errors: list[BaseException]) -> None:
    try:
        asyncio.run(work)
    except BaseException as error:
        errors.append(error)
