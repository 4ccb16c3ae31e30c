"""Views of runs under a name, kept by the browser that made them."""

import base64
import binascii
import json
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response

from scheduler.domain.errors import Invalid
from ui import frame, query
from ui.pages.runs.listing import LIST
from ui.pages.runs.routes import router

COOKIE = "run_views"
MOST = 12
LONGEST = 3_000  # bytes; browsers keep 4,096
NAME = 40
KEPT = (*(each.name for each in LIST.fields), "view", "columns", "last")
YEAR = 31_536_000


def of(request: Request) -> list[tuple[str, str]]:
    """Name and query of each; whatever cannot be read is none."""
    try:
        packed = request.cookies.get(COOKIE, "").encode()
        found = json.loads(base64.urlsafe_b64decode(packed + b"=" * (-len(packed) % 4)))
        return [(str(name)[:NAME], tidy(str(asked))) for name, asked in found[:MOST]]
    except (ValueError, TypeError, binascii.Error):
        return []


def tidy(asked: str) -> str:
    """What a view may hold, and no address of elsewhere."""
    return urlencode([pair for pair in parse_qsl(asked) if pair[0] in KEPT])


def here(request: Request) -> str:
    """This view, as it would be kept."""
    return urlencode([pair for pair in query.pairs(request) if pair[0] in KEPT])


@router.post("/runs/views")
async def ui_runs_view(request: Request) -> Response:
    """Keep a view under a name, or forget one."""
    form = request.state.form
    name, asked = form.get("name").strip()[:NAME], tidy(form.get("asked"))
    if not name:
        raise Invalid("give the view a name", field="name")
    left = [each for each in of(request) if each[0] != name]
    views = left if "forget" in form else [*left, (name, asked)]
    packed = base64.urlsafe_b64encode(json.dumps(views).encode()).decode().rstrip("=")
    if len(views) > MOST or len(packed) > LONGEST:
        raise Invalid(f"a browser keeps {MOST} short views: forget one first", field="name")
    answer = frame.see(f"/ui/runs?{asked}" if asked else "/ui/runs")
    answer.set_cookie(
        COOKIE, packed, max_age=YEAR, path="/ui", httponly=True, samesite="lax",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return answer
