"""Whom all else asks about the workstation's own runs.

Each method decides in the book's transaction and answers effects, as the agent's core does: whoever
calls it commits the book first and carries the effects out then.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from edge import attempts, invocations
from edge.agent import labels as known_labels
from edge.agent.book import Job
from edge.agent.core import FINAL, Agent, Effect, Spawn, Steer
from edge.agent.micro import alone, asking, events, places, starting, telling, timetable, wishes
from edge.agent.micro.alone import Here
from edge.agent.micro.decision import HOLDER, Decision, obey
from edge.agent.micro.ledger import About, Case, Ledger, stamp, task_id
from edge.agent.micro.working import Work, position_of
from edge.agent.micro.world import ThisWorld, World
from edge.attempts import Own
from edge.messages import Command, Ended, Happened, Lane, Offer, Phase, Stock, Ticked, Verb
from executor.base import Ending, Outcome
from scheduler.domain import process_types
from scheduler.domain.board import Board
from scheduler.domain.definitions import ProcessType
from scheduler.domain.errors import Conflict, NotFound, Refusal
from scheduler.domain.states import RunState, TaskState
from scheduler.domain.tasks import Task

log = logging.getLogger(__name__)

PROCESS = "process"  # the part of an offer that asks for a whole run
HTTP = "http"
VERBS: Mapping[Verb, str] = {
    Verb.HOLD: "hold",
    Verb.RESUME: "resume",
    Verb.STOP: "stop",
    Verb.KILL: "kill",
}
WANTED: Mapping[str, Verb] = {
    "stop": Verb.STOP,
    "kill": Verb.KILL,
    "freeze": Verb.HOLD,
    "thaw": Verb.RESUME,
}
# Whatever is wrong with what somebody says: it ends no agent.
UNFIT = (Refusal, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
KEEP = 7 * 86_400.0  # seconds that a run is shown after its end, once the server has it
MOST_KEPT = 500  # runs


@dataclass(frozen=True, slots=True)
class Send:
    """A process that another workstation is to carry out; its result comes back as `ended`."""

    attempt: str
    station: str
    call: Mapping[str, Any]  # type, version, input, labels
    start_before: float | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """A run has ended that somebody else than the server waits for."""

    run: UUID
    outcome: Outcome


Effects: TypeAlias = list[Effect | Send | Over]
Act: TypeAlias = Callable[[Board], Any]


def is_process(offer: Offer) -> bool:
    """Whether a whole run is handed over."""
    return isinstance(offer.invocation.get(PROCESS), Mapping)


class Engine:
    def __init__(self, agent: Agent, ledger: Ledger, here: Here, world: World | None = None):
        self.agent, self.ledger, self.here = agent, ledger, here
        self.book = ledger.book
        self.world = world or ThisWorld()
        self.effects: Effects = []
        self.own_labels = here.labels
        self.label()

    @contextmanager
    def deciding(self, now: datetime) -> Iterator[Decision]:
        """One decision. What it comes to lies in the book and in `effects`; nothing of it does if
        it is refused."""
        self.effects = []
        decision = Decision(self.ledger, self.world, now, self.here, self.closed())
        with self.ledger.whole():
            yield decision
            self.close(decision)

    # After a start.

    def known(self) -> frozenset[str]:
        """Attempts that go on here without the runner knowing of them."""
        return frozenset(self.ledger.handed_over())

    def awake(self, now: datetime) -> Effects:
        """After `Agent.awake`: what had been decided and not yet begun is begun."""
        begun: Effects = []
        for job in list(self.book.jobs.values()):
            if attempts.is_own(job.attempt) and job.phase is Phase.ACCEPTED:
                self.book.put_job(replace(job, phase=Phase.STARTING))
                begun.append(self.spawn(job.offer))
        return begun + self.wake(now)

    # Runs.

    def take(self, offer: Offer, now: datetime) -> Effects:
        """A run that the server hands over. What cannot be done ends its attempt at once."""
        if self.ledger.of_attempt(offer.attempt) is not None:
            return []
        try:
            with self.deciding(now) as decision:
                order = self.read(offer, decision)
                run = starting.start(decision, order)
                self.agent.began(offer.attempt, 0, decision.stamp)
            if order.about.attempt is None:
                self.agent.ended(begun(offer.attempt, run, now))
        except UNFIT as error:
            self.effects = []
            why = f"{offer.invocation[PROCESS].get('type')!r} cannot be taken: {error}"
            self.agent.ended(refused(offer.attempt, why, now))
        return self.effects

    def examine(self, offer: Offer) -> tuple[ProcessType, int, dict[str, Any]]:
        """The type, its version and the input. Raises where it cannot be carried out here alone."""
        given: Mapping[str, Any] = offer.invocation[PROCESS]
        for each in given.get("types") or ():
            self.put_type(each)
        definition, version = self.ledger.type(str(given["type"]), given.get("version"))
        alone.require(self.ledger, definition, self.here)
        input = process_types.check_input(definition, dict(given.get("input") or {}))
        return definition, version, input

    def read(self, offer: Offer, decision: Decision) -> starting.Order:
        definition, version, input = self.examine(offer)
        given: Mapping[str, Any] = offer.invocation[PROCESS]
        return starting.Order(
            type=definition.name,
            version=version,
            input=input,
            labels=given.get("labels") or {},
            timeout=timedelta(seconds=given["timeout"]) if given.get("timeout") else None,
            about=About(
                triggered_by=f"task {offer.attempt}",
                created=decision.stamp,
                attempt=None if given.get("wait") is False else offer.attempt,
                system=given.get("system") or {},
                record=given.get("record") or {},
            ),
        )

    def put_type(self, told: Mapping[str, Any]) -> None:
        definition = process_types.from_document(told["document"])
        self.ledger.put_type(definition, int(told["version"]))

    def start(
        self,
        type: str,
        input: Mapping[str, Any],
        now: datetime,
        *,
        by: str,
        version: int | None = None,
        labels: Mapping[str, str] | None = None,
        run: UUID | None = None,
        key: str | None = None,
    ) -> UUID:
        """A run that is asked for here: once, however often it is with the same id or key. Raises
        a Refusal, and then nothing has been written."""
        known = run if run and self.ledger.load(run) else self.ledger.of_key(key)
        if known is not None:
            self.effects = []
            return known
        if closed := self.closed():
            remedy = "undrain it first" if self.book.shut.draining else None
            raise Conflict(closed, remedy=remedy)
        definition, number = self.ledger.in_use(type, version)
        alone.require(self.ledger, definition, self.here)
        with self.deciding(now) as decision:
            about = About(triggered_by=by, created=decision.stamp)
            order = starting.Order(
                type=type, version=number, input=input, labels=labels or {}, about=about, run=run
            )
            begun = starting.start(decision, order)
            self.ledger.remember(key, begun, decision.stamp)
        return begun

    def closed(self) -> str:
        """Why nothing new is started here; what has been goes on."""
        shut = self.book.shut
        if not shut.draining and not self.agent.unfit:
            return ""
        why = shut.why if shut.draining else self.agent.unfit
        return "this workstation takes no new work" + (f": {why}" if why else "")

    def steer(self, attempt: str, verb: Verb, now: datetime, *, by: str, why: str = "") -> Effects:
        """The run that an attempt of the server stands for."""
        run = self.ledger.of_attempt(attempt)
        return [] if run is None else self.obey(run, verb, now, by=by, why=why)

    def obey(self, run: UUID, verb: Verb, now: datetime, *, by: str, why: str = "") -> Effects:
        """Of two who ask for the same the second changes nothing."""
        case = self.ledger.load(run)
        if case is None or (verb is Verb.STOP and case.run.state is RunState.STOPPING):
            return []
        with self.deciding(now) as decision:
            decision.obey(run, VERBS[verb], by, why or None)
            decision.follow()
        return self.effects

    def command(self, run: UUID, verb: Verb, now: datetime, *, by: str, why: str = "") -> Effects:
        """The same for whoever is to hear that it cannot be."""
        return self.ask(run, lambda board: obey(board, VERBS[verb], by, why or None), now)

    def commanded(self, command: Command, clock: float) -> tuple[str, list[Any]]:
        """What the server wants of a run of ours; why not, where it cannot be."""
        run, now = UUID(command.attempt), datetime.fromtimestamp(clock, UTC)
        try:
            self.case(run)
            with self.deciding(now) as decision:
                wishes.fulfil(decision, run, command)
        except UNFIT as fault:
            return str(fault) or "what was asked for cannot be understood", []
        return "", self.effects

    def ask(self, run: UUID, act: Act, now: datetime) -> Effects:
        """Whatever people may want of a run; raises a Refusal where it cannot be."""
        if self.ledger.load(run) is None:
            raise NotFound(f"there is no run {run} on this workstation")
        with self.deciding(now) as decision:
            decision.on(run, act)
        return self.effects

    def answer(
        self,
        question: int,
        now: datetime,
        *,
        approve: bool,
        by: str,
        data: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> Effects:
        with self.deciding(now) as decision:
            asking.answer(decision, question, approve=approve, by=by, data=data or {}, note=note)
        return self.effects

    def happen(
        self, type: str, now: datetime, *, key: str = "", data: Any = None, source: str, id: str
    ) -> Effects:
        """An event of this machine."""
        with self.deciding(now) as decision:
            events.happen(decision, source, id, type, key, data)
        return self.effects

    # Attempts.

    def ended(self, ended: Ended, now: datetime) -> Effects:
        """Of an own attempt; said again it changes nothing."""
        own, job = attempts.own(ended.attempt), self.book.jobs.get(ended.attempt)
        if own is None or job is None or job.phase is Phase.ENDED:
            return []
        with self.deciding(now) as decision:
            # Its slot is free for what follows.
            self.book.put_job(replace(job, phase=Phase.ENDED, printed=ended.printed))
            self.agent.sizes[ended.attempt] = ended.printed
            refused_by = self.here.name if ended.detail.get("refused") else None
            outcome = outcome_of(ended)
            decision.on(own.run, lambda board: record(board, own, outcome, refused_by))
        self.file(ended.attempt, self.book.last(Lane.RESULTS))
        return self.effects

    def file(self, attempt: str, seq: int) -> None:
        """What became of it is told under this number."""
        job = self.book.jobs.get(attempt)
        if job is not None and job.phase is Phase.ENDED and job.result is None:
            self.book.put_job(replace(job, result=seq))

    # Time.

    def wake(self, now: datetime) -> Effects:
        """What waited for a time that has come goes on, and what is ready begins."""
        with self.deciding(now) as decision:
            places.lapse(decision)
            timetable.fire(decision)
            for run in self.ledger.due(decision.stamp):
                decision.on(run, wake)
        return self.effects

    def next_due(self) -> float | None:
        return self.ledger.next_due()

    def tidy(self, now: datetime) -> int:
        """Forget runs that the server has, and that nobody looks at any more."""
        have = self.book.have(Lane.RESULTS)
        return self.ledger.forget(have, now.timestamp() - KEEP, MOST_KEPT)

    # What is there.

    def shown(self, most: int, *, since: float | None = None) -> list[dict[str, Any]]:
        """What goes on, and what has ended since then; without that, everything."""
        found = self.ledger.rows(
            """select id from micro_runs
                where not is_over or ?1 is null or finished >= ?1
                order by is_over, created desc, id desc limit ?2""",
            *(since, most),
        )
        return [self.summary(self.case(UUID(run))) for (run,) in found]

    def case(self, run: UUID) -> Case:
        found = self.ledger.load(run)
        if found is None:
            raise NotFound(f"there is no run {run} on this workstation")
        return found

    def summary(self, case: Case) -> dict[str, Any]:
        run = case.run
        busy = [task for task in case.tasks if task.state is TaskState.IN_PROGRESS]
        parked = [task for task in case.tasks if task.state is TaskState.WAITING]
        now = (busy or parked)[:1]
        definition = self.ledger.known(run.type, run.type_version)
        return {
            "run": str(run.id),
            "type": run.type,
            "record": run.record_id,
            "state": run.state.value,
            "task": now[0].name if now else None,
            "text": description_of(definition, now[0].name) if now else "",
            "since": case.about.created,
            "ended": stamp(run.finished_at),
            "over": run.total - run.open,
            "total": run.total,
            "error": run.error,
            "triggered_by": case.about.triggered_by,
            "attempt": case.about.attempt,
        }

    def show(self, run: UUID) -> dict[str, Any]:
        case = self.case(run)
        names = ("name", "kind", "state", "reason", "attempt", "error", "exit_code")
        tasks = [telling.task_row(task, case.outputs.get(task.position)) for task in case.tasks]
        shown = [{name: task[name] for name in (*names, "output", "due_at")} for task in tasks]
        rest = {"input": case.run.input, "output": telling.parsed_text(case.result)}
        questions = asking.of_run(self.ledger, run)
        return {**self.summary(case), **rest, "tasks": shown, "questions": questions}

    def types(self) -> list[dict[str, Any]]:
        found = self.ledger.rows("select name, max(version) from micro_types group by name")
        return [self.type_shown(name, version) for name, version in found]

    def type_shown(self, name: str, version: int) -> dict[str, Any]:
        definition, _ = self.ledger.type(name, version)
        return {
            "name": name,
            "version": version,
            "description": definition.description,
            "input": definition.input_schema,
        }

    def questions(self) -> list[dict[str, Any]]:
        """Those that are open, the oldest first."""
        return [self.question_shown(each) for each in asking.open_ones(self.ledger)]

    def question_shown(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        case = self.case(UUID(asked["run"]))
        [task] = [task for task in case.tasks if task.position == asked["position"]]
        who = tuple(asked["who"])
        may = asking.may_be_answered_here(who)
        return {
            **asked,
            "type": case.run.type,
            "record": case.run.record_id,
            "task": task.name,
            "obstacle": None if may else f"it is for {', '.join(who)}",
        }

    def coming(self, most: int = 20) -> list[dict[str, Any]]:
        """What schedules will start here, the soonest first."""
        found = [each for each in timetable.all_of(self.ledger) if each.next_at is not None]
        found.sort(key=lambda each: (each.next_at, each.id))
        return [{"type": each.told["type"], "at": each.next_at} for each in found[:most]]

    # What it has when it is alone.

    def stocked(self, stock: Stock, now: datetime) -> Effects:
        """Types stay, since runs may be of them; schedules are these and no others."""
        for text in stock.types:
            try:
                self.put_type(json.loads(text))
            except UNFIT as error:
                log.warning("a type cannot be kept", extra={"reason": str(error)[:300]})
        wanted: dict[int, timetable.Told] = {}
        for text in stock.schedules:
            try:
                told = json.loads(text)
                timetable.check(told)
                wanted[int(told["id"])] = told
            except UNFIT as error:
                log.warning("a schedule cannot be kept", extra={"reason": str(error)[:300]})
        timetable.replace_all(self.ledger, wanted, now)
        self.ledger.put_retired(stock.retired)
        known_labels.keep(self.book, stock.labels)
        self.label()
        return self.wake(now)

    def label(self) -> None:
        """What people call it counts before what it says of itself, as long as they do."""
        self.here = replace(self.here, labels={**self.own_labels, **known_labels.kept(self.book)})

    # What a decision comes to.

    def close(self, decision: Decision) -> None:
        decision.follow()
        self.begin_ready(decision)
        for work in decision.touched():
            self.steer_tasks(work)
            self.tell(decision, work)
        told: list[Happened | Ticked] = [*decision.happened, *decision.ticked]
        for each in told:
            self.book.add(Lane.RESULTS, each)

    def begin_ready(self, decision: Decision) -> None:
        """As many as there are slots. One that may not begin leaves its slot to another."""
        while ready := self.ledger.ready(self.agent.free()):
            for run, position, since in ready:
                work = decision.work(run)
                if work is not None:
                    self.begin(decision, work, work.board.tasks[position], since)
            decision.follow()

    def begin(self, decision: Decision, work: Work, task: Task, since: float) -> None:
        if task.state is not TaskState.READY:
            return
        own = decision.begin(work, task)
        before = self.start_before(work, task, since)
        late, refused = lateness(before, decision.stamp), self.refusal(own, work, task)
        if why := late or refused:
            outcome = Outcome(ending=Ending.FAILED, counted=False, error=why, retryable=False)
            refused_by = None if late else self.here.name
            decision.on(own.run, lambda board: record(board, own, outcome, refused_by))
            return
        offer = Offer(str(own), self.invocation(work, task), before, on_lost="wait")
        self.book.put_job(Job(offer, Phase.STARTING))
        self.effects.append(self.spawn(offer))

    def start_before(self, work: Work, task: Task, since: float) -> float | None:
        definition, _ = self.ledger.type(work.case.run.type, work.case.run.type_version)
        placement = placement_of(definition, task.name)
        within = placement.start_before if placement else None
        return since + within.total_seconds() if within else None

    def refusal(self, own: Own, work: Work, task: Task) -> str | None:
        if task.kind in alone.COMMANDS:
            return self.here.object_to(task.name, self.invocation(work, task))
        return None

    def invocation(self, work: Work, task: Task) -> Mapping[str, Any]:
        run = work.case.run
        about = {"run": str(run.id), "type": run.type, "task": task.name, "decided_here": True}
        given: Mapping[str, Any] = task.invocation or {}
        if task.kind in (HTTP, PROCESS):
            station = (task.placement or {}).get("on", {}).get("workstation")
            return {task.kind: {**given, "on": station}, invocations.ABOUT: about}
        env = {"PROCESSION_RUN": str(run.id), "PROCESSION_TASK": task.name}
        return {**invocations.as_command(task.kind, given, env), invocations.ABOUT: about}

    def spawn(self, offer: Offer) -> Spawn | Send:
        call = offer.invocation.get(PROCESS)
        if call is None:
            return Spawn(offer)
        return Send(offer.attempt, call["on"], call, offer.start_before)

    def steer_tasks(self, work: Work) -> None:
        """What is wanted of commands from now on."""
        for task in work.changed.values():
            before, wanted = work.wanted.get(task.position), task.wanted
            job = self.book.jobs.get(str(Own(task.run_id, task.position, task.attempt)))
            if job is None or task.state is not TaskState.IN_PROGRESS or wanted in (before, None):
                continue
            verb = WANTED[wanted]
            self.book.put_job(replace(job, wanted=verb))
            self.effects.append(Steer(job.attempt, verb))

    def tell(self, decision: Decision, work: Work) -> None:
        """The outbox has it with the decision itself."""
        case = work.case
        case.revision += 1
        self.ledger.put_run(case)
        seq = 0
        for told in telling.told(self.ledger, work, decision.stamp):
            seq = self.book.add(Lane.RESULTS, told)
        self.ledger.told(case.run.id, seq)
        for attempt in work.attempts:
            self.file(str(Own(case.run.id, position_of(attempt.task_id), attempt.number)), seq)
        if case.run.state.is_final:
            self.conclude(case, decision.stamp)

    def conclude(self, case: Case, at: float) -> None:
        """Whoever waits for the run's end hears of it."""
        if case.about.attempt is not None:
            job = self.book.jobs.get(case.about.attempt)
            is_wanted = job is not None and job.wanted in FINAL
            self.agent.ended(end_of(case, case.about.attempt, at, is_wanted=is_wanted))
        self.effects.append(Over(case.run.id, starting.ending(case)))


