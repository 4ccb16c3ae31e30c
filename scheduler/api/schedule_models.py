"""Schedules as they go in and out."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from scheduler.api.models import Input, Inward, Name, Note, Outward, Priority, RecordId, Time, state
from scheduler.store.schedules import Target

Text = Annotated[str, Field(max_length=200)]
Moment = Annotated[
    str,
    Field(
        max_length=40,
        description="A time with an offset, or a clock in the schedule's zone.",
        examples=["2026-03-29T02:30"],
    ),
]
Length = Annotated[str, Field(max_length=40, examples=["6h"])]
Zone = Annotated[str, Field(max_length=64, examples=["Europe/Rome"])]
State = Literal["STARTED", "QUEUED", "SKIPPED", "MISSED", "MERGED", "FAILED"]


class Blackout(Inward):
    """`from` and `until`, or `days` and `between`, or `dates`."""

    since: Moment | None = Field(default=None, alias="from")
    until: Moment | None = None
    days: list[Text] | None = Field(default=None, max_length=7, examples=[["sat", "sun"]])
    between: list[Text] | None = Field(
        default=None, max_length=2, description="Two clocks.", examples=[["22:00", "06:00"]]
    )
    dates: list[Text] | None = Field(
        default=None, max_length=366, examples=[["12-25", "2026-04-06"]]
    )
    why: Text | None = None


class CatchUp(Inward):
    """What is started of the ticks that nobody was there for."""

    policy: Literal["none", "last", "all"] | None = None
    window: Length | None = Field(default=None, description="Nothing older is started.")
    per_minute: int | None = Field(default=None, ge=1, le=6000, description="At most.")


class Spec(Inward):
    """When, and with what input: exactly one of `cron`, `every` and `at`."""

    name: str | None = Field(
        default=None, max_length=63, description="Of several of one type or record."
    )
    description: str | None = Field(default=None, max_length=2000)
    cron: str | None = Field(
        default=None,
        max_length=120,
        description="Five fields, six with seconds in front, or a name such as @daily.",
        examples=["30 2 * * mon-fri"],
    )
    every: Length | None = Field(default=None, description="Counted from `anchor`.")
    at: Moment | None = None
    anchor: Moment | None = None
    zone: Zone | None = Field(default=None, description="UTC if it is left out.")
    input: Input | None = Field(
        default=None, description="Texts may say `${{ tick.date }}`, `.time`, `.at`, `.local`."
    )
    start: Moment | None = None
    end: Moment | None = None
    jitter: Length | None = Field(default=None, description="Each tick is put off by up to this.")
    blackouts: list[Blackout] | None = Field(default=None, max_length=50)
    overlap: Literal["allow", "skip", "queue_one", "replace"] | None = None
    catch_up: Literal["none", "last", "all"] | CatchUp | None = None
    priority: Priority | None = None
    workstation: Name | None = Field(
        default=None, description="Which fires it itself, with or without this server."
    )

    def document(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True, by_alias=True)


class CreateSchedule(Inward):
    type: Name | None = Field(default=None, description="The type or the record that it starts.")
    record: RecordId | None = None
    spec: Spec

    @model_validator(mode="after")
    def starts_one_thing(self) -> "CreateSchedule":
        if (self.type is None) == (self.record is None):
            raise ValueError("give either `type` or `record`")
        return self

    @property
    def target(self) -> Target:
        return Target(type=self.type, record=self.record)


class ReplaceSchedule(Inward):
    spec: Spec


class PreviewSchedule(CreateSchedule):
    count: int = Field(default=10, ge=1, le=100)
    zone: Zone | None = Field(default=None, description="Of whoever looks.")


class PauseSchedule(Inward):
    note: Note | None = None
    until: Moment | None = Field(default=None, description="It goes on by itself then.")


class TriggerSchedule(Inward):
    input: Input | None = Field(default=None, description="Laid over the schedule's own.")


class StopSchedules(Inward):
    note: Note | None = None


class PreviewBackfill(Inward):
    since: Moment = Field(alias="from", description="The first instant of the range.")
    until: Moment = Field(description="The first instant behind the range.")


class StartBackfill(PreviewBackfill):
    per_minute: int = Field(default=60, ge=1, le=6000, description="Starts, at most.")
    at_once: int = Field(default=1, ge=1, le=100, description="Runs of it that go on at most.")


class Schedule(Outward):
    """What is to be started when."""

    id: int
    name: str
    type: str | None = Field(description="The type that it starts runs of, or null.")
    record: str | None = Field(validation_alias="record_id")
    spec: dict[str, Any] = Field(description="As it was given, in one spelling.")
    words: str = Field(examples=["at 02:30 every day (Europe/Rome)"])
    overlap: Literal["allow", "skip", "queue_one", "replace"] | None = Field(
        description="What holds for a tick that finds a run going on. Of a record, which has one"
        " living run at most, never `allow`: `skip` instead. Null if the spec is unreadable."
    )
    origin: Literal["definition", "person", "record"] = Field(description="Who declared it.")
    edited: bool = Field(description="A definition declared it, and somebody changed it since.")
    version: int = Field(description="Rises with each change; the ETag holds it.")
    paused_at: Time | None
    paused_until: Time | None
    paused_by: str | None
    note: str | None = Field(description="Of the pause.")
    next_tick: Time | None = Field(description="Null if none will come.")
    next_at: Time | None = Field(description="When it is started: later by jitter or catching up.")
    waiting: Time | None = Field(
        validation_alias="queued", description="The tick that waits for the run before."
    )
    living: list[UUID] = Field(description="Runs that went on when it was last looked at.")
    last_tick: Time | None
    created_at: Time
    created_by: str
    updated_at: Time


class Firing(BaseModel):
    """A tick to come."""

    tick: Time
    starts_at: Time = Field(description="Later than the tick by its jitter.")
    in_words: str = Field(examples=["in 2 hours 30 minutes"])
    in_zone: str = Field(examples=["Sunday 29 March 2026, 03:00:00 CEST"])
    for_you: str | None = Field(description="The same in the zone that was asked for.")


class Firings(BaseModel):
    """What a schedule will do."""

    words: str
    zone: str
    items: list[Firing]


class Tick(Outward):
    """One tick and its fate."""

    tick: Time
    kind: Literal["time", "trigger", "backfill"]
    status: State = state("STARTED has a run; all others say why not, or what they wait for.")
    reason: str | None
    run: UUID | None = Field(validation_alias="run_id")
    due_at: Time
    until: Time | None = Field(description="The row stands for all ticks before this, too.")
    decided_at: Time


class Backfill(Outward):
    """A range of past ticks that are run after all."""

    id: int
    since: Time = Field(validation_alias="from_at", serialization_alias="from")
    until: Time = Field(validation_alias="until_at")
    per_minute: int
    at_once: int
    next_tick: Time | None
    started: int
    passed_over: int = Field(description="Ticks that had a run, or could not be started.")
    made_at: Time
    made_by: str
    ended_at: Time | None
    ended_by: str | None = Field(description="Who ended it; null where it came to its end.")


class BackfillPreview(BaseModel):
    ticks: int = Field(description="In the range, outside of blackouts.")
    to_run: int = Field(description="Of these, without a run.")
    first: list[Time] = Field(description="The first of those, at most a hundred.")


class Stopped(BaseModel):
    """Whether all schedules are stopped."""

    stopped: bool
    stopped_at: datetime | None = None
    stopped_by: str | None = None
    note: str | None = None
