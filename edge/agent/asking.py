"""The end that asks: what becomes of the orders that a workstation gives to its peers.

No clock, no socket: it is told, and answers what to do. Whoever calls it commits the book first and
carries the effects out then; if it dies between the two, `awake` sets right what was left undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from edge.agent.peering import (
    EXPIRED,
    FINAL,
    LOST,
    STOPPED,
    Ask,
    Asked,
    FromAsker,
    Later,
    News,
    Noted,
    Order,
    Over,
    PeerBook,
    Said,
    Taken,
    Thanks,
    Wish,
)
from edge.messages import Json, Verb


@dataclass(frozen=True, slots=True)
class Pace:
    resend: float = 5.0  # seconds without an answer until something is said again
    patience: float = 30.0  # seconds until what had to wait is asked for again


# Effects.


@dataclass(frozen=True, slots=True)
class Say:
    peer: str
    message: FromAsker


@dataclass(frozen=True, slots=True)
class Call:
    """A connection to this peer is wanted."""

    peer: str


@dataclass(frozen=True, slots=True)
class Tell:
    """How far an order is, for whoever gave it."""

    run: str
    news: Json


@dataclass(frozen=True, slots=True)
class Deliver:
    """What became of an order. Told again after a start until it is `settled`."""

    run: str
    result: Over


Effect: TypeAlias = Say | Call | Tell | Deliver


class OtherOrder(ValueError):
    """The id is taken by an order of something else."""


@dataclass
class Line:
    """One connection to a peer. What it holds is lost with it."""

    lineage: str
    due: dict[str, float] = field(default_factory=dict)  # by run: when it is said again
    told: dict[str, int] = field(default_factory=dict)


class Asker:
    def __init__(self, book: PeerBook, pace: Pace | None = None) -> None:
        self.book, self.pace = book, pace or Pace()
        self.lines: dict[str, Line] = {}

    # Whoever gives orders.

    def order(self, peer: str, order: Order, now: float) -> list[Effect]:
        """Given twice, it is one order."""
        known = self.book.asked.get(order.run)
        if known is not None and (known.peer, known.order) != (peer, order):
            raise OtherOrder(f"{order.run} is an order of {known.order.type!r} at {known.peer!r}")
        if known is None:
            self.book.put_asked(Asked(order, peer))
        elif known.result is not None:
            return [Deliver(order.run, known.result)]
        return self.ask(self.book.asked[order.run], now)

    def wish(self, run: str, verb: Verb, now: float, clock: float) -> list[Effect]:
        asked = self.book.asked.get(run)
        if asked is None or asked.result is not None:
            return []
        if asked.wanted is Verb.KILL or (asked.wanted is Verb.STOP and verb is not Verb.KILL):
            return []
        if verb in FINAL and not asked.lineage:
            why = "it was stopped before it was asked for"
            return self.unasked(asked, STOPPED, why, clock)
        self.book.put_asked(asked := replace(asked, wish=asked.wish + 1, wanted=verb))
        return self.ask(asked, now)

    def give_up(self, run: str, why: str, clock: float) -> list[Effect]:
        """Nobody waits for it any longer: what became of it, its peer alone knows."""
        asked = self.book.asked.get(run)
        if asked is None or asked.result is not None:
            return []
        return self.over(asked, Over(run, LOST, clock, error=why))

    def settled(self, run: str) -> None:
        """Whoever gave the order has written down its result."""
        asked = self.book.asked.get(run)
        if asked is not None and asked.result is not None:
            self.book.drop_asked(run)

    def awake(self) -> list[Effect]:
        """After a start: results that nobody may have got yet, and peers to call."""
        found = [each for each in self.book.asked.values() if each.result is not None]
        results = [Deliver(each.run, each.result) for each in found if each.result is not None]
        return [*results, *[Call(peer) for peer in self.awaited()]]

    def awaited(self) -> Sequence[str]:
        """The peers that something is wanted of."""
        return sorted({each.peer for each in self.book.asked.values() if each.result is None})

    # The line.

    def connect(self, peer: str, lineage: str, now: float) -> list[Effect]:
        self.lines[peer] = Line(lineage)
        effects: list[Effect] = []
        for each in self.open(peer):
            effects += self.ask(each, now)
        return effects

    def disconnect(self, peer: str) -> None:
        self.lines.pop(peer, None)

    def open(self, peer: str) -> list[Asked]:
        asked = self.book.asked.values()
        return [each for each in asked if each.peer == peer and each.result is None]

    def ask(self, asked: Asked, now: float) -> list[Effect]:
        line = self.lines.get(asked.peer)
        if line is None:
            return [Call(asked.peer)]
        if not asked.lineage:
            self.book.put_asked(asked := replace(asked, lineage=line.lineage))
        line.due[asked.run] = now + self.pace.resend
        return [Say(asked.peer, Ask(asked.order, asked.lineage, asked.wish, asked.wanted))]

    def tick(self, now: float, clock: float) -> list[Effect]:
        effects: list[Effect] = []
        for each in list(self.book.asked.values()):
            if each.result is None:
                effects += self.look_at(each, now, clock)
        return effects

    def look_at(self, asked: Asked, now: float, clock: float) -> list[Effect]:
        before = asked.order.start_before
        if not asked.lineage and before is not None and clock > before:
            why = f"it had to start {clock - before:.0f} s ago, and {asked.peer!r} was not reached"
            return self.unasked(asked, EXPIRED, why, clock)
        line = self.lines.get(asked.peer)
        if line is None or now < line.due.get(asked.run, float("inf")):
            return []
        if asked.taken and asked.wanted is not None and asked.noted < asked.wish:
            line.due[asked.run] = now + self.pace.resend
            return [Say(asked.peer, Wish(asked.run, asked.wish, asked.wanted))]
        return [] if asked.taken else self.ask(asked, now)

    def unasked(self, asked: Asked, ending: str, why: str, clock: float) -> list[Effect]:
        """Its peer has never heard of it, and never will."""
        return self.over(asked, Over(asked.run, ending, clock, began=False, error=why))

    def over(self, asked: Asked, result: Over) -> list[Effect]:
        self.book.put_asked(replace(asked, result=result))
        return [Deliver(asked.run, result)]

    # What the peer says.

    def receive(self, peer: str, message: Said, now: float) -> list[Effect]:
        asked = self.book.asked.get(getattr(message, "run", ""))
        if asked is None or asked.peer != peer or peer not in self.lines:
            return [Say(peer, Thanks(message.run))] if isinstance(message, Over) else []
        match message:
            case Over():
                return self.ended(asked, message)
            case Taken():
                return self.taken(asked, now)
            case Later(_, wait, why):
                self.lines[peer].due[asked.run] = now + self.pace.patience
                return [Tell(asked.run, {"waiting": wait.value, "why": why})]
            case Noted(_, number):
                return self.noted(asked, number)
            case News():
                return self.news(asked, message)
        return []

    def ended(self, asked: Asked, over: Over) -> list[Effect]:
        thanks = Say(asked.peer, Thanks(asked.run))
        return [thanks] if asked.result is not None else [thanks, *self.over(asked, over)]

    def taken(self, asked: Asked, now: float) -> list[Effect]:
        if asked.taken or asked.result is not None:
            return []
        self.book.put_asked(asked := replace(asked, taken=True))
        self.lines[asked.peer].due[asked.run] = now
        return [Tell(asked.run, {"taken": True})]

    def noted(self, asked: Asked, number: int) -> list[Effect]:
        if asked.noted < number <= asked.wish:
            self.book.put_asked(replace(asked, noted=number))
        return []

    def news(self, asked: Asked, message: News) -> list[Effect]:
        told = self.lines[asked.peer].told
        if asked.result is not None or message.number <= told.get(asked.run, 0):
            return []
        told[asked.run] = message.number
        return [Tell(asked.run, message.news)]
