"""Worlds with another server: one that gives up whom it does not hear, one that is restored.

What these servers give up or forget may run somewhere all the same. What is recorded is right
nevertheless, and nothing of what was told is gone.
"""

from collections.abc import Iterable
from dataclasses import replace

from edge.desk import NOTHING, Stage, Station
from tests.support.edge_world import Machine, Packet, Rows, Server, World

LOST_AFTER = 12.0
BACKUP = 15.0  # seconds between two states that the server can be restored to
EPOCH = 1_000  # what is given after a restore was never given before it


class Impatient(Server):
    """What is not heard of for long is lost, and goes to somebody else."""

    def __init__(self, world: World, tasks: int, machines: int) -> None:
        super().__init__(world, tasks, machines)
        self.heard = dict.fromkeys(range(machines), 0.0)

    def receive(self, packet: Packet) -> None:
        self.heard[packet.line[0]] = self.world.now
        super().receive(packet)

    def live(self) -> None:
        super().live()
        for name, task in self.rows.tasks.items():
            if task.holder is None or task.stage is not Stage.RUNNING:
                continue
            if self.world.now - self.heard[task.holder] > LOST_AFTER:
                self.world.given_up.add(task.attempt(name))
                task.holder, task.stage = None, Stage.OVER


class Restored(Server):
    """At times it is again what it was a while ago: what was committed since is gone.

    Sessions and attempts go on behind all that may have been given: whoever restores a server sees
    to that.
    """

    def __init__(self, world: World, tasks: int, machines: int) -> None:
        super().__init__(world, tasks, machines)
        self.backup, self.at, self.epoch = self.rows.copy(), 0.0, 0

    def station(self, rows: Rows, number: int) -> Station:
        station, backup = super().station(rows, number), self.backup.stations[number]
        is_same = backup.lineage == station.lineage
        return replace(station, safe=backup.have if is_same else NOTHING)

    def gone_with(self, machine: Machine) -> Iterable[str]:
        """What it had told may be forgotten here."""
        return [each for each, number in self.world.began.items() if number == machine.number]

    def shut_since(self, rows: Rows, number: int) -> float | None:
        """What it says again may be older than a word that is forgotten here, which opened it. What
        is asked of a real one is kept from it here until somebody opens it here as well."""
        is_shut = self.world.machines[number].agent.book.shut.draining
        return super().shut_since(rows, number) if is_shut else None

    def next_number(self, last: int) -> int:
        return max(last + 1, self.epoch * EPOCH)

    def live(self) -> None:
        super().live()
        if self.world.now - self.at >= BACKUP:
            self.at, self.backup = self.world.now, self.rows.copy()
        if self.world.chance.random() < self.world.chances.restore:
            self.restore()

    def restore(self) -> None:
        """Nothing of what was said before arrives any more: its connections are gone with it."""
        self.world.packets.clear()
        self.world.given_up |= set(self.world.began)
        self.world.burned |= set(self.world.began)  # what was printed is kept for less long
        self.epoch += 1
        self.rows = self.backup.copy()
        self.rows.commands = self.epoch * EPOCH
        for number, station in self.rows.stations.items():
            self.rows.stations[number] = replace(station, session=self.epoch * EPOCH)
        self.die()
