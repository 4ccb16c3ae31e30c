"""Workers, workflows and a client for Procession."""

from procession.api.definitions import Published
from procession.api.problems import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ProcessionError,
    Refused,
    RunFailed,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from procession.api.runs import Run
from procession.carriers import Rejected
from procession.client import AsyncClient, Client
from procession.connecting import Misconfigured
from procession.context import Cancelled, Context
from procession.telling import Failure
from procession.version import VERSION
from procession.worker import Worker

__version__ = VERSION
__all__ = [
    "AsyncClient",
    "Cancelled",
    "Client",
    "Conflict",
    "Context",
    "Failure",
    "Forbidden",
    "Invalid",
    "Misconfigured",
    "NotFound",
    "ProcessionError",
    "Published",
    "Refused",
    "Rejected",
    "Run",
    "RunFailed",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "Worker",
]
