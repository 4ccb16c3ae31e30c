"""Whoever asks at the machine: how the agent is, and what it shall do with what it has in hand."""

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edge.agent.book import Job, Shut
from edge.agent.core import FINAL, Effect
from edge.agent.local import Refused
from edge.agent.news import STOPPED
from edge.messages import Lane, Phase, Verb

if TYPE_CHECKING:
    from edge.agent.program import Program

STEERING = (Verb.HOLD, Verb.RESUME, Verb.STOP, Verb.KILL)


class Counter:
    def __init__(self, program: "Program") -> None:
        self.program, self.core, self.book = program, program.core, program.book
        self.started_at = time.time()
        verbs = program.verbs
        verbs.add("status", lambda given: self.status())
        for verb in STEERING:
            verbs.add(verb.value, self.steering(verb))
        verbs.add("drain", lambda given: self.shut(True, str(given.get("why") or "")))
        verbs.add("undrain", lambda given: self.shut(False, ""))
        verbs.add("connect", lambda given: program.baton.call())

    def steering(self, verb: Verb) -> Callable[[Mapping[str, Any]], Any]:
        async def steer(given: Mapping[str, Any]) -> None:
            wanted = given.get("attempt")
            why = str(given.get("why") or "")
            await self.program.decided(lambda now, clock: self.steer(wanted, verb, why, clock))

        return steer

    def steer(self, wanted: Any, verb: Verb, why: str, clock: float) -> list[Effect]:
        """One attempt, or all that are in hand."""
        there = [job.attempt for job in self.book.jobs.values() if job.phase is not Phase.ENDED]
        if wanted is not None and wanted not in there:
            raise Refused(f"{str(wanted)[:80]!r} is not in hand", "`procession edge status` lists")
        chosen = there if wanted is None else [wanted]
        if verb in FINAL:
            said = f"{STOPPED}: {why}" if why else STOPPED
            self.program.news.stopped.update(dict.fromkeys(chosen, said))
        return [
            effect
            for attempt in chosen
            for effect in self.core.steer_here(attempt, verb, why, clock)
        ]

    async def shut(self, draining: bool, why: str) -> None:
        def put(now: float, clock: float) -> list[Effect]:
            self.book.put_shut(Shut(draining, why, self.book.shut.command))
            return []

        await self.program.decided(put)
        self.program.greet_again()

    # How it is

    def status(self) -> Mapping[str, Any]:
        program, link = self.program, self.core.link
        config, owner, hands = program.config, program.owner, program.hands
        return {
            "name": config.name,
            "server": config.server,
            "version": program.version,
            "pid": os.getpid(),
            "started_at": self.started_at,
            "state": program.state,
            "since": program.since,
            "why": program.baton.why or None,
            "carrier": program.line.carrier if program.line else None,
            "session": link.session if link else None,
            "clock_ahead": round(-program.ahead, 3),  # ours before the server's
            "slots": config.slots,
            "free": self.core.free(),
            "draining": self.book.shut.draining,
            "drain_reason": self.book.shut.why or None,
            "labels": dict(config.labels),
            "attempts": [self.shown(job) for job in self.book.jobs.values()],
            "waiting": self.waiting(),
            "full": program.full or None,
            "unwritable": program.unwritable or None,
            "unfit": self.core.unfit or None,
            "peers": program.company.status(),
            "runner": {"pid": hands.pid, "away": hands.away or None},
            "policy": {
                **owner.summary(),
                "file": str(owner.file),
                "fault": owner.fault or None,
            },
        }

    def shown(self, job: Job) -> Mapping[str, Any]:
        about = job.offer.invocation.get("about") or {}
        return {
            "attempt": job.attempt,
            "phase": job.phase.value,
            "wanted": job.wanted.value if job.wanted else None,
            "argv": job.offer.invocation.get("argv"),
            "about": about,
            "printed": self.core.size(job),
            "stored": job.stored,
        }

    def waiting(self) -> Mapping[str, int]:
        """What the server has not, of each kind."""
        lanes = {
            lane.name.lower(): self.book.last(lane) - self.book.have(lane)
            for lane in (Lane.RESULTS, Lane.EVENTS, Lane.OUTPUTS, Lane.METRICS)
        }
        logs = sum(max(0, self.core.size(job) - job.stored) for job in self.book.jobs.values())
        files = sum(
            each.size - max(0, each.stored) for left in self.book.files.values() for each in left
        )
        return {**lanes, "log_bytes": logs, "file_bytes": files}

    def summary(self) -> str:
        """In a line, for a service manager."""
        count = sum(job.phase is not Phase.ENDED for job in self.book.jobs.values())
        told = f"{self.program.state}; {count} in hand"
        return told + ("; there is something to send" if sum(self.waiting().values()) else "")
