"""What becomes of a schedule's ticks: each is started, or it is said why it is not."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from scheduler.domain.durations import format_duration
from scheduler.domain.schedules import MOMENT, Missed, Overlap, Plan, Quiet

GRACE = timedelta(minutes=1)  # a tick that is later than that is missed
LOOK_AGAIN = timedelta(seconds=1)  # at a run that must end before what is missed goes on
MOST = 200  # rows of one schedule in one turn
IN_SIGHT = timedelta(days=7)  # how far one that was missed looks for the last

CAUGHT_UP = "caught up"
REPLACED = "a later tick took its place"
STILL_RUNNING = "the run before was still going on"
ONE_WAITS = "one tick was waiting already"
NOBODY_THERE = "nobody was there to start it"


class TickState(StrEnum):
    STARTED = "STARTED"
    QUEUED = "QUEUED"  # until the run before has ended
    SKIPPED = "SKIPPED"
    MISSED = "MISSED"
    MERGED = "MERGED"  # into another one, which is started for both
    FAILED = "FAILED"  # it could not be started


@dataclass(frozen=True, slots=True)
class Entry:
    """One tick and its fate; with `until` also that of all behind it, up to there."""

    tick: datetime
    due: datetime
    state: TickState
    reason: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a schedule stands: its next tick, whether a run of it lives, which tick waits."""

    tick: datetime | None
    living: bool = False
    queued: datetime | None = None


@dataclass(slots=True)
class Turn:
    """What is to be written, and when the schedule is to be looked at again."""

    tick: datetime | None
    at: datetime | None = None
    entries: list[Entry] = field(default_factory=list)
    queued: datetime | None = None
    merged: datetime | None = None  # it waited, and a later one took its place


def decide(plan: Plan, standing: Standing, now: datetime, pauses: Sequence[Quiet] = ()) -> Turn:
    """What becomes of all ticks that are due."""
    return _Deciding(plan, standing, now, pauses).carry_out()


class _Deciding:
    def __init__(
        self, plan: Plan, standing: Standing, now: datetime, pauses: Sequence[Quiet]
    ) -> None:
        self._plan = plan
        self._now = now
        self._pauses = pauses
        self._tick = standing.tick
        self._living = standing.living
        self._held: datetime | None = None  # the last missed one so far
        self._first: datetime | None = None  # of those that it stands for
        self._wait: datetime | None = None
        self._turn = Turn(None, queued=standing.queued)

    def carry_out(self) -> Turn:
        turn = self._turn
        while not self._wait and (tick := self._tick) and self._plan.due(tick) <= self._now:
            if len(turn.entries) >= MOST and self._may_break:
                break
            self._take(tick)
        else:
            self._catch_up_held()
        self._part_from_held()
        turn.tick = self._held or self._tick
        if turn.tick is not None:
            turn.at = max(self._plan.due(turn.tick), self._wait or self._plan.due(turn.tick))
        return turn

    def _take(self, tick: datetime) -> None:
        """Decide on one tick that is due, and move on to the next."""
        catch_up = self._plan.spec.catch_up
        late = self._now - self._plan.due(tick)
        if quiet := self._plan.quiet(tick, self._pauses):
            self._part_from_held()
            self._pass_over(tick, min(quiet.end, self._now), TickState.SKIPPED, quiet.why)
        elif late <= GRACE:
            self._drop_held()
            self._start(tick, None)
            self._tick = self._plan.after(tick)
        elif catch_up.policy is Missed.NONE:
            fresh = self._now - GRACE - self._plan.spec.jitter
            self._pass_over(tick, fresh, TickState.MISSED, NOBODY_THERE)
        elif late > catch_up.window:
            why = f"older than the window of {format_duration(catch_up.window)} to catch up"
            edge = self._now - catch_up.window - self._plan.spec.jitter
            self._pass_over(tick, edge, TickState.MISSED, why)
        elif catch_up.policy is Missed.LAST:
            self._hold(tick)
        else:
            self._catch_up_one(tick)

    def _pass_over(self, tick: datetime, until: datetime, state: TickState, why: str) -> None:
        """All ticks before `until` share the fate of this one, in one row."""
        behind = self._plan.after(tick)
        following = self._plan.since(max(until, tick + MOMENT))
        several = until if following != behind else None
        self._add(Entry(tick, self._plan.due(tick), state, why, several))
        self._tick = following

    def _catch_up_one(self, tick: datetime) -> None:
        """One after another, at the agreed pace; where runs must not overlap, each waits."""
        if self._is_busy and self._plan.spec.overlap is not Overlap.ALLOW:
            self._wait = self._now + LOOK_AGAIN
            return
        self._start(tick, CAUGHT_UP)
        self._tick = self._plan.after(tick)
        self._wait = self._now + self._plan.spec.catch_up.pause

    def _hold(self, tick: datetime) -> None:
        """The last one in sight. Those before it share a row unless something lies between."""
        if self._held is not None and self._first is None:
            self._drop_held()
        edge = min(self._now - GRACE - self._plan.spec.jitter, tick + IN_SIGHT)
        last = tick
        if tick < edge:
            last = self._plan.last_before(tick, self._plan.loud_until(tick, edge, self._pauses))
        self._first = self._first or tick
        self._held, self._tick = last, self._plan.after(last)

    def _part_from_held(self) -> None:
        """Write down those before the one that is held; what comes behind it is told apart."""
        if self._held is not None and self._first is not None and self._first < self._held:
            self._miss(self._first, self._held)
        self._first = None

    def _drop_held(self) -> None:
        """Something else is started for it, and for those before it."""
        if self._held is not None:
            self._miss(self._first or self._held, self._held + MOMENT)
            self._held = self._first = None

    def _miss(self, tick: datetime, until: datetime) -> None:
        following = self._plan.after(tick)
        several = until if following is not None and following < until else None
        self._add(Entry(tick, self._plan.due(tick), TickState.MISSED, REPLACED, several))

    def _catch_up_held(self) -> None:
        self._part_from_held()
        if self._held is not None:
            held, self._held = self._held, None
            self._start(held, CAUGHT_UP)

    @property
    def _may_break(self) -> bool:
        """The next turn begins with what is held: nothing behind it may be decided already."""
        entries, held = self._turn.entries, self._held
        return held is None or not entries or entries[-1].tick < held

    @property
    def _is_busy(self) -> bool:
        return self._living or self._turn.queued is not None

    def _start(self, tick: datetime, reason: str | None) -> None:
        due = self._plan.due(tick)
        match self._plan.spec.overlap:
            case Overlap.SKIP if self._is_busy:
                self._add(Entry(tick, due, TickState.SKIPPED, STILL_RUNNING))
            case Overlap.QUEUE_ONE if self._turn.queued is not None:
                self._add(Entry(tick, due, TickState.MERGED, ONE_WAITS))
            case Overlap.QUEUE_ONE | Overlap.REPLACE if self._is_busy:
                self._queue(tick, due, reason)
            case _:
                self._add(Entry(tick, due, TickState.STARTED, reason))
                self._living = True

    def _queue(self, tick: datetime, due: datetime, reason: str | None) -> None:
        if (before := self._turn.queued) is not None:
            self._merge(before)
        self._add(Entry(tick, due, TickState.QUEUED, reason))
        self._turn.queued = tick

    def _merge(self, before: datetime) -> None:
        entries = self._turn.entries
        for number, entry in enumerate(entries):
            if entry.tick == before:
                entries[number] = replace(entry, state=TickState.MERGED, reason=REPLACED)
                return
        self._turn.merged = before

    def _add(self, entry: Entry) -> None:
        self._turn.entries.append(entry)
