"""Machines on cables: a switch and each machine have a network of their own, and no way elsewhere.

A network lives as long as a small process that reads from us: however a test ends, nothing of it
is left. Nothing is made in the network that the tests themselves are in.
"""

import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from tests.support.waiting import patience

HOLD = ("unshare", "--net", "sh", "-c", "ip link set dev lo up && echo held && exec cat")
PREFIX = "198.18"  # set aside for trials: no network of anybody's
SERVER = f"{PREFIX}.0.1"


class Ways(StrEnum):
    BOTH = "both"
    OUT = "out"  # what the machine says is lost; it hears
    IN = "in"


@cache
def why_not() -> str | None:
    """Why there can be no networks here."""
    if os.geteuid() != 0:
        return "networks of their own can be made by root only"
    try:
        with a_space("probe") as space:
            space.ip("link", "add", "name", "probe0", "type", "veth", "peer", "name", "probe1")
            space.tc("qdisc", "add", "dev", "probe0", "root", "blackhole")
    except (OSError, subprocess.SubprocessError, AssertionError) as error:
        return f"networks of their own cannot be made here: {error}"
    return None


@dataclass
class Space:
    """A network, and the process that keeps it."""

    name: str
    holder: "subprocess.Popen[bytes]"

    def inside(self, *argv: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *argv]

    def ip(self, *words: str) -> None:
        self.run("ip", *words)

    def tc(self, *words: str) -> None:
        self.run("tc", *words)

    def run(self, *argv: str) -> None:
        done = subprocess.run(
            self.inside(*argv), capture_output=True, timeout=patience(20), check=False
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr.decode().strip()}"


@contextmanager
def a_space(name: str) -> Iterator[Space]:
    holder = subprocess.Popen(HOLD, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n", "no network could be made"
        yield Space(name, holder)
    finally:
        holder.kill()
        holder.communicate()


@dataclass
class Cable:
    """From a machine to the switch. `port` is its end there."""

    machine: Space
    switch: Space
    port: str
    address: str
    cut: Ways | None = None

    def pull(self, ways: Ways = Ways.BOTH) -> None:
        self.plug()
        if ways is Ways.BOTH:
            self.switch.ip("link", "set", "dev", self.port, "down")
        else:
            end = (self.machine, "eth0") if ways is Ways.OUT else (self.switch, self.port)
            end[0].tc("qdisc", "add", "dev", end[1], "root", "blackhole")
        self.cut = ways

    def plug(self) -> None:
        was, self.cut = self.cut, None
        if was is Ways.BOTH:
            self.switch.ip("link", "set", "dev", self.port, "up")
        elif was is not None:
            end = (self.machine, "eth0") if was is Ways.OUT else (self.switch, self.port)
            end[0].tc("qdisc", "del", "dev", end[1], "root")


@dataclass
class Switch:
    """Where the server is, and all the cables end."""

    space: Space
    cables: list[Cable] = field(default_factory=list)

    def pull_some(self, chance: random.Random, most: int) -> list[Cable]:
        """Cuts up to so many that are whole, each in a way of its own."""
        whole = [each for each in self.cables if each.cut is None]
        chosen = chance.sample(whole, min(len(whole), chance.randint(1, most)))
        for cable in chosen:
            cable.pull(chance.choice(list(Ways)))
        return chosen

    def plug_all(self) -> None:
        for cable in self.cables:
            cable.plug()


@contextmanager
def a_switch(machines: Sequence[str]) -> Iterator[Switch]:
    """Each machine reaches SERVER and its neighbours, by a cable of its own."""
    with ExitStack() as stack:
        hub = stack.enter_context(a_space("switch"))
        hub.ip("link", "add", "name", "lan0", "type", "bridge")
        hub.ip("address", "add", f"{SERVER}/16", "dev", "lan0")
        hub.ip("link", "set", "dev", "lan0", "up")
        switch = Switch(hub)
        for number, name in enumerate(machines):
            space = stack.enter_context(a_space(name))
            switch.cables.append(wired(switch.space, space, number))
        yield switch


def wired(hub: Space, space: Space, number: int) -> Cable:
    port, address = f"port{number}", f"{PREFIX}.1.{number + 1}"
    end = ("peer", "name", "eth0", "netns", str(space.holder.pid))
    hub.ip("link", "add", "name", port, "type", "veth", *end)
    hub.ip("link", "set", "dev", port, "master", "lan0", "up")
    space.ip("address", "add", f"{address}/16", "dev", "eth0")
    space.ip("link", "set", "dev", "eth0", "up")
    return Cable(space, hub, port, address)
