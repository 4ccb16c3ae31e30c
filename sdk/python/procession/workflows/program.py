"""Carries out the code of one workflow. Pure: it does the same wherever and whenever it runs.

In go what was known of it, and results as they become known; out come intents. Results are given to
the code one at a time, in the order in which the server kept them, and the code is run until it is
quiet between two of them. That is all the time that passes here, and the same in a replay.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from procession.workflows.calls import (
    OWN,
    STOP,
    Ask,
    Begin,
    Diverged,
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
    Work,
)
from procession.workflows.errors import Forgotten, NotJson, Stopped, Stuck
from procession.workflows.faults import fault_of, raised_again
from procession.workflows.loop import FlowLoop, running
from procession.workflows.values import keepable

Body = Callable[[], Coroutine[Any, Any, Any]]
Give = Callable[[Outcome], None]
SHORTEST = 0.001  # seconds of a sleep
NOTHING = "nothing: the code waits for something else"


@dataclass(slots=True)
class Call:
    kind: str
    name: str
    give: Give
    # A wait can be interrupted; a step that has begun is let finish.
    interrupt: Callable[[BaseException], None] | None = None


class Program:
    def __init__(self, body: Body, told: Told, known: Iterable[Known] = ()) -> None:
        self.told = told
        self.loop: FlowLoop = cast("Any", FlowLoop)(self)  # what it refuses is set elsewhere
        self.over = False
        self.steps: set[int] = set()
        self.waits: set[int] = set()
        self.memory: dict[Any, Any] = {}
        self._body = body
        self._known = {call.seq: call for call in known}
        self._last = max(self._known, default=0)
        self._order = 0
        self._seq = 1  # of the call that comes next
        self._calls: dict[int, Call] = {}
        self._early: dict[int, tuple[int, Outcome]] = {}
        self._unkept: dict[int, Done] = {}
        self._moments: set[int] = set()
        self._asked: dict[int, Ask] = {}
        self._given_up: set[int] = set()
        self._left: set[int] = set()  # of these, those that the server sees to and is told of
        self._gated: dict[int, Begin | Ask | Record] = {}
        self._said: list[Intent] = []
        self.is_replaying = True
        self._holding = False
        self._stopping = False
        self._stop_told = False
        self._stop_due: Stopped | None = None

    # What the one that carries it out says.

    def begin(self) -> None:
        """Go through what is known, then on."""
        with running(self.loop):
            self._task = self.loop.create_task(self._body())
        self._run()
        for call in sorted_by_order(self._known.values()):
            if not self.over:
                self._replay(call)
        for call in list(self._known.values()):
            if call.order is None and call.seq not in self._calls and not self.over:
                self._diverge(call.seq, describe(call.kind, call.name), NOTHING)
        self.is_replaying = False
        self._settle()

    def give(self, seq: int, order: int, outcome: Outcome | None = None) -> None:
        """A call is over, or what the program did itself is kept. Those that come early wait."""
        if order <= self._order or self.over:
            return
        if outcome is None:
            outcome = self._unkept[seq].outcome if seq in self._unkept else Outcome()
        self._early[order] = (seq, outcome)
        while self._order + 1 in self._early and not self.over:
            self._give(self._order + 1, *self._early.pop(self._order + 1))
        self._settle()

    def finish(self, done: Done) -> None:
        """A step came to something: it counts when it is kept."""
        if self.over or done.seq not in self.steps:
            return
        self.steps.discard(done.seq)
        self._keep(done)

    def hold(self) -> None:
        """Let nothing new out. What is under way goes on."""
        self._holding = not self._stopping

    def resume(self) -> None:
        self._holding = False
        self._settle()

    def stop(self, reason: str) -> None:
        """Interrupt the code where it waits. That is kept, so a replay is interrupted there too."""
        if self._stopping or self._stop_told or self.over:
            return
        self._stopping, self._holding = True, False
        seq = self._next()
        self._calls[seq] = Call("moment", STOP, lambda outcome: self._interrupt(reason))
        self._keep(Done(seq, "moment", STOP, Outcome({"reason": reason})))
        self._settle()

    def forget(self) -> None:
        self.over = True
        self.loop.forget()
        self._calls.clear()

    def take(self) -> list[Intent]:
        said, self._said = self._said, []
        return said

    def again(self) -> list[Intent]:
        """What has to be said again where it may have been lost on the way."""
        if self.over:
            return []
        return [*map(Record, self._unkept.values()), *self._asked.values(), *self.left]

    @property
    def left(self) -> list[GiveUp]:
        """Calls that nobody waits for any more, and that are not known to be over."""
        return [GiveUp(seq) for seq in sorted(self._left)]

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way here, and all that was done is kept."""
        return not (self.over or self.steps or self._unkept or self.is_replaying)

    @property
    def is_held(self) -> bool:
        return self._holding

    @property
    def has_gated(self) -> bool:
        """Something is to be done that has not been let out."""
        return bool(self._gated)

    @property
    def rests(self) -> tuple[int, ...] | None:
        """What it waits for, if nothing is left to do here; none of it while it is held."""
        if not self.is_quiet:
            return None
        if self._holding:
            return ()
        return tuple(sorted(self.waits)) or None

    def sleeps(self, least: float) -> bool:
        """Whether all that it waits for are sleeps, and none shorter than that."""
        asked = [self._asked.get(seq) for seq in self.waits]
        return all(each is not None and each.task.get("sleep", 0) >= least for each in asked)

    # What the code asks for.

    async def step(self, name: str, work: Work) -> Any:
        seq, future = self._open("step", name)
        if not self._is_over(seq):
            self._gate(seq, Begin(seq, name, work))
        try:
            return await future
        except asyncio.CancelledError:
            self._drop(seq)
            raise

    async def ask(self, name: str, task: Mapping[str, Any]) -> Any:
        """Have the server see to a task, and wait for what it comes to."""
        seq, future = self._open("call", name)
        self._wait(seq, name, task)
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(seq)
            raise

    async def keep(
        self,
        kind: str,
        name: str,
        *,
        effect: Mapping[str, Any],
    ) -> None:
        """Tell others something, once, together with the record that it was told."""
        seq, future = self._open(kind, name)
        if not self._is_over(seq):
            self._gate(seq, Record(Done(seq, kind, name, Outcome(), effect=effect)))
        await future

    def moment(self, name: str, draw: Callable[[], Any]) -> Any:
        """A value from outside, drawn once. Nothing leaves the program until it is kept."""
        seq = self._make("moment", name, lambda outcome: None)
        if seq in self._known:
            return self._known[seq].outcome.output
        value = keepable(draw(), name)
        self._moments.add(seq)
        self._keep(Done(seq, "moment", name, Outcome(value)))
        return value

    def patched(self, name: str) -> bool:
        """Whether the new way is to be gone: not where the old one was gone already."""
        patches: dict[str, bool] = self.memory.setdefault("patches", {})
        if name not in patches:
            patches[name] = self._patch(name)
        return patches[name]

    def timer(
        self, seconds: float, ring: Callable[[], None], sleeper: asyncio.Future[Any] | None
    ) -> Callable[[], None]:
        """For the loop: `asyncio.sleep` and `asyncio.timeout` are durable."""

        def give(outcome: Outcome) -> None:
            if outcome.ok or sleeper is None:
                ring()
            else:
                settle(sleeper, outcome)

        seq = self._make("call", "sleep", give, sleeper)
        self._wait(seq, "sleep", {"sleep": max(seconds, SHORTEST)})
        return lambda: self._give_up(seq)

    # How a call comes to be.

    def _open(self, kind: str, name: str) -> tuple[int, asyncio.Future[Any]]:
        future = self.loop.create_future()
        return self._make(kind, name, lambda outcome: settle(future, outcome), future), future

    def _make(
        self, kind: str, name: str, give: Give, future: asyncio.Future[Any] | None = None
    ) -> int:
        if self.over:
            raise Forgotten
        self._raise_if_due()
        seq = self._next()
        known = self._known.get(seq)
        if known is not None and not same(known, kind, name):
            self._diverge(seq, describe(known.kind, known.name), describe(kind, name))
            raise Forgotten
        interrupt = interrupter(future) if future is not None and kind == "call" else None
        self._calls[seq] = Call(kind, name, give, interrupt)
        return seq

    def _next(self) -> int:
        while is_stop(self._known.get(self._seq)):
            self._seq += 1
        self._seq += 1
        return self._seq - 1

    def _is_over(self, seq: int) -> bool:
        known = self._known.get(seq)
        return known is not None and known.order is not None

    def _wait(self, seq: int, name: str, task: Mapping[str, Any]) -> None:
        if self._is_over(seq):
            return
        self.waits.add(seq)
        if seq not in self._known:
            self._gate(seq, Ask(seq, name, task))

    def _keep(self, done: Done) -> None:
        self._unkept[done.seq] = done
        self._said.append(Record(done))

    def _gate(self, seq: int, intent: Begin | Ask | Record) -> None:
        self._gated[seq] = intent

    def _drop(self, seq: int) -> None:
        if self._gated.pop(seq, None) is None and seq in self.steps:
            self.steps.discard(seq)
            self._said.append(Drop(seq))

    def _give_up(self, seq: int) -> None:
        if seq in self._calls:
            self._given_up.add(seq)
        if seq not in self.waits:
            return
        self.waits.discard(seq)
        self._asked.pop(seq, None)
        if self._gated.pop(seq, None) is None:
            self._left.add(seq)
            self._said.append(GiveUp(seq))

    def _patch(self, name: str) -> bool:
        seq = self._seq_to_come()
        known = self._known.get(seq)
        if known is not None:
            if same(known, "patch", name):
                self._make("patch", name, lambda outcome: None)
                return True
            return False
        if seq < self._last:
            return False
        self._make("patch", name, lambda outcome: None)
        self._moments.add(seq)
        self._keep(Done(seq, "patch", name, Outcome()))
        return True

    def _seq_to_come(self) -> int:
        seq = self._seq
        while is_stop(self._known.get(seq)):
            seq += 1
        return seq

    # How results come to the code.

    def _replay(self, call: Known) -> None:
        if call.order is None:
            return
        if is_stop(call):
            reason = str((call.outcome.output or {}).get("reason", ""))
            self._stopping = True
            self._calls[call.seq] = Call("moment", STOP, lambda outcome: self._interrupt(reason))
        self._give(call.order, call.seq, call.outcome)

    def _give(self, order: int, seq: int, outcome: Outcome) -> None:
        self._order = order
        self._unkept.pop(seq, None)
        self._asked.pop(seq, None)
        self._left.discard(seq)
        self._moments.discard(seq)
        self.waits.discard(seq)
        self.steps.discard(seq)
        call = self._calls.pop(seq, None)
        if call is None:
            known = self._known.get(seq)
            if known is not None:
                self._diverge(seq, describe(known.kind, known.name), NOTHING)
            return
        if seq in self._given_up:  # what it came to is nobody's concern
            self._given_up.discard(seq)
            return
        if outcome.fault is not None and outcome.fault.type == "Stopped":
            self._stop_told = True
        with running(self.loop):
            call.give(outcome)
        self._run()

    def _run(self) -> None:
        """An end leaves the program, too: it waits for what was drawn before."""
        self.loop.run_until_quiet()
        if self._task.done() and not (self.over or self._moments):
            self._end()

    def _settle(self) -> None:
        """Let out what waits for its turn: not while it is held, or what was drawn is not kept."""
        if self.over or self.is_replaying:
            return
        if not (self._holding or self._moments):
            gated, self._gated = self._gated, {}
            for intent in gated.values():
                self._let_out(intent)
        if self._is_stuck():
            self._say_last(Ended("FAILED", fault=fault_of(Stuck())))

    def _let_out(self, intent: Begin | Ask | Record) -> None:
        if isinstance(intent, Record):
            self._keep(intent.done)
            return
        if isinstance(intent, Begin):
            self.steps.add(intent.seq)
        else:
            self._asked[intent.seq] = intent
        self._said.append(intent)

    def _is_stuck(self) -> bool:
        waiting = self.steps or self.waits or self._unkept or self._gated or self._early
        return not (waiting or self._holding)

    # Interruptions and ends.

    def _interrupt(self, reason: str) -> None:
        if self._stop_told:
            return
        self._stop_told = True
        waiting = [(seq, call) for seq, call in sorted(self._calls.items()) if call.interrupt]
        if not waiting:
            self._stop_due = Stopped(reason)
        for seq, call in waiting:
            self._give_up(seq)
            if call.interrupt is not None:
                with running(self.loop):
                    call.interrupt(Stopped(reason))

    def _raise_if_due(self) -> None:
        if self._stop_due is not None:
            due, self._stop_due = self._stop_due, None
            raise due

    def _end(self) -> None:
        left = [seq for seq in self.waits if seq not in self._gated]
        for seq in sorted(left):
            self._give_up(seq)
        for seq in sorted(self.steps):
            self._drop(seq)
        expected = next((call for call in left_over(self._known, self._seq)), None)
        if expected is not None:
            self._diverge(expected.seq, describe(expected.kind, expected.name), "its end")
            return
        self._say_last(verdict(self._task))

    def _diverge(self, seq: int, expected: str, found: str) -> None:
        if not self.over:
            self._said.clear()
            self._say_last(Diverged(seq, expected, found))

    def _say_last(self, intent: Ended | Diverged) -> None:
        self._said.append(intent)
        self.over = True
        self.loop.halted = True