def description_of(definition: ProcessType | None, name: str) -> str:
    tasks = () if definition is None else alone.all_tasks(definition)
    return next((task.description for task in tasks if task.name == name), "")


def lateness(before: float | None, now: float) -> str | None:
    """Work that was to begin by now never does."""
    late = 0.0 if before is None else now - before
    return f"expired: it was to begin {late:.0f} s ago" if late > 0 else None


def placement_of(definition: Any, name: str) -> Any:
    plain = name.partition("[")[0]
    found = [task for task in alone.all_tasks(definition) if task.name == plain]
    return found[0].placement if found else None


def wake(board: Board) -> None:
    board.expire()
    board.wake()


def record(board: Board, own: Own, outcome: Outcome, refused_by: str | None = None) -> None:
    id = task_id(own.position)
    if not board.record(id, own.number, HOLDER, outcome, refused_by):
        board.late(id, own.number, outcome)


def outcome_of(ended: Ended) -> Outcome:
    known = {each.value for each in Ending}
    output = None if ended.output is None else json.dumps(ended.output)
    return Outcome(
        ending=Ending(ended.ending) if ended.ending in known else Ending.FAILED,
        counted=ended.counted,
        exit_code=ended.exit_code,
        error=ended.error,
        retryable=ended.retryable,
        output=output,
        detail=dict(ended.detail) or None,
    )


def begun(attempt: str, run: UUID, now: datetime) -> Ended:
    """For a task that does not wait for its child's end."""
    return Ended(attempt, Ending.SUCCEEDED.value, now.timestamp(), output={"run": str(run)})


def refused(attempt: str, why: str, now: datetime) -> Ended:
    at = now.timestamp()
    return Ended(attempt, Ending.FAILED.value, at, error=why, counted=False, retryable=False)


def end_of(case: Case, attempt: str, at: float, *, is_wanted: bool) -> Ended:
    """What the run came to, as the result of the server's attempt that it was handed over for."""
    outcome = starting.ending(case)
    is_stopped = case.run.state is RunState.STOPPED and is_wanted
    return Ended(
        attempt=attempt,
        ending=Ending.STOPPED.value if is_stopped else outcome.ending.value,
        at=at,
        error=outcome.error,
        retryable=outcome.retryable,
        output=None if outcome.output is None else json.loads(outcome.output),
    )
