"""Refusals become RFC 9457 problem documents here, and nowhere else."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from psycopg import DataError, Error, InterfaceError, OperationalError, errors
from psycopg_pool import PoolClosed, PoolTimeout
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from scheduler.api.bodies import CONFIDENTIAL, Malformed, TooLarge, UnknownMedia
from scheduler.api.editions import Outdated
from scheduler.api.methods import allowed
from scheduler.api.once import REPLAYED
from scheduler.api.ranges import Unsatisfiable
from scheduler.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    InvalidDefinition,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from scheduler.services.answers import ShownOnce

log = logging.getLogger(__name__)

# The first that fits: what is special stands before its family.
STATUS: Mapping[type[Refusal], int] = {
    TooLarge: 413,
    UnknownMedia: 415,
    Malformed: 422,
    Unsatisfiable: 416,
    NotFound: 404,
    Outdated: 412,
    Conflict: 409,
    Invalid: 422,
    Forbidden: 403,
    Unauthenticated: 401,
    TooMany: 429,
    Unavailable: 503,
}
HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="procession"'},
    503: {"Retry-After": "2"},
}
AWAY = (
    OperationalError,
    InterfaceError,
    errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
    PoolClosed,
)
MEDIA_TYPE = "application/problem+json"


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    field: str = Field(description="Where it stands.", examples=["input.day"])
    message: str = Field(examples=["Input should be a valid string"])
    value: Any = Field(default=None, description="What was sent, shortened.")


class Problem(BaseModel):
    """An answer to a request that was not carried out (RFC 9457)."""

    type: str = Field(examples=["urn:procession:problem:conflict"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(
        description="For the person who asked.",
        examples=["a process record 'nightly' already exists: choose another id"],
    )
    instance: str = Field(examples=["/api/v1/process-records"])
    field: str | None = Field(default=None, description="The field that is at fault, if one is.")
    remedy: str | None = Field(default=None, description="What to do about it.")
    faults: list[Fault] | None = Field(
        default=None, description="All that is wrong with the request."
    )


def answer(request: Request, status: int, kind: str, detail: str, **more: Any) -> JSONResponse:
    problem = Problem(
        type=f"urn:procession:problem:{kind}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=request.url.path,
        **more,
    )
    content = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status, HEADERS.get(status), media_type=MEDIA_TYPE)


async def refuse(request: Request, error: Exception) -> Response:
    refusal = cast("Refusal", error)
    status = next(code for family, code in STATUS.items() if isinstance(refusal, family))
    faults = None
    if isinstance(refusal, InvalidDefinition):
        faults = [Fault(field="definition", message=each) for each in refusal.faults]
    refused = answer(
        request,
        status,
        kind_of(status),
        printable(str(refusal)),
        field=refusal.field,
        remedy=refusal.remedy,
        faults=faults,
    )
    refused.headers.update(told_besides(refusal))
    return refused


def told_besides(refusal: Refusal) -> dict[str, str]:
    if isinstance(refusal, TooMany):
        return {"Retry-After": str(refusal.seconds)}
    return {REPLAYED: "true"} if isinstance(refusal, ShownOnce) else {}


def kind_of(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")


def printable(text: str) -> str:
    """What came from outside may come back in a message: never more than JSON can carry."""
    return text.encode("utf-8", "replace").decode()[:4000]


async def refuse_input(request: Request, error: Exception) -> Response:
    errors = cast("RequestValidationError", error).errors()
    if is_elsewhere(request, errors):
        return await refuse_route(request, HTTPException(405))
    confidential = getattr(request.scope.get("route"), "name", None) in CONFIDENTIAL
    faults = [fault_of(each, shown=not confidential) for each in errors]
    first = faults[0]
    return answer(
        request,
        422,
        "invalid-request",
        f"{first.field}: {first.message}",
        field=first.field,
        remedy="openapi.yaml describes what this takes",
        faults=faults[:20],
    )


def is_elsewhere(request: Request, errors: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the word that is no id here is the name of an address with other methods."""
    in_path = any(each["loc"][0] == "path" for each in errors)
    return in_path and request.method not in allowed(request.app, request.scope)


def fault_of(error: Mapping[str, Any], *, shown: bool) -> Fault:
    return Fault(
        field=path_of(error["loc"]),
        message=str(error["msg"]),
        value=shortened(error.get("input")) if shown else None,
    )


def path_of(location: Sequence[int | str]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return printable(path.lstrip("."))[:300]


def shortened(value: Any) -> Any:
    """Enough to know it again; nothing that JSON cannot say."""
    if value is None or isinstance(value, bool):
        return value
    text = printable(value if isinstance(value, str) else repr(value))
    return text if len(text) <= 100 else text[:99] + "…"


async def refuse_route(request: Request, error: Exception) -> Response:
    """No such path, or no such method on it; OPTIONS is answered with what there is."""
    status = cast("HTTPException", error).status_code
    methods = ", ".join(sorted(allowed(request.app, request.scope)))
    if status == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": methods})
    if status == 405:
        refused = answer(
            request, 405, "method-not-allowed", f"use one of {methods}", remedy=methods
        )
        refused.headers["Allow"] = methods
        return refused
    if status == 404:
        return answer(
            request, 404, "not-found", "there is nothing at this address", remedy="see /api/v1"
        )
    return answer(request, status, kind_of(status), str(cast("HTTPException", error).detail))


async def refuse_away(request: Request, error: Exception) -> Response:
    log.warning("database away", extra={"error": str(error).strip(), "path": request.url.path})
    detail = "the database cannot be reached at the moment"
    return answer(request, 503, "unavailable", detail, remedy="ask again in a few seconds")


async def refuse_data(request: Request, error: Exception) -> Response:
    """A value that passed every check of ours, and that PostgreSQL does not take."""
    log.warning("value refused by the database", extra={"error": str(error).strip()})
    detail = f"a value cannot be stored: {first_line(error)}"
    return answer(request, 422, "invalid-request", detail)


def first_line(error: Exception) -> str:
    return printable((str(error).strip().splitlines() or ["no reason given"])[0])


async def leave(request: Request, error: Exception) -> Response:
    """Who asked has gone before the end of the body: nobody reads this."""
    return Response(status_code=400)


async def fail(request: Request, error: Exception) -> Response:
    """A fault of ours: the details are for the log."""
    return answer(
        request, 500, "internal", "this server made a mistake; its log says which", remedy=None
    )


def install(app: FastAPI) -> None:
    app.add_exception_handler(Refusal, refuse)
    app.add_exception_handler(RequestValidationError, refuse_input)
    app.add_exception_handler(HTTPException, refuse_route)
    for away in AWAY:
        app.add_exception_handler(away, refuse_away)
    app.add_exception_handler(DataError, refuse_data)
    app.add_exception_handler(ClientDisconnect, leave)
    app.add_exception_handler(Error, fail)
    app.add_exception_handler(Exception, fail)
