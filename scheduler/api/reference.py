"""The API's description, for people and for programs. It is the same for everybody, and no secret:
whoever looks at it in a browser has no token to send."""

import json
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from scheduler.api import reference_page
from scheduler.api.access import VERDICTS, GuardedRoute
from scheduler.api.documents import Responses, as_yaml, problems

router = APIRouter(tags=["documentation"], route_class=GuardedRoute)

PAGE = {"Content-Security-Policy": reference_page.POLICY, "Cache-Control": "no-cache"}
YAML = "application/yaml"


def told(media: str, description: str) -> Responses:
    schema = {"type": "string" if media == "text/html" else "object"}
    return {200: {"description": description, "content": {media: {"schema": schema}}}, **OPEN}


OPEN: Responses = {status: each for status, each in problems(422).items() if status == 422}


@router.get("/docs", response_class=HTMLResponse, responses=told("text/html", "A page."))
async def get_docs(request: Request) -> Response:
    """The API as a page to read, which needs nothing but this server."""
    return HTMLResponse(pages(request)["page"], headers=PAGE)


@router.get("/openapi.json", responses=told("application/json", "OpenAPI 3.1."))
async def get_openapi_json(request: Request) -> Response:
    """The API as OpenAPI 3.1, in JSON."""
    return Response(pages(request)["json"], media_type="application/json")


@router.get("/openapi.yaml", response_class=Response, responses=told(YAML, "OpenAPI 3.1."))
async def get_openapi_yaml(request: Request) -> Response:
    """The API as OpenAPI 3.1, in YAML."""
    return Response(pages(request)["yaml"], media_type=YAML)


def pages(request: Request) -> dict[str, str]:
    """All three, made when somebody first asks for one."""
    state = request.app.state
    if not hasattr(state, "reference"):
        state.reference = made(state.document())
    found: dict[str, str] = state.reference
    return found


def made(document: dict[str, Any]) -> dict[str, str]:
    return {
        "page": reference_page.page(document, VERDICTS),
        "json": json.dumps(document, ensure_ascii=False),
        "yaml": as_yaml(document),
    }
