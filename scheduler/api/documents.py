"""The API's description: what every operation has in common, and openapi.yaml."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml
from fastapi import FastAPI
from pydantic import BaseModel

from scheduler.api.pages import MOST
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


JSON = "application/json"
REPLAYED = {
    "description": "`true` if an earlier request with this key was answered so.",
    "schema": {"type": "string"},
}
KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request is answered as it was the first time.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
}
ETAG = {"description": "Names the edition that is shown.", "schema": {"type": "string"}}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of an edition that is known: 304 if it is the one that there is.",
    "schema": {"type": "string"},
}


def problems(*statuses: int) -> Responses:
    """The refusals of an operation, those that all have among them."""
    return {status: refusal(status) for status in (*statuses, *ALWAYS)}


def refusal(status: int) -> dict[str, Any]:
    """Without its model: one would be built for each status of each route, at every start."""
    return {
        "description": MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


@dataclass(frozen=True, slots=True)
class Traits:
    """Operations, by their names, that need no token, that workstations ask for themselves, and
    that take an idempotency key; and how much one page may hold."""

    open: frozenset[str]
    stations: frozenset[str]
    keyed: frozenset[str]
    page: int


def described(app: FastAPI, traits: Traits) -> dict[str, Any]:
    """The OpenAPI document, with the security of each operation and no more than is true."""
    document = deepcopy(app.openapi())
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "pn_ROLE_…"},
        "workstation": {
            "type": "http",
            "scheme": "bearer",
            "description": "pn_station_…, of the workstation that the address names",
        },
    }
    document["security"] = [{"token": []}]
    for path in document["paths"].values():
        for method, operation in path.items():
            tidy(method, operation, traits)
    schemas = document["components"]["schemas"]
    schemas |= schemas_of(Problem)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def schemas_of(model: type[BaseModel]) -> dict[str, Any]:
    """A model and those that it holds, as FastAPI would describe them: no default is null."""
    told = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = {**told.pop("$defs", {}), model.__name__: told}
    for each in schemas.values():
        for field in each.get("properties", {}).values():
            if field.get("default", "") is None:
                del field["default"]
    return schemas


def tidy(method: str, operation: dict[str, Any], traits: Traits) -> None:
    if operation["operationId"] in traits.open:
        operation["security"] = []
    if operation["operationId"] in traits.stations:
        operation["security"] = [{"workstation": []}]
    if operation["operationId"] in traits.keyed:
        tell_key(operation)
    for parameter in operation.get("parameters", []):
        bound_page(parameter, traits.page)
        if parameter["in"] == "path":
            add_refusal(operation, 404)
    if "requestBody" in operation:
        for status in (413, 415, 422):
            add_refusal(operation, status)
    if method == "get" and JSON in operation["responses"].get("200", {}).get("content", {}):
        tell_editions(operation)


def bound_page(parameter: dict[str, Any], most: int) -> None:
    if parameter["name"] == "limit" and parameter["schema"].get("maximum") == MOST:
        parameter["schema"]["maximum"] = most


def tell_key(operation: dict[str, Any]) -> None:
    operation.setdefault("parameters", []).append(deepcopy(KEY))
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            response.setdefault("headers", {})["Idempotency-Replayed"] = deepcopy(REPLAYED)
    for status in (409, 422):
        add_refusal(operation, status)


def tell_editions(operation: dict[str, Any]) -> None:
    """Lists and single things alike say which edition they show."""
    names = [each["name"] for each in operation.setdefault("parameters", [])]
    if "If-None-Match" not in names:
        operation["parameters"].append(deepcopy(IF_NONE_MATCH))
    operation["responses"]["200"].setdefault("headers", {})["ETag"] = deepcopy(ETAG)
    operation["responses"]["304"] = {"description": "Nothing has changed since that edition."}


def add_refusal(operation: dict[str, Any], status: int) -> None:
    operation["responses"].setdefault(str(status), refusal(status))


def as_yaml(document: dict[str, Any]) -> str:
    fast = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # a second less, in which none is answered
    return str(yaml.dump(document, None, fast, sort_keys=True, allow_unicode=True, width=100))
