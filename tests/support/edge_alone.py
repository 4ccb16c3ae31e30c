"""A workstation on a real connection that decides about runs of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge import attempts
from edge.agent.core import Effect, Spawn, Steer
from edge.agent.micro.alone import Here
from edge.agent.micro.engine import Engine, is_process
from edge.agent.micro.ledger import Ledger
from edge.agent.store import DiskBook
from edge.messages import Ended, Message, Stock
from tests.support.gateways import Machine, Served, a_machine


class Alone(Machine):
    """Its book is on a disk."""

    folder: Path

    def equip(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.book: Any = DiskBook(folder / "book.db")
        self.agent = self.awake()
        self.engine = Engine(self.agent, Ledger(self.book), Here(name=self.name))
        self.agent.on_run = self.engine.commanded
        self.agent.on_stock = self.stocked

    def stocked(self, stock: Stock, clock: float) -> list[Any]:
        return self.engine.stocked(stock, self.now)

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock, UTC)

    def carry_out(self, effects: Sequence[Any]) -> list[Message]:
        """What a run begins is begun as all else is."""
        said: list[Message] = []
        for each in effects:
            if isinstance(each, Spawn) and is_process(each.offer):
                said += self.carry_out(self.engine.take(each.offer, self.now))
            elif isinstance(each, Steer) and self.engine.ledger.of_attempt(each.attempt):
                said += self.carry_out(
                    self.engine.steer(each.attempt, each.verb, self.now, by="server")
                )
            elif isinstance(each, Effect):
                said += super().carry_out([each])
        self.book.commit()
        return said

    def end(
        self, attempt: str, ending: str = "SUCCEEDED", at: float | None = None, **more: Any
    ) -> None:
        if not attempts.is_own(attempt):
            super().end(attempt, ending, at, **more)
            return
        printed = len(self.printed.get(attempt, b""))
        more.setdefault("exit_code", 0 if ending == "SUCCEEDED" else 1)
        ended = Ended(attempt, ending, at or self.clock, printed=printed, **more)
        self.carry_out(self.engine.ended(ended, self.now))

    def start(self, type: str, **more: Any) -> Any:
        run = self.engine.start(type, more.pop("input", {}), self.now, by="tester", **more)
        self.carry_out(self.engine.effects)
        return run


async def alone(served: Served, name: str, **more: Any) -> Alone:
    machine = await a_machine(served, name, **more)
    given = (machine.name, machine.token, machine.key, machine.sealing_key)
    found = Alone(*given, slots=machine.slots, labels=machine.labels)
    found.equip(served.folder / f"{name}-alone")
    return found
