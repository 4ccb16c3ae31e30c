"""Ad-hoc commands: `procession exec` over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from scheduler.api import starting
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import CREATED, problems
from scheduler.api.models import Inward, Run
from scheduler.api.starting import Key, Prefer
from scheduler.api.state import By, TheServer
from scheduler.domain.adhoc import TASK, AdHoc
from scheduler.domain.definitions import QUEUE
from scheduler.services import commands

router = APIRouter(prefix="/commands", tags=["runs"], route_class=GuardedRoute)


class Command(Inward):
    """What to run, and where. No shell reads it, unless `argv` names one."""

    argv: Annotated[
        list[str],
        Field(min_length=1, max_length=10_000, examples=[["tar", "-czf", "/srv/a.tgz", "/srv/a"]]),
    ]
    name: str = Field(default=TASK, description="What its task is called.")
    queue: str = QUEUE
    on: dict[str, Any] | None = Field(
        default=None,
        description="The workstation, as `on` of a task says it.",
        examples=[{"workstation": "press-2"}],
    )
    cwd: str | None = Field(default=None, description="`/` if left out.")
    env: dict[str, str] = Field(default_factory=dict, description="All of it: none is inherited.")
    stdin: str | None = None
    timeout: str | float | None = Field(default=None, examples=["10m"])
    merge_output: bool = False
    on_lost: Literal["retry", "fail", "wait"] = Field(
        default="fail", description="What follows if nobody can say how it ended."
    )


@router.post("", status_code=201, responses=CREATED | problems(409, 422))
async def run_command(
    wish: Command,
    response: Response,
    server: TheServer,
    by: By,
    key: Key = None,
    prefer: Prefer = None,
) -> Run:
    """Run a command once, as a run of one task."""
    ad_hoc = AdHoc(**wish.model_dump())
    return await starting.started(
        server,
        response,
        lambda conn: commands.start(conn, server.catalog, ad_hoc, by=by, key=key),
        prefer,
    )
