"""Carries out workflows in a worker: between the program of each and the server.

Whatever a program wants is said at once and in one breath; frames gather what all of them say. A
program that only waits is put away after a moment: it is offered again when there is something.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from procession import messages
from procession.hosting import Line
from procession.messages import Command, FlowHeard, Offer, Published
from procession.threads import Threads
from procession.workflows import telling
from procession.workflows.calls import (
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
)
from procession.workflows.carrying import Means, ThisStep, carry_out
from procession.workflows.defining import Workflow
from procession.workflows.errors import Doubtful, WorkflowError
from procession.workflows.faults import fault_of
from procession.workflows.program import Program
from procession.workflows.telling import done, known, outcome

log = logging.getLogger(__name__)

LINGER = 0.2  # seconds that a program which only waits stays in memory
SLEEP = 1.0  # seconds from which on a sleep is not waited for in memory at all
LONG = 1.0  # seconds after which code that does not wait is told of
MANY = 500  # calls in one message


class FlowHost:
    """Serves workflows in a worker: `Worker.host(FlowHost([order, refund]))`."""

    def __init__(
        self,
        workflows: Iterable[Workflow[Any, Any]] = (),
        *,
        linger: float = LINGER,
        threads: int = 32,
    ) -> None:
        self.workflows: dict[str, Workflow[Any, Any]] = {}
        self.add(*workflows)
        self.linger = linger
        self.threads = Threads(threads)
        self.means = Means(now=time.time, sleep=asyncio.sleep, threads=self.threads)

    def add(self, *workflows: Workflow[Any, Any]) -> None:
        for workflow in workflows:
            if self.workflows.setdefault(workflow.name, workflow) is not workflow:
                raise WorkflowError(f"there are two workflows called {workflow.name!r}")

    def published(self) -> Sequence[Published]:
        return [Published(each.definition, each.version) for each in self.workflows.values()]

    def begin(self, offer: Offer, line: Line) -> "Carried":
        workflow = self.workflows.get(offer.action)
        if workflow is None:
            raise LookupError(f"this worker does not serve the workflow {offer.action!r}")
        return Carried(self, workflow, offer, line)


class Carried:
    """One attempt of a workflow in hand."""

    def __init__(
        self, host: FlowHost, workflow: Workflow[Any, Any], offer: Offer, line: Line
    ) -> None:
        self.host, self.workflow, self.offer, self.line = host, workflow, offer, line
        self.loop = asyncio.get_running_loop()
        self.known: list[Known] = []
        self.early: list[Command] = []
        self.unheard: list[FlowHeard] = []  # what came before all of its history
        self.program: Program | None = None
        self.steps: dict[int, tuple[asyncio.Task[None], ThisStep]] = {}
        self.parking: tuple[int, ...] | None = None
        self.left: list[GiveUp] = []  # what it said before that
        self.resting: asyncio.TimerHandle | None = None
        self.stopping: asyncio.TimerHandle | None = None
        self.is_closing = self.is_over = False
        # Not before the worker knows that this is in hand: it may be over at once.
        self.loop.call_soon(self.begin_if_known)

    # What the worker tells

    def heard(self, message: FlowHeard) -> None:
        if isinstance(message, messages.History):
            self.known += [known(call) for call in message.calls]
            self.begin_if_known()
        elif isinstance(message, messages.Parked):
            self.put_away()
        elif self.program is None:
            self.unheard.append(message)
        elif self.parking is None:
            self.give(self.program, message)
            self.pump()

    def commanded(self, command: Command) -> None:
        if self.program is None:
            self.early.append(command)
        elif self.parking is None:
            self.obey(self.program, command)
            self.pump()

    def met(self) -> None:
        if self.parking is not None:
            self.carry(self.left)
            self.line.say(messages.Park(self.offer.attempt, self.parking))
        elif self.program is None:
            self.hand_back("its history was lost on the way")
        else:
            self.carry(self.program.again())

    def lost(self, why: str) -> None:
        self.put_away()

    def closing(self) -> None:
        """Let nothing new begin; it goes on elsewhere when what is under way is kept."""
        self.is_closing = True
        if self.program is None:
            self.hand_back("the worker is about to leave")
        elif self.parking is None:
            self.program.hold()
            self.pump()

    # How it is carried out

    def begin_if_known(self) -> None:
        flow = self.offer.workflow
        if self.program is not None or self.is_over or flow is None:
            return
        if len(self.known) >= int(flow.get("calls", 0)):
            self.begin(flow.get("proof"))

    def begin(self, proof: str | None) -> None:
        offer = self.offer
        told = Told(
            run=offer.run,
            key=offer.key,
            attempt=offer.attempt,
            proof=proof,
            progress=self.progress,
        )
        program = Program(lambda: self.workflow.body(offer.payload), told, self.known)
        self.program, self.known = program, []
        self.timed(program.begin)
        for message in self.unheard:
            self.give(program, message)
        for command in self.early:
            self.obey(program, command)
        self.pump()

    def give(self, program: Program, message: FlowHeard) -> None:
        if isinstance(message, messages.Recorded):
            self.timed(lambda: give_all(program, message))
        elif isinstance(message, messages.Resolved):
            self.timed(lambda: program.give(message.seq, message.order, outcome(message)))

    def timed(self, work: Any) -> None:
        """The code runs in the worker's loop, so it must not take long between two awaits."""
        began = time.monotonic()
        work()
        if (took := time.monotonic() - began) > LONG:
            log.warning(
                "the code of a workflow held up its worker: what takes long belongs in a step",
                extra={"workflow": self.workflow.name, "run": self.offer.run, "seconds": took},
            )

    def obey(self, program: Program, command: Command) -> None:
        match command.verb:
            case "stop":
                self.limit(command.reason)
                self.timed(lambda: program.stop(command.reason))
            case "hold":
                program.hold()
            case "resume":
                program.resume()
            case "kill":
                self.end(Ended("STOPPED", fault=Fault("Stopped", command.reason)))

    def limit(self, reason: str) -> None:
        """What is not over within the grace is not waited for any more."""
        if self.offer.grace is not None and self.stopping is None:
            ended = Ended("STOPPED", fault=Fault("Stopped", reason))
            self.stopping = self.loop.call_later(self.offer.grace, self.end, ended)

    def pump(self) -> None:
        """Say and do what the program wants, and look whether it only waits."""
        program = self.program
        if program is None:
            return
        self.carry(program.take())
        if self.program is None or program.over:
            return
        self.rest(program)

    def carry(self, intents: Iterable[Intent]) -> None:
        records: list[messages.Done] = []
        for intent in intents:
            if isinstance(intent, Record):
                records.append(done(intent.done))
                continue
            self.record(records)
            self.do(intent)
        self.record(records)

    def record(self, records: list[messages.Done]) -> None:
        for at in range(0, len(records), MANY):
            self.line.say(messages.Record(self.offer.attempt, tuple(records[at : at + MANY])))
        records.clear()

    def do(self, intent: Intent) -> None:
        attempt = self.offer.attempt
        match intent:
            case Begin():
                self.begin_step(intent)
            case Drop(seq):
                self.drop(seq)
            case Ask(seq, name, task):
                self.line.say(messages.Call(attempt, seq, name, task))
            case GiveUp(seq):
                self.line.say(messages.GiveUp(attempt, seq))
            case Ended():
                self.end(intent)
            case Diverged(seq, expected, found):
                self.put_away()
                self.line.say(messages.Diverged(attempt, seq, expected, found))

    def begin_step(self, begin: Begin) -> None:
        assert self.program is not None, "only a program begins steps"
        this = ThisStep(self.program.told, begin.seq, begin.name)
        task = self.loop.create_task(self.step(begin, this), name=f"{self.offer.run}:{begin.name}")
        self.steps[begin.seq] = (task, this)

    async def step(self, begin: Begin, this: ThisStep) -> None:
        try:
            done = await carry_out(begin, this, self.host.means)
        except Doubtful as doubt:
            log.warning("a transaction may be committed or not", extra={"error": str(doubt)})
            self.hand_back("nobody knows whether a transaction was committed")
            return
        except Exception as error:
            log.exception("a step could not be carried out", extra={"step": begin.name})
            done = Done(begin.seq, "step", begin.name, Outcome(fault=fault_of(error)))
        self.steps.pop(begin.seq, None)
        if self.program is not None:
            self.program.finish(done)
            self.pump()

    def drop(self, seq: int) -> None:
        task, this = self.steps.pop(seq, (None, None))
        if task is not None and this is not None:
            this.cancelled.set()
            task.cancel()

    def progress(
        self, percent: float | None, message: str | None, data: Mapping[str, Any] | None
    ) -> None:
        self.line.say(messages.Progress(self.offer.attempt, percent, message, data))

    # How it leaves

    def rest(self, program: Program) -> None:
        if self.resting is not None:
            self.resting.cancel()
            self.resting = None
        if not program.is_quiet:
            return
        if self.is_closing and (program.has_gated or not program.waits):
            self.hand_back("the worker is about to leave; all that was done is kept")
        elif self.is_closing or program.is_held:
            self.park(program)
        elif program.rests is not None:
            linger = 0.0 if program.sleeps(SLEEP) else self.host.linger
            self.resting = self.loop.call_later(linger, self.park, program)

    def park(self, program: Program) -> None:
        if self.program is not program or self.parking is not None:
            return
        seqs = tuple(sorted(program.waits)) if self.is_closing else program.rests
        if seqs is None:
            return
        self.parking, self.left = seqs, program.left
        program.forget()
        self.line.say(messages.Park(self.offer.attempt, seqs))

    def hand_back(self, why: str) -> None:
        self.put_away()
        self.line.hand_back(why)

    def end(self, ended: Ended) -> None:
        self.put_away()
        self.line.end(telling.ended(self.offer.attempt, ended))

    def put_away(self) -> None:
        """Stop all that is under way, and keep nothing in memory."""
        self.is_over = True
        for timer in (self.resting, self.stopping):
            if timer is not None:
                timer.cancel()
        for seq in list(self.steps):
            self.drop(seq)
        program, self.program = self.program, None
        if program is not None:
            program.forget()


def give_all(program: Program, recorded: messages.Recorded) -> None:
    for kept in recorded.calls:
        program.give(kept.seq, kept.order)
