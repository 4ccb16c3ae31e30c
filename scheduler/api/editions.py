"""ETags: which version of a thing somebody saw, so that an edit never undoes another's."""

import hashlib
import re
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel

from scheduler.domain.errors import Conflict, Invalid

TAG = re.compile(r'"(\d{1,9})(?:\.[0-9a-f]{16})?"')

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
    wanted = request.headers.get("if-none-match", "")
    return etag in [each.strip().removeprefix("W/") for each in wanted.split(",")]


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
