"""The API's description: what every operation has in common, and openapi.yaml."""

from typing import Any

import yaml
from fastapi import FastAPI

from scheduler.api.problems import MEDIA_TYPE, Problem

Responses = dict[int | str, dict[str, Any]]

MEANINGS = {
    401: "No token, or one that is unknown, expired or revoked.",
    403: "The role of the token may not do this.",
    404: "There is no such thing.",
    409: "It is not in a state that allows this.",
    412: "It was changed meanwhile.",
    413: "The body is too large.",
    415: "The body is of a type that is not read here.",
    416: "There is nothing in this range.",
    422: "The request makes no sense; `faults` names the fields.",
    429: "Asked too often; `Retry-After` says when to ask again.",
    503: "The database is away: ask again later.",
}
ALWAYS = (401, 403, 503)
CREATED: Responses = {
    201: {
        "headers": {
            "Location": {"description": "Where it is.", "schema": {"type": "string"}},
            "Idempotency-Replayed": {
                "description": "`true` if an earlier request with this key made it.",
                "schema": {"type": "string"},
            },
        }
    }
}
DESCRIPTION = """Processes of commands, calls and code, driven over HTTP.

Every request carries `Authorization: Bearer TOKEN`. Times are RFC 3339 in UTC. Keys that are not
known are refused. Refusals are problem documents (RFC 9457) that name the field and the remedy.
"""


def problems(*statuses: int) -> Responses:
    """The refusals of an operation, those that all have among them."""
    return {status: refusal(status) for status in (*statuses, *ALWAYS)}


def refusal(status: int) -> dict[str, Any]:
    return {
        "description": MEANINGS[status],
        "model": Problem,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def described(app: FastAPI, open_operations: frozenset[str]) -> dict[str, Any]:
    """The OpenAPI document, with the security of each operation and no more than is true."""
    document = app.openapi()
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "pn_ROLE_…"}
    }
    document["security"] = [{"token": []}]
    for path in document["paths"].values():
        for operation in path.values():
            tidy(operation, open_operations)
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document


def tidy(operation: dict[str, Any], open_operations: frozenset[str]) -> None:
    if operation["operationId"] in open_operations:
        operation["security"] = []
    for status, response in operation["responses"].items():
        if status.isdecimal() and int(status) >= 400:
            response["content"] = {MEDIA_TYPE: response["content"][MEDIA_TYPE]}


def as_yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=True, allow_unicode=True, width=100)
