"""ETags: which version of a thing somebody saw, so that an edit never undoes another's."""

import hashlib
import re
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel

from scheduler.domain.errors import Conflict, Invalid

TAG = re.compile(r'"(\d{1,9})(?:\.[0-9a-f]{16})?(?:-gzip)?"')
JSON = "application/json"

IfMatch = Annotated[
    str | None,
    Header(
        max_length=200,
        description="The ETag of what you read: the edit is refused if it was changed since.",
    ),
]


class Outdated(Conflict):
    """It was changed since the caller read it."""


def tag(version: int, shown: BaseModel) -> str:
    """Of the version, which edits are checked by, and of all that is shown, which caches need."""
    digest = hashlib.sha256(shown.model_dump_json().encode()).hexdigest()[:16]
    return f'"{version}.{digest}"'


def label(request: Request, response: Response, version: int, shown: BaseModel) -> bool:
    """Put the ETag on the answer; True if the caller has this very edition already."""
    etag = tag(version, shown)
    response.headers["ETag"] = etag
    return is_known(request, etag)


def is_known(request: Request, etag: str) -> bool:
    wanted = [plain(each) for each in request.headers.get("if-none-match", "").split(",")]
    return "*" in wanted or plain(etag) in wanted


def plain(etag: str) -> str:
    """Without what makes it weak, or tells how the answer was compressed."""
    return etag.strip().removeprefix("W/").replace('-gzip"', '"')


def revalidated(request: Request, response: Response) -> Response:
    """The answer to a GET, with an ETag of what it shows; 304 for those who have just that."""
    if request.method != "GET" or response.status_code != 200 or not is_json(response):
        return response
    etag = response.headers.setdefault("ETag", weak(bytes(response.body)))
    if not is_known(request, etag):
        return response
    return Response(status_code=304, headers={"ETag": etag})


def is_json(response: Response) -> bool:
    return hasattr(response, "body") and response.headers.get("content-type") == JSON


def weak(body: bytes) -> str:
    return f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'


def expected(if_match: str | None) -> int | None:
    """The version that an edit must find; None if any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = TAG.fullmatch(if_match.strip())
    if found is None:
        raise Invalid(
            "this is not an ETag of ours", field="If-Match", remedy="send the ETag of a GET"
        )
    return int(found[1])
