"""Variables: values that definitions read as `vars.NAME`, set for the whole system."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.state import By, Conn
from scheduler.services import variables
from scheduler.store import variables as stored

router = APIRouter(prefix="/variables", tags=["variables"], route_class=GuardedRoute)

Name = Annotated[
    str, Path(alias="variable", min_length=1, max_length=63, examples=["report_folder"])
]


class Variable(Outward):
    name: str
    value: Any
    note: str
    version: int = Field(description="Rises with each change.")
    updated_at: Time
    updated_by: str


class SetVariable(Inward):
    value: Any = Field(description="Any JSON of 16 KiB at most.", examples=["/srv/reports"])
    note: Annotated[str, Field(max_length=2000)] = ""


class Variables(BaseModel):
    items: list[Variable]


@router.get("", responses=problems())
async def list_variables(conn: Conn) -> Variables:
    """List the variables of the system, by name. No secrets are kept here."""
    return Variables(items=[Variable.model_validate(row) for row in await stored.all(conn)])


@router.get("/{variable}", responses=problems(404, 422))
async def get_variable(variable: Name, conn: Conn) -> Variable:
    """Show a variable."""
    return Variable.model_validate(await variables.get(conn, variable))


@router.put(
    "/{variable}",
    responses={**problems(413, 422), 201: {"description": "It is new.", "model": Variable}},
)
async def set_variable(
    variable: Name, wish: SetVariable, conn: Conn, by: By, response: Response
) -> Variable:
    """Set a variable. Tasks that become ready from now on read the new value."""
    row, made = await variables.set(conn, variable, wish.value, note=wish.note, by=by)
    response.status_code = 201 if made else 200
    return Variable.model_validate(row)


@router.delete("/{variable}", status_code=204, responses=problems(404, 422))
async def delete_variable(variable: Name, conn: Conn) -> None:
    """Delete a variable. A task whose expressions read it can't be made ready any more."""
    await variables.delete(conn, variable)
