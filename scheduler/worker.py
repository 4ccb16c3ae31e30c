"""Claim, execute, record: one short pipeline around a runner.

A worker is replaceable: what it has in hand is in the database (the tasks it holds) and in its
runner (the commands). It keeps the two in step, and nothing else.
"""

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection

from executor.base import Ending, Outcome
from scheduler.calls import LEFT
from scheduler.domain import secrets
from scheduler.domain.board import Board
from scheduler.domain.floors import Floors
from scheduler.domain.pace import Pace
from scheduler.domain.tasks import RANKS, Claimed
from scheduler.domain.wakes import Wake
from scheduler.filing import Filing
from scheduler.hands import Hands
from scheduler.loops.announcer import Announcer
from scheduler.loops.listener import Listener
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.loops.reaper import Reaper
from scheduler.recorder import Hooks, Keep, Recorder, Result
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.services.keyring import Keys
from scheduler.settings import WorkerSettings
from scheduler.steady import keep_going
from scheduler.store import connections, holders, output, runs, tasks
from scheduler.store.holders import Identity
from scheduler.store.output import Chunk
from scheduler.unsealing import Unsealer

log = logging.getLogger(__name__)

Conn = AsyncConnection[Any]

RECORDERS = 2
MOST_UNRECORDED = 2000
RECONCILE_EVERY = 30.0
LOOK_AGAIN = 0.2  # seconds
STOP_AT = 0.75  # of the lease: what is left is for the grace, and for a clock that runs apart
CLAIM_AT_LEAST = 0.05  # seconds: how long successors may keep the claim from its turn
DONE = Outcome(ending=Ending.SUCCEEDED)
LOST = Outcome(ending=Ending.LOST, error=LEFT)
NO_KEYS = Keys()


class Fenced(Exception):
    """Somebody declared this holder gone: it must stop, and may come back as a new one."""


class RunnerGone(Exception):
    """Commands ended with their runner: the next life begins with a new one."""


