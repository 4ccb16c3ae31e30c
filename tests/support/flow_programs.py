"""Programs of workflows, each a process of its own that can be killed, and what their steps did."""

import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.support.servers import ROOT
from tests.support.waiting import patience

# Before the text of a program: what its steps did is noted whether it lives to tell of it or not.
NOTING = """
import os, sys, uuid
from procession.workflows import this_step

name, effects = sys.argv[1:]
file = os.open(effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def note(number, given):
    here = this_step()
    return noted(here.run, number, here.key, here.told.attempt, given)

def noted(run, number, key, attempt, given):
    result = uuid.uuid4().hex
    os.write(file, f"{run} {number} {key} {attempt} {given} {result}\\n".encode())
    return result
"""


class Effect(NamedTuple):
    """What a step did, whether its program lived to tell of it or not."""

    run: str
    number: str
    key: str
    attempt: str  # of the workflow
    given: str
    result: str


@dataclass
class Program:
    name: str
    file: Path
    process: "subprocess.Popen[bytes]"
    known: list[Effect] = field(default_factory=list)
    read: int = 0  # bytes of its file

    def effects(self) -> list[Effect]:
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self.read)
                whole, end, _ = file.read().rpartition(b"\n")  # the last may be half written
            self.read += len(whole + end)
            self.known += [Effect(*line.split(" ")) for line in whole.decode().splitlines()]
        return self.known

    def kill(self) -> list[Effect]:
        """All that it has done."""
        self.process.kill()
        self.process.wait()
        return self.effects()


class Programs:
    """So many that run one text."""

    def __init__(self, folder: Path, text: str, many: int, environment: Mapping[str, str]) -> None:
        self.folder = folder
        (folder / "program.py").write_text(NOTING + text)
        self.environment = {**environment, "PYTHONPATH": str(ROOT / "sdk" / "python")}
        self.starts = 0
        self.past: list[Effect] = []
        self.living: list[Program] = []
        self.missing = [f"program-{number}" for number in range(many)]
        self.fill_up()

    def _started(self, name: str) -> Program:
        self.starts += 1
        file = self.folder / f"effects-{self.starts}.txt"
        argv = [sys.executable, str(self.folder / "program.py"), name, str(file)]
        with (self.folder / "programs.log").open("ab") as log:
            process = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)
        return Program(name, file, process)

    def effects(self) -> list[Effect]:
        return [*self.past, *(effect for each in self.living for effect in each.effects())]

    def have_done(self, many: int) -> bool:
        return len(self.effects()) >= many

    def kill_one(self, chance: random.Random) -> None:
        """One that is at work: a program that only begins has nothing to lose."""
        at_work = [each for each in self.living if each.effects()]
        victim = chance.choice(at_work)
        self.past += victim.kill()
        self.living.remove(victim)
        self.missing.append(victim.name)

    def fill_up(self) -> None:
        """Others take the places of those that were killed."""
        while self.missing:
            self.living.append(self._started(self.missing.pop()))

    def end(self) -> None:
        while self.living:
            self.past += self.living.pop().kill()


def reached(
    condition: Callable[[], bool], told: str, within: float = 120.0, every: float = 0.02
) -> None:
    end = time.monotonic() + patience(within)
    while not condition():
        assert time.monotonic() < end, f"{told}: it did not come to this"
        time.sleep(every)


def by_run(effects: Iterable[Effect]) -> Mapping[str, list[Effect]]:
    found = defaultdict[str, list[Effect]](list)
    for each in effects:
        found[each.run].append(each)
    return found


def check_step(done: Sequence[Effect], result: str, told: str, tries: int = 1) -> str:
    """What was given to it. A step may be done again, under its key and with what it was given the
    first time; whoever has the workflow once its result is kept does not do it again."""
    kept = [each for each in done if each.result == result]
    assert len(kept) == 1, told
    assert len({each.key for each in done}) == 1, told
    assert max(Counter(each.attempt for each in done).values()) <= tries, told
    assert max(number_of(each.attempt) for each in done) == number_of(kept[0].attempt), told
    [given] = {each.given for each in done}
    return given


def number_of(attempt: str) -> int:
    return int(attempt.partition(".")[2])