def left_over(known: Mapping[int, Known], seq: int) -> Iterable[Known]:
    return (known[s] for s in sorted(known) if s >= seq and not is_stop(known[s]))


def sorted_by_order(calls: Iterable[Known]) -> list[Known]:
    return sorted((c for c in calls if c.order is not None), key=lambda call: call.order or 0)


def settle(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    if outcome.fault is None:
        future.set_result(outcome.output)
    else:
        future.set_exception(raised_again(outcome.fault))


def interrupter(future: asyncio.Future[Any]) -> Callable[[BaseException], None]:
    def interrupt(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    return interrupt


def same(known: Known, kind: str, name: str) -> bool:
    if known.name != name:
        return False
    return known.kind == kind if known.kind in OWN or kind in OWN else True


def is_stop(known: Known | None) -> bool:
    return known is not None and known.kind == "moment" and known.name == STOP


def describe(kind: str, name: str) -> str:
    return f"{kind} {name!r}" if kind in OWN else f"call {name!r}"


def verdict(task: asyncio.Task[Any]) -> Ended:
    try:
        return Ended("SUCCEEDED", keepable(task.result(), "the workflow's output"))
    except asyncio.CancelledError:
        return Ended("FAILED", fault=Fault("CancelledError", "the workflow cancelled itself"))
    except NotJson as error:
        return Ended("FAILED", fault=fault_of(error))
    except BaseException as error:
        return Ended("STOPPED" if was_stopped(error) else "FAILED", fault=fault_of(error))


def was_stopped(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(was_stopped(part) for part in error.exceptions)
    return isinstance(error, Stopped)