class Worker:
    def __init__(
        self,
        url: str,
        settings: WorkerSettings,
        identity: Identity,
        hands: Hands,
        keys: Keys = NO_KEYS,
    ):
        self._url = url
        self._settings = settings
        self._identity = identity
        self._hands = hands
        self._lease = settings.lease.length
        self._queues = list(settings.queues)
        self._floors = {queue: Floors(time.monotonic()) for queue in self._queues}
        self._pace = Pace(time.monotonic())
        self._in_hand: dict[str, Claimed] = {}
        self._unknown: set[str] = set()
        self._best = RANKS
        self._promised = 0  # successors that a commit in flight may leave in our hands
        self._claimed_at = 0.0
        self._stopping = False
        self._claiming, self._wanting, self._promoting = Pulse(), Pulse(), Pulse()
        self._reconciling, self._emptied = Pulse(), Pulse()
        self._leased = asyncio.Event()
        self.holder = 0
        self.catalog = Catalog()
        self.announcer = Announcer()
        hooks = Hooks(
            keep=self._keep,
            recorded=self._recorded,
            taken=self._taken,
            stored=self._stored,
            wake=self._wake,
        )
        self.recorders = [Recorder(self.catalog, hooks) for _ in range(RECORDERS)]
        self._filing = Filing(self._of_commands.submit)
        self._unsealer = Unsealer(keys, self._begin_opened, self._submit)

    # The whole life

    async def run(self, stop: asyncio.Event, *, down: Callable[[], bool] = lambda: False) -> None:
        """Work until asked to stop; then claim no more and record what is at hand.

        Commands that still run are the runner's, which keeps them for the worker's next life;
        if `down` says so they are stopped first, and handed back.
        """
        await self._hands.open(self._meet, self._ended, self._printed, self._told)
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(loop(), name=name) for name, loop in self._loops().items()]
            await first(stop.wait(), self._hands.gone())
            self._stopping = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.grace.total_seconds()):
                    await self._leave(down())
            for loop in loops:
                loop.cancel()
        await self._hands.close()
        if not stop.is_set():
            raise RunnerGone("the runner is gone: what it had in hand is lost")

    async def _leave(self, down: bool) -> None:
        if down:
            self._hands.stop_all()
        await self._hands.leave(self._settings.grace.total_seconds() / 2)
        if down:
            while self._in_hand:
                await self._emptied.wait(1.0)
        await self._filing.drained()
        for recorder in self.recorders:
            await recorder.drained()

    def _loops(self) -> dict[str, Callable[[], Any]]:
        promoter = Promoter(self.catalog, self._promoting, self._wake)
        reaper = Reaper(self.catalog, self._lease, Pulse(), self._wake)
        recording = {
            f"record {i}": self._steadily("record", recorder.work, engine=True)
            for i, recorder in enumerate(self.recorders)
        }
        return recording | {
            "claim": self._steadily("claim", self._claim, engine=True),
            "file": self._steadily("file", self._filing.work),
            "lease": self._steadily("lease", self._renew),
            "listen": self._steadily("listen", Listener(self._heard).work),
            "announce": self._steadily("announce", self.announcer.work),
            "promote": self._steadily("promote", promoter.work, engine=True),
            "reap": self._steadily("reap", reaper.work, engine=True),
            "reconcile": self._steadily("reconcile", self._reconcile),
            "unseal": self._steadily("unseal", self._unsealer.work, engine=True),
        }

    def _steadily(
        self, name: str, work: Callable[[Conn], Any], *, engine: bool = False
    ) -> Callable[[], Any]:
        def connect() -> Any:
            return connections.connect(self._url, name=f"worker {name}", engine=engine)

        async def loop() -> None:
            await keep_going(connect, work, name=name)

        return loop

    # Registering, and taking up what a former life left

    async def _meet(self, incarnation: str, known: Collection[str]) -> Mapping[str, int]:
        """Become the holder behind this runner; say which of its commands are still ours."""
        stored: dict[str, int] = {}

        async def register(conn: Conn) -> None:
            me = replace(self._identity, incarnation=incarnation)
            async with conn.transaction():
                await holders.retire_others(conn, me.name, incarnation)
                self.holder = await holders.register(conn, me, self._lease)
                await tasks.adopt(conn, self.holder, incarnation, known)
            for recorder in self.recorders:
                recorder.holder = self.holder
            self._filing.holder = self.holder
            stored.update(await self._adopt(conn, known))

        await self._steadily("register", register)()
        log.info("worker ready", extra={"holder": self.holder, "holder_name": self._identity.name})
        return stored

    async def _adopt(self, conn: Conn, known: Collection[str]) -> dict[str, int]:
        held = {task.key: task for task in await tasks.in_hand(conn, self.holder)}
        self._in_hand = {key: task for key, task in held.items() if key in known}
        mine = [(task.id, task.attempt) for task in self._in_hand.values()]
        missing = [task for key, task in held.items() if key not in known]
        await self._hand_back(conn, [t for t in missing if self._hands.outlives_us(t.kind)])
        self._lose([t for t in missing if not self._hands.outlives_us(t.kind)])
        return {f"{end.task_id}.{end.attempt}": end.stored for end in await output.ends(conn, mine)}

    def _lose(self, begun: Sequence[Claimed]) -> None:
        """What ended with our former life: how far it came, nobody knows."""
        self._in_hand.update((task.key, task) for task in begun)
        self._submit([Result(task, LOST) for task in begun])

    async def _hand_back(self, conn: Conn, given: Sequence[Claimed]) -> None:
        """Give back what was claimed and never begun; it costs the task nothing."""
        if not given:
            return
        by_run: dict[Any, list[Claimed]] = {}
        for task in given:
            by_run.setdefault(task.run_id, []).append(task)

        def decide(board: Board) -> None:
            for task in by_run[board.run.id]:
                board.hand_back(task.id, task.attempt, self.holder)

        async with conn.transaction():
            await runs.lock(conn, sorted(by_run))
            wake = await judge(conn, self.catalog, sorted(by_run), decide, by="worker")
        log.info("handed back", extra={"count": len(given)})
        self._wake(wake)

    async def _reconcile(self, conn: Conn) -> None:
        """What the database believes in our hands and is not there goes back.

        A claim may be on its way to us, so only what is unknown twice in a row counts.
        """
        while True:
            held = {task.key: task for task in await tasks.in_hand(conn, self.holder)}
            unknown = {key for key in held if key not in self._in_hand}
            await self._hand_back(conn, [held[key] for key in unknown & self._unknown])
            self._unknown = unknown - self._unknown
            await self._reconciling.wait(1.0 if self._unknown else RECONCILE_EVERY)

    # Claiming

    async def _claim(self, conn: Conn) -> None:
        await self._leased.wait()  # no command begins before its runner knows a deadline
        self._reconciling.poke()
        while True:
            if not await self._claim_round(conn):
                poll = self._settings.poll.total_seconds() * random.uniform(0.8, 1.2)
                await self._claiming.wait(poll)

    async def _claim_round(self, conn: Conn) -> int:
        """One look at each queue, in rotating order; how many tasks were claimed."""
        claimed = 0
        self._queues.append(self._queues.pop(0))
        for queue in self._queues:
            free = self._free()
            if free <= self._pace.ahead(time.monotonic()) // 2:  # fetched ahead by halves
                return 0
            floors = self._floors[queue]
            got = await tasks.claim(
                conn,
                queue,
                holder=self.holder,
                floors=floors.at(time.monotonic()),
                limit=free,
            )
            floors.took(got)
            self._best = max((task.rank for task in got), default=0) if len(got) == free else RANKS
            claimed += len(got)
            self._begin(got)
        self._claimed_at = time.monotonic()
        return claimed

    def _free(self) -> int:
        if self._stopping or sum(r.backlog for r in self.recorders) > MOST_UNRECORDED:
            return 0
        ahead = self._pace.ahead(time.monotonic())
        busy = self._hands.busy + len(self._unsealer)
        return self._settings.slots + ahead - busy - self._promised

    def _keep(self, recording: int) -> Keep:
        """Successors may stay in hand, as long as the claim has had its turn lately."""
        lately = time.monotonic() - self._claimed_at < CLAIM_AT_LEAST
        room = self._free() if lately else 0
        if not lately:
            self._claiming.poke()
        keep = Keep(max(0, min(room, 2 * recording)), self._best, self._queues)
        self._promised += keep.most
        return keep

    def _taken(self, keep: Keep, taken: Sequence[Claimed]) -> None:
        self._promised -= keep.most
        self._begin(taken)

    def _begin(self, claimed: Sequence[Claimed]) -> None:
        done = []
        for task in claimed:
            self._in_hand[task.key] = task
            if task.kind == "noop":
                done.append(Result(task, DONE))
            elif secrets.wants(task.invocation):
                self._unsealer.take(task)
            else:
                self._hands.start(task)
        if done:
            self._pace.finished(len(done), time.monotonic())
            self._submit(done)

    def _begin_opened(self, tasks: Sequence[Claimed]) -> None:
        """With secrets in them: what is in hand is known without. Somebody may have wanted them
        stopped while they were nowhere."""
        for task in tasks:
            self._hands.start(task)
        self._wanting.poke()

    # What comes back

    def _ended(self, key: str, outcome: Outcome, chunks: tuple[Chunk, ...]) -> None:
        task = self._in_hand.get(key)
        if task is None:
            log.warning("result of a command that is not ours", extra={"key": key})
            self._hands.acknowledge([key])
            return
        self._pace.finished(1, time.monotonic())
        if said := (outcome.detail or {}).get("progress"):
            self._of_commands.tell(task, said)
        result = Result(task, outcome, chunks)
        if outcome.files:
            self._filing.take(result)
        else:
            self._of_commands.submit([result])
        self._claiming.poke()

    def _told(self, key: str, said: Mapping[str, Any]) -> None:
        if task := self._in_hand.get(key):
            self._of_commands.tell(task, said)

    @property
    def _of_commands(self) -> Recorder:
        """Commands end a few at a time: with one recorder for all, its commits are large."""
        return self.recorders[0]

    def _submit(self, results: Sequence[Result]) -> None:
        """No-ops end by the hundred; a run's all go to one recorder, so that none waits."""
        for place, recorder in enumerate(self.recorders):
            if mine := [each for each in results if each.task.run_id.int % RECORDERS == place]:
                recorder.submit(mine)

    def _printed(self, chunks: Sequence[Chunk]) -> None:
        self._of_commands.store(chunks)

    def _stored(self, chunks: Sequence[Chunk]) -> None:
        """Output has no news of its own in the database: whoever follows the run is told."""
        self._hands.stored(chunks)
        keys = {f"{chunk.task_id}.{chunk.attempt}" for chunk in chunks}
        if mine := self._in_hand.keys() & keys:
            wake = Wake()
            wake.add(runs=(self._in_hand[key].run_id for key in mine))
            self._wake(wake)

    def _recorded(self, results: Sequence[Result]) -> None:
        for each in results:
            self._in_hand.pop(each.task.key, None)
        if not self._in_hand:
            self._emptied.poke()
        self._hands.acknowledge([r.task.key for r in results if r.task.kind != "noop"])
        self._claiming.poke()

    # Lease, wishes, news

    async def _renew(self, conn: Conn) -> None:
        """Renew the lease, and hand each deadline, timed before the question, to the runner."""
        due = 0.0
        while True:
            asked = time.clock_gettime(time.CLOCK_BOOTTIME)
            if asked >= due:
                if await holders.renew(conn, self.holder, self._lease) is None:
                    raise Fenced(f"holder {self.holder} was declared gone")
                lease = self._lease.total_seconds()
                self._hands.lease(asked + STOP_AT * lease, grace=min(2.0, lease / 8))
                self._leased.set()
                due = asked + self._settings.lease.renew_every.total_seconds()
            ahead = await self._pass_on(conn)
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            await self._wanting.wait(LOOK_AGAIN if ahead else max(0.0, due - now))

    async def _pass_on(self, conn: Conn) -> bool:
        """Tell the runner what people want; True if a wish is ahead of its task's claim."""
        ahead = False
        for task, attempt, wanted in await tasks.wanted(conn, self.holder):
            key = f"{task}.{attempt}"
            self._hands.want(key, wanted)
            ahead |= key not in self._in_hand
        return ahead

    def _heard(self, wake: Wake) -> None:
        if wake.serves(self._queues):
            self._claiming.poke()
        if wake.due:
            self._promoting.poke()
        if wake.wanted:
            self._wanting.poke()

    def _wake(self, wake: Wake) -> None:
        """Our own news: we need not wait to hear them."""
        self._heard(wake)
        self.announcer.say(wake)


async def first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait until one of these is done."""
    pending = {asyncio.ensure_future(wait) for wait in waits}
    try:
        await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in pending:
            each.cancel()


def identity_of(name: str, *, host: str, version: str, settings: WorkerSettings) -> Identity:
    """Who the worker is; its runner's incarnation is known when they have met."""
    return Identity(
        name=name,
        kind="worker",
        incarnation="",
        host=host,
        pid=os.getpid(),
        version=version,
        queues=settings.queues,
        slots=settings.slots,
    )
