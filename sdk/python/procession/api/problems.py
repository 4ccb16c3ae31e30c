"""What a server says when it cannot do what it was asked, as exceptions.

ProcessionError
├── Unreachable       nobody answered
└── Refused           `status`, and the words of the server
    ├── Unauthorized  401: no token that is known
    ├── Forbidden     403: its role may not do this
    ├── NotFound      404
    ├── Conflict      409, 412: not in a state that allows this
    ├── Invalid       413, 415, 422: the request makes no sense
    └── Unavailable   429, 502, 503, 504: ask again later
RunFailed             a run that was waited for did not complete
"""

import json
from collections.abc import Mapping
from typing import Any


class ProcessionError(Exception):
    """Whatever goes wrong between a client and its server."""


class Unreachable(ProcessionError):
    """Nobody answered."""


class Refused(ProcessionError):
    """`detail` says why, `field` and `faults` what is wrong there, `remedy` what to do."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.detail = str(problem.get("detail") or f"the server answered {status}")
        self.field: str | None = problem.get("field")
        self.faults: list[Mapping[str, Any]] = list(problem.get("faults") or ())
        self.remedy: str | None = problem.get("remedy")
        super().__init__(self.sentence())

    def sentence(self) -> str:
        place = f"{self.field}: " if self.field and self.field not in self.detail else ""
        more = [each for each in self.faults if str(each.get("message")) not in self.detail]
        faults = "".join(f"\n  {worded(each)}" for each in more)
        return f"{place}{self.detail}{faults}" + (f" ({self.remedy})" if self.remedy else "")


class Unauthorized(Refused):
    pass


class Forbidden(Refused):
    pass


class NotFound(Refused):
    pass


class Conflict(Refused):
    pass


class Invalid(Refused):
    pass


class Unavailable(Refused):
    pass


class RunFailed(ProcessionError):
    """A run ended otherwise than by being completed."""

    def __init__(self, run: str, status: str, error: str | None) -> None:
        self.run, self.status, self.error = run, status, error
        super().__init__(f"the run {run} is {status}" + (f": {error}" if error else ""))


KINDS: Mapping[int, type[Refused]] = {
    401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 412: Conflict,
    413: Invalid, 415: Invalid, 422: Invalid,
    429: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable,
}  # fmt: skip


def refusal(status: int, content: bytes) -> Refused:
    return KINDS.get(status, Refused)(status, read(content))


def read(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def worded(fault: Mapping[str, Any]) -> str:
    return f"{fault.get('field')}: {fault.get('message')}"
