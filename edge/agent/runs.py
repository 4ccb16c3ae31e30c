"""The workstation's own runs within the agent: handed over, started here, and asked of.

The engine is loaded when it is first needed: a machine that only carries out commands does without.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from edge import invocations
from edge.agent import labels, orders
from edge.agent.core import Effect, Objection, Steer
from edge.agent.local import Refused, text
from edge.messages import Command, Ended, Offer, Refusal, Stock, Verb

if TYPE_CHECKING:
    from edge.agent.micro.engine import Engine, Over, Send
    from edge.agent.program import Program

TIDY_EVERY = 600.0  # seconds
DAY = 86_400.0
USUAL, MOST = 50, 500  # runs that are shown
STEERING = (Verb.HOLD, Verb.RESUME, Verb.STOP, Verb.KILL)
HERE = "the workstation"  # who asks, where nobody says a name
Answer = TypeVar("Answer")


class Runs:
    def __init__(self, program: "Program") -> None:
        self.program = program
        self.loaded: Engine | None = None
        self.tidy_at = 0.0
        # Whoever asks peers is told within the turn, and writes into the same transaction.
        self.sent: Callable[[Send], None] | None = None
        self.over: Callable[[Over], None] | None = None
        if goes_on(program):
            self.load()
        program.core.on_run = self.commanded
        self.add_verbs()

    @property
    def engine(self) -> "Engine":
        return self.loaded or self.load()

    @property
    def known_here(self) -> "Engine | None":
        """None where there has never been anything, so that asking for it loads nothing."""
        return self.engine if self.loaded or has_tables(self.program) else None

    def load(self) -> "Engine":
        from edge.agent.micro.alone import Here
        from edge.agent.micro.engine import Engine
        from edge.agent.micro.ledger import Ledger

        program, config = self.program, self.program.config
        here = Here(
            name=config.name,
            labels=config.labels,
            peers=program.known_peers,
            object_to=self.complaint,
        )
        self.loaded = Engine(program.core, Ledger(program.book), here)
        return self.loaded

    def complaint(self, task: str, command: Mapping[str, Any]) -> str | None:
        """What the owner has against a command of a run."""
        given = invocations.opened(command, None)
        found = {**given, "argv": orders.found(given.get("argv"))}
        objection = self.program.examine(found)
        return None if objection is None else objection[1]

    # What is handed over

    def object_to(self, offer: Offer) -> Objection:
        """Said when it is offered, and not midway: what cannot be done here alone."""
        from edge.agent.micro.engine import UNFIT

        try:
            self.engine.examine(offer)
        except UNFIT as error:
            return Refusal.UNABLE, str(error)
        return None

    def spawn(self, offer: Offer) -> bool:
        """False if it is no run."""
        if not is_process(offer):
            return False
        self.program.happened(lambda now, clock: self.do(self.engine.take(offer, at(clock))))
        return True

    def steer(self, steer: Steer) -> bool:
        """False if the attempt stands for no run."""
        if self.loaded is None or self.loaded.ledger.of_attempt(steer.attempt) is None:
            return False
        self.program.happened(
            lambda now, clock: self.do(
                self.engine.steer(steer.attempt, steer.verb, at(clock), by="server")
            )
        )
        return True

    def commanded(self, command: Command, clock: float) -> tuple[str, list[Effect]]:
        why, effects = self.engine.commanded(command, clock)
        return why, self.do(effects)

    def stocked(self, stock: Stock, clock: float) -> list[Effect]:
        if not (stock.types or stock.schedules) and self.known_here is None:
            labels.keep(self.program.book, stock.labels)
            return []  # nothing, and there was nothing
        return self.do(self.engine.stocked(stock, at(clock)))

    def ended(self, ended: Ended, clock: float) -> list[Effect]:
        return self.do(self.engine.ended(ended, at(clock)))

    def do(self, effects: Sequence[Any]) -> list[Effect]:
        """What is no effect of the agent's core goes to whoever waits for it."""
        from edge.agent.micro.engine import Over, Send

        for each in effects:
            if isinstance(each, Send) and self.sent is not None:
                self.sent(each)
            elif isinstance(each, Over) and self.over is not None:
                self.over(each)
        return [each for each in effects if not isinstance(each, Send | Over)]

    # Time

    def known(self) -> frozenset[str]:
        return frozenset() if self.loaded is None else self.loaded.known()

    def awake(self, clock: float) -> list[Effect]:
        return [] if self.loaded is None else self.do(self.loaded.awake(at(clock)))

    def look(self, clock: float) -> list[Effect]:
        if self.loaded is None:
            return []
        if clock >= self.tidy_at:
            self.tidy_at = clock + TIDY_EVERY
            self.loaded.tidy(at(clock))
        if (self.loaded.next_due() or clock + 1) > clock and not self.is_waiting():
            return []
        return self.do(self.loaded.wake(at(clock)))

    def is_waiting(self) -> bool:
        """Something is ready, and a slot has become free."""
        engine = self.loaded
        return engine is not None and engine.agent.free() > 0 and bool(engine.ledger.ready(1))

    def until_due(self, clock: float) -> float:
        """Seconds until something is to be looked at."""
        due = None if self.loaded is None else self.loaded.next_due()
        return float("inf") if due is None else max(0.0, due - clock)

    def forget(self) -> None:
        """What could not be written is not known."""
        if self.loaded is not None:
            self.loaded.ledger.types.clear()

    # Whoever asks on the machine

    def add_verbs(self) -> None:
        verbs = self.program.verbs
        verbs.add("start", self.start)
        verbs.add("runs", self.shown)
        verbs.add("coming", lambda given: self.coming())
        verbs.add("run", lambda given: self.engine_shows(run_of(given)))
        verbs.add("types", lambda given: self.types())
        verbs.add("questions", lambda given: self.questions())
        verbs.add("answer", self.answer)
        verbs.add("event", self.event)
        for verb in STEERING:
            verbs.add(f"{verb.value}-run", self.steering(verb))
        verbs.add("reset-run", self.reset)

    async def start(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        type, version, input = text(given, "type"), given.get("version"), given.get("input") or {}
        by, key = text(given, "by", HERE), str(given.get("key") or "") or None

        def act(clock: float) -> UUID:
            return self.engine.start(type, input, at(clock), by=by, version=version, key=key)

        return {"run": str(await self.decided(act))}

    async def answer(self, given: Mapping[str, Any]) -> None:
        id, approve = given.get("id"), given.get("approve")
        if not isinstance(id, int) or not isinstance(approve, bool):
            raise Refused("id: a number is due, and approve: true or false")
        by, note = text(given, "by", HERE), str(given.get("note") or "")
        data = given.get("data") or {}

        def act(clock: float) -> None:
            self.engine.answer(id, at(clock), approve=approve, by=by, data=data, note=note)

        await self.decided(act)

    async def event(self, given: Mapping[str, Any]) -> None:
        """Of a program on this machine: a sensor, a button, a scanner."""
        type, key = text(given, "type"), str(given.get("key") or "")
        source = text(given, "source", f"workstation:{self.program.config.name}")
        id = str(given.get("id") or self.engine.world.new_id())
        data = given.get("data")

        def act(clock: float) -> None:
            self.engine.happen(type, at(clock), key=key, data=data, source=source, id=id)

        await self.decided(act)

    def steering(self, verb: Verb) -> Callable[[Mapping[str, Any]], Any]:
        async def steer(given: Mapping[str, Any]) -> None:
            run, by, why = run_of(given), text(given, "by", HERE), str(given.get("why") or "")

            def act(clock: float) -> None:
                self.engine.command(run, verb, at(clock), by=by, why=why)

            await self.decided(act)

        return steer

    async def reset(self, given: Mapping[str, Any]) -> None:
        """One that has ended begins anew."""
        run, by = run_of(given), text(given, "by", HERE)

        def act(clock: float) -> None:
            self.engine.ask(run, lambda board: board.retry(by, whole=True), at(clock))

        await self.decided(act)

    async def decided(self, act: Callable[[float], Answer]) -> Answer:
        """Returns when it is written down; the engine refuses in words of its own."""
        from edge.agent.micro.engine import UNFIT

        found: list[Answer] = []

        def happens(now: float, clock: float) -> list[Effect]:
            try:
                found.append(act(clock))
            except UNFIT as refusal:
                raise Refused(str(refusal), getattr(refusal, "remedy", None) or "") from None
            return self.do(self.engine.effects)

        await self.program.decided(happens)
        return found[0]

    # What is there

    def shown(self, given: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """What goes on, and what has ended within a day; with `all`, everything that is known."""
        if (engine := self.known_here) is None:
            return []
        limit = given.get("limit")
        most = min(max(limit, 1), MOST) if isinstance(limit, int) else USUAL
        return engine.shown(most, since=None if given.get("all") else time.time() - DAY)

    def engine_shows(self, run: UUID) -> Mapping[str, Any]:
        from scheduler.domain.errors import NotFound

        try:
            return self.engine.show(run)
        except NotFound as missing:
            raise Refused(str(missing)) from None

    def types(self) -> Sequence[Mapping[str, Any]]:
        return [] if self.known_here is None else self.engine.types()

    def coming(self) -> Sequence[Mapping[str, Any]]:
        return [] if self.known_here is None else self.engine.coming()

    def questions(self) -> Sequence[Mapping[str, Any]]:
        return [] if self.known_here is None else self.engine.questions()


def is_process(offer: Offer) -> bool:
    return isinstance(offer.invocation.get("process"), Mapping)


def has_tables(program: "Program") -> bool:
    rows = program.book.db.execute("select 1 from sqlite_schema where name = 'micro_keys'")
    return rows.fetchone() is not None


def goes_on(program: "Program") -> bool:
    """Whether something of its own waits for nobody's asking: a run, or a time."""
    if not has_tables(program):
        return False
    [[found]] = program.book.db.execute(
        """select exists (select 1 from micro_runs where not is_over)
               or exists (select 1 from micro_schedules where next_at is not null)"""
    )
    return bool(found)


def at(clock: float) -> datetime:
    return datetime.fromtimestamp(clock, UTC)


def run_of(given: Mapping[str, Any]) -> UUID:
    try:
        return UUID(text(given, "run"))
    except ValueError:
        raise Refused(f"run: {str(given['run'])[:80]!r} is no run's id") from None
