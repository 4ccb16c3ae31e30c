"""What people say of many dead letters, and what becomes of them."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from scheduler.api.filters import Moment
from scheduler.api.models import DeadLetter, Input, Inward, Name, Outward, Time


class Redrive(Inward):
    """As it is, unless `input` or `changes` says otherwise."""

    input: Input | None = Field(default=None, description="Instead of the run's input.")
    changes: Input | None = Field(default=None, description="Laid over the run's input.")


class Discard(Inward):
    note: Annotated[
        str, Field(min_length=1, max_length=2000, description="Why.", examples=["seen by hand"])
    ]


LetterIds = Annotated[
    list[Annotated[int, Field(ge=1, le=2**63 - 1)]],
    Field(min_length=1, max_length=1000, examples=[[17, 18]]),
]
ExpectedCount = Annotated[
    int, Field(ge=0, le=10_000, description="What the selection says that it holds.")
]


class RedriveMany(Redrive):
    ids: LetterIds


class DiscardMany(Discard):
    ids: LetterIds


class RedriveSelection(Redrive):
    expected_count: ExpectedCount


class DiscardSelection(Discard):
    expected_count: ExpectedCount


class SelectDeadLetters(Inward):
    """Which open dead letters are meant. What is given narrows what is chosen."""

    type: Name | None = None
    task: Annotated[str, Field(min_length=1, max_length=63, examples=["load"])] | None = None
    fingerprint: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    made_from: Moment | None = Field(
        default=None, description="Since this time.", examples=["2026-01-31T08:00:00Z"]
    )
    made_to: Moment | None = Field(default=None, description="Before this time.")
    all: bool = Field(default=False, description="Every one that is open, without a filter.")


Result = Literal["redriven", "discarded", "skipped", "refused", "left"]


class DecidedLetter(Outward):
    """What became of one dead letter."""

    id: int
    result: Result = Field(
        description="`skipped`: somebody else was faster, or there is none; `refused`: it cannot "
        "be, as `detail` says; `left`: there was no time, send it again."
    )
    detail: str | None
    run: UUID | None = None


class DecidedLetters(BaseModel):
    """What became of each, in the order of the request."""

    items: list[DecidedLetter]
    counts: dict[Result, int] = Field(examples=[{"redriven": 2}])


class Progress(BaseModel):
    """How far a selection has come."""

    pending: int
    redriven: int = 0
    discarded: int = 0
    skipped: int = 0
    refused: int = 0


class Selection(Outward):
    """The dead letters that matched when it was made, and no others."""

    id: UUID
    count: int = Field(validation_alias="letters", description="Send it as `expected_count`.")
    is_capped: bool = Field(
        description="More matched than a selection holds, which is 10,000: these wait longest."
    )
    filters: dict[str, str]
    sample: list[DeadLetter] = Field(description="The first few.")
    created_at: Time
    created_by: str
    expires_at: Time
    action: Literal["redrive", "discard"] | None = Field(description="What was begun with it.")
    begun_at: Time | None
    begun_by: str | None
    progress: Progress
    troubles: list[DecidedLetter] = Field(
        description="The first hundred that were skipped or refused, and why."
    )
