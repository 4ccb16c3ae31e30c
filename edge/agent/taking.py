"""The end that is asked: what a workstation does with the orders of its peers.

As pure as `asking`: the book is committed first, the effects are carried out then.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from edge.agent.callers import Callers
from edge.agent.peering import (
    EXPIRED,
    FINAL,
    KEPT,
    LOST,
    REFUSED,
    STEERING,
    STOPPED,
    Ask,
    FromTaker,
    Given,
    Later,
    News,
    Noted,
    Order,
    Over,
    PeerBook,
    Said,
    Taken,
    Thanks,
    Wait,
    Wish,
    allows,
    asked_at,
    is_run,
)
from edge.identity import Grant
from edge.messages import Json, Verb

MOST = 1_000  # orders of one peer at once


@dataclass(frozen=True, slots=True)
class No:
    """This machine does not take the order: for now, or for good."""

    why: str
    wait: Wait | None = None


# Effects.


@dataclass(frozen=True, slots=True)
class Say:
    line: int
    message: FromTaker


@dataclass(frozen=True, slots=True)
class Begin:
    """For the engine. Asked for twice, it begins once."""

    order: Order
    station: str


@dataclass(frozen=True, slots=True)
class Look:
    """For the engine, after a start: what has become of what it had begun?"""

    order: Order


@dataclass(frozen=True, slots=True)
class Steer:
    run: str
    verb: Verb


@dataclass(frozen=True, slots=True)
class Cut:
    line: int
    why: str


Effect: TypeAlias = Say | Begin | Look | Steer | Cut


@dataclass
class Line:
    """One connection of a peer. What it holds is lost with it."""

    grant: Grant
    is_expired: bool
    due: dict[str, float] = field(default_factory=dict)  # by run: when its result is said again
    news: dict[str, Json] = field(default_factory=dict)  # to be told
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def station(self) -> str:
        return self.grant.station


def objects_to_nothing(station: str, order: Order) -> No | None:
    return None


class Taker:
    def __init__(
        self,
        book: PeerBook,
        resend: float = 5.0,
        object_to: Callable[[str, Order], No | None] = objects_to_nothing,
    ) -> None:
        self.book, self.resend, self.object_to = book, resend, object_to
        self.lines: dict[int, Line] = {}
        self.callers = Callers()

    # The line.

    def connect(self, line: int, grant: Grant, *, is_expired: bool = False) -> list[Effect]:
        """A peer has called and proved itself. An earlier call of it is over."""
        station = grant.station
        older = [number for number, each in self.lines.items() if each.station == station]
        for number in older:
            del self.lines[number]
        self.lines[line] = Line(grant, is_expired)
        return [Cut(number, f"{station!r} has called again") for number in older]

    def told(self, callers: Callers) -> list[Effect]:
        """What the server says of who may call."""
        self.callers = callers
        shut_out = [n for n, each in self.lines.items() if callers.is_shut_out(each.grant)]
        return [Cut(number, "its workstation was revoked") for number in shut_out]

    def disconnect(self, line: int) -> None:
        self.lines.pop(line, None)

    def line_of(self, station: str) -> int | None:
        found = [number for number, each in self.lines.items() if each.station == station]
        return found[0] if found else None

    def receive(self, line: int, message: Said, now: float, clock: float) -> list[Effect]:
        if line not in self.lines:
            return []
        match message:
            case Ask():
                return self.asked(line, message, now, clock)
            case Wish(run, number, verb):
                given = self.mine(line, run)
                return self.wish(line, given, number, verb) if given else []
            case Thanks(run):
                given = self.mine(line, run)
                if given is not None and given.result is not None:
                    self.book.drop_given(run)
        return []

    def mine(self, line: int, run: str) -> Given | None:
        given = self.book.given.get(run)
        return given if given and given.station == self.lines[line].station else None

    def asked(self, line: int, ask: Ask, now: float, clock: float) -> list[Effect]:
        run = ask.order.run
        given = self.mine(line, run)
        if given is None:
            return self.unknown(line, ask, now, clock)
        if given.result is not None:
            return self.say_over(line, given.result, now)
        effects: list[Effect] = [Say(line, Taken(run))]
        if ask.wanted is not None:
            effects += self.wish(line, given, ask.wish, ask.wanted)
        return effects

    def unknown(self, line: int, ask: Ask, now: float, clock: float) -> list[Effect]:
        order = ask.order
        if not is_run(order.run) or order.run in self.book.given:
            why = f"run: a UUID of version 7 of your own is due, not {order.run!r}"
            return [Say(line, Over(order.run, REFUSED, clock, began=False, error=why))]
        if (lost := self.why_lost(ask)) is not None:
            return [Say(line, Over(order.run, LOST, clock, error=lost))]
        return self.judge(line, ask, now, clock)

    def why_lost(self, ask: Ask) -> str | None:
        if self.book.is_over(ask.order.run):
            return "its result was handed over before, and is not kept any more"
        if ask.lineage != self.book.lineage:
            return "it was asked for before this workstation lost what it had written down"
        if asked_at(ask.order.run) < self.book.horizon:
            return "it is so old that nobody knows whether it was here before"
        return None

    def judge(self, line: int, ask: Ask, now: float, clock: float) -> list[Effect]:
        order, station = ask.order, self.lines[line].station
        if sum(each.station == station for each in self.book.given.values()) >= MOST:
            return [Say(line, Later(order.run, Wait.BUSY, f"{MOST} orders of it are in hand"))]
        if (never := self.never(ask, clock)) is not None:
            self.book.put_given(Given(order, station, result=never))
            return self.say_over(line, never, now)
        if (no := self.objection(self.lines[line], order)) is None:
            return self.take(line, ask)
        if no.wait is not None:
            return [Say(line, Later(order.run, no.wait, no.why))]
        refused = Over(order.run, REFUSED, clock, began=False, error=no.why)
        self.book.put_given(Given(order, station, result=refused))
        return self.say_over(line, refused, now)

    def never(self, ask: Ask, clock: float) -> Over | None:
        """What it comes to, if it shall not begin any more."""
        run, before = ask.order.run, ask.order.start_before
        if ask.wanted in FINAL:
            why = "it was stopped before it began"
            return Over(run, STOPPED, clock, began=False, error=why)
        if before is not None and clock > before:
            why = f"it had to start {clock - before:.0f} s ago"
            return Over(run, EXPIRED, clock, began=False, error=why)
        return None

    def take(self, line: int, ask: Ask) -> list[Effect]:
        order, station = ask.order, self.lines[line].station
        self.book.put_given(Given(order, station, wish=ask.wish, wanted=ask.wanted))
        effects: list[Effect] = [Say(line, Taken(order.run)), Begin(order, station)]
        if ask.wanted is not None:
            effects += [Steer(order.run, ask.wanted), Say(line, Noted(order.run, ask.wish))]
        return effects

    def objection(self, caller: Line, order: Order) -> No | None:
        if caller.is_expired:
            why = f"the grant of {caller.station!r} has expired: it gets a new one from the server"
            return No(why, Wait.GRANT)
        types = caller.grant.types
        if not allows(types, order.type):
            allowed = ", ".join(types) or "nothing"
            return No(
                f"{caller.station!r} may start {allowed} here, and not {order.type!r}: "
                "who may start what is said on the server"
            )
        if objection := self.callers.objection(caller.grant, order.type):
            return No(objection, Wait.GRANT)
        return self.object_to(caller.station, order)

    def wish(self, line: int, given: Given, number: int, verb: Verb) -> list[Effect]:
        effects: list[Effect] = []
        if number > given.wish and verb in STEERING:
            stays = given.wanted in FINAL and verb not in FINAL
            wanted = given.wanted if stays else verb
            self.book.put_given(given := replace(given, wish=number, wanted=wanted))
            if wanted is not None and given.result is None:
                effects.append(Steer(given.run, wanted))
        return [*effects, Say(line, Noted(given.run, given.wish))]

    def say_over(self, line: int, result: Over, now: float) -> list[Effect]:
        self.lines[line].due[result.run] = now + self.resend
        return [Say(line, result)]

    # The engine.

    def began(self, run: str) -> list[Effect]:
        given = self.book.given.get(run)
        if given is not None and not given.begun:
            self.book.put_given(replace(given, begun=True))
        return []

    def news(self, run: str, news: Json) -> None:
        """The newest is told at the next tick: of several, only that one."""
        given = self.book.given.get(run)
        line = None if given is None else self.line_of(given.station)
        if line is not None:
            self.lines[line].news[run] = news

    def ended(self, over: Over, now: float) -> list[Effect]:
        given = self.book.given.get(over.run)
        if given is None or given.result is not None:
            return []
        self.book.put_given(replace(given, result=over))
        line = self.line_of(given.station)
        if line is None:
            return []
        self.lines[line].news.pop(over.run, None)
        return self.say_over(line, over, now)

    # Time.

    def awake(self) -> list[Effect]:
        """After a start: everything in hand is begun, looked after and steered again."""
        effects: list[Effect] = []
        for given in self.book.given.values():
            if given.result is not None:
                continue
            is_new = not given.begun
            effects.append(Begin(given.order, given.station) if is_new else Look(given.order))
            if given.wanted is not None:
                effects.append(Steer(given.run, given.wanted))
        return effects

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for number, line in self.lines.items():
            for run, news in line.news.items():
                line.numbers[run] = line.numbers.get(run, 0) + 1
                effects.append(Say(number, News(run, line.numbers[run], news)))
            line.news.clear()
            for run, due in list(line.due.items()):
                effects += self.again(number, run, now) if now >= due else []
        return effects

    def again(self, line: int, run: str, now: float) -> list[Effect]:
        given = self.book.given.get(run)
        if given is None or given.result is None:
            del self.lines[line].due[run]
            return []
        return self.say_over(line, given.result, now)

    def prune(self, clock: float) -> None:
        """What is over for so long that it could not begin again anyway."""
        for given in list(self.book.given.values()):
            oldest = clock - KEPT
            if given.result and given.result.at < oldest and asked_at(given.run) < oldest:
                self.book.drop_given(given.run)
        self.book.forget_over(clock - KEPT)
