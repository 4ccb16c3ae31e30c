"""Whatever has no question of its own: any operation and any list of the API."""

from typing import Any

from procession.api.plans import Json, Plan, Request, ask, pages, post, present, send


def call(
    method: str, path: str, body: Any = None, *, key: str | None = None, **params: Any
) -> Plan[Any]:
    """Any operation by its method and path, `/api/v1/…`; answers what JSON it answers."""
    return (yield from ask(request_of(method.upper(), path, body, key, params)))


def request_of(
    method: str, path: str, body: Any, key: str | None, params: dict[str, Any]
) -> Request:
    if method == "POST":
        made = post(path, body, key=key)
    elif body is None:
        made = Request(method, path)
    else:
        made = send(method, path, body)
    return Request(made.method, path, present(params), made.headers, made.content)


def list_all(path: str, most: int | None = None, **params: Any) -> Plan[list[Json]]:
    """All items of any list, or so many, over as many pages as that takes."""
    return (yield from pages(path, most, **params))
