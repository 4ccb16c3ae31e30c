"""What the runner says of commands, taken into the agent's turns."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge import attempts
from edge.agent.book import Job, Left
from edge.agent.core import FINAL, Effect, Erase, SendFile, Steer, ends_alone
from edge.agent.hands import Met, part_of
from edge.agent.runs import is_process
from edge.messages import Ended, Log, Message, Offer, Phase, Verb
from executor.link import Progress

if TYPE_CHECKING:
    from edge.agent.program import Program

log = logging.getLogger(__name__)

GATHER = 0.1  # seconds that what commands print is gathered
STOPPED = "stopped at the workstation"
ALONE = "stopped, as was agreed, since the server was out of sight"


class FromRunner:
    """See `edge.agent.hands.News`. `put_aside`: a damaged book, of which the runner knows more."""

    def __init__(self, program: "Program", put_aside: Path | None) -> None:
        self.program, self.core, self.book = program, program.core, program.book
        self.put_aside = put_aside
        self.has_met = asyncio.Event()
        self.progress: dict[str, Progress] = {}  # what commands said last, while nobody listens
        self.stopped: dict[str, str] = {}  # by somebody here, and why

    def met(self, met: Met) -> None:
        self.has_met.set()
        self.program.happened(lambda now, clock: self.adopt(met))

    def adopt(self, met: Met) -> list[Effect]:
        if self.put_aside is not None:
            self.take_over(met)
        for attempt, pid in met.pids.items():
            self.core.began(attempt, pid, time.time())
        runs = self.program.runs
        effects = self.core.awake(met.all | runs.known())
        for job in list(self.book.jobs.values()):
            is_gone = job.attempt not in met.all and not is_process(job.offer)
            if job.phase is Phase.RUNNING and is_gone:
                effects += self.end(vanished(job.attempt), time.time())
        effects += runs.awake(time.time())
        for attempt, size in met.living.items():
            self.core.printed(attempt, size)
        for attempt in met.all - self.book.jobs.keys():
            effects.append(Steer(attempt, Verb.KILL) if attempt in met.living else Erase(attempt))
        return effects

    def take_over(self, met: Met) -> None:
        """With the book it is forgotten what was asked for; what is done is known to the runner."""
        log.error("the book was damaged and put aside", extra={"file": str(self.put_aside)})
        for attempt in met.all - self.book.jobs.keys():
            self.book.put_job(Job(Offer(attempt, {}), Phase.RUNNING))
        self.put_aside = None

    def began(self, attempt: str, pid: int, at: float) -> None:
        self.program.happened(lambda now, clock: self.core.began(attempt, pid, at))

    def printed(self, attempt: str, size: int) -> None:
        self.core.printed(attempt, size)
        self.program.soon(GATHER)

    def progressed(self, attempt: str, told: Progress) -> None:
        """Of what nobody hears now, only the last is worth keeping."""
        self.progress[attempt] = told
        self.program.poked.set()

    def tell_progress(self) -> None:
        if self.core.link is None or not self.core.link.session:
            return
        for attempt, told in list(self.progress.items()):
            del self.progress[attempt]
            self.core.told(attempt, "progress", told)

    def ended(self, ended: Ended, files: Sequence[Left]) -> None:
        def happens(now: float, clock: float) -> list[Effect]:
            self.core.left(ended.attempt, files)
            return self.end(ended, clock)

        self.program.happened(happens)

    def end(self, ended: Ended, clock: float) -> list[Effect]:
        """Of what has no job any more, nobody wants to know."""
        job = self.book.jobs.get(ended.attempt)
        if job is None:
            return [Erase(ended.attempt)]
        if attempts.is_own(ended.attempt):
            return self.program.runs.ended(ended, clock)
        if ended.ending == "STOPPED" and job.wanted in FINAL:
            ended = self.of_stopped(ended, job)
        return self.core.ended(ended)

    def of_stopped(self, ended: Ended, job: Job) -> Ended:
        """What the server has not asked for is a failure there. What somebody here has stopped,
        people decide about; what was not to go on alone may be tried again."""
        said = self.stopped.get(ended.attempt)
        if said is None and job.command:
            return ended
        if said is None and ends_alone(job):
            return replace(ended, ending="FAILED", error=ALONE)
        return replace(ended, ending="FAILED", retryable=False, error=said or STOPPED)

    def forget(self, attempt: str) -> None:
        self.progress.pop(attempt, None)
        self.stopped.pop(attempt, None)

    def read(self, log: Log) -> None:
        """Pieces of logs are written down nowhere: they are said as they are found."""
        if self.core.link is not None and self.core.link.session:
            job = self.book.jobs.get(log.attempt)
            end = log.offset + len(log.data) + log.gap
            self.program.say([replace(log, last=job is not None and job.printed == end)])

    def part(self, wanted: SendFile) -> list[Message]:
        """Of a file, which lies where the runner has put it."""
        if (found := part_of(wanted)) is not None:
            return [found]
        about = {"attempt": wanted.attempt, "file": wanted.file.name}
        log.error("a file that was left is gone", extra=about)
        number = wanted.file.number
        self.program.happened(lambda now, clock: self.core.gone(wanted.attempt, number))
        return []


def vanished(attempt: str) -> Ended:
    why = "the runner does not know it any more; how far it came is not known"
    return Ended(attempt, "LOST", time.time(), error=why)
