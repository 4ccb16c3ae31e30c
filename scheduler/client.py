"""A client of the API, for the command line: asks, and says what went wrong."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from scheduler.address import Address, is_loopback


class Refused(Exception):
    """One line for the person who asked; `status` is None if nobody answered."""

    def __init__(self, message: str, status: int | None = None, remedy: str | None = None):
        super().__init__(message)
        self.status = status
        self.remedy = remedy

    @property
    def may_pass(self) -> bool:
        """Whether the same question may be answered a little later."""
        return self.status in (None, 502, 503, 504)


class Client:
    def __init__(self, address: Address) -> None:
        headers = {"User-Agent": "procession-cli"}
        if address.token:
            headers["Authorization"] = f"Bearer {address.token}"
        self._url = address.url
        self._http = httpx.Client(
            base_url=f"{address.url}/api/v1",
            headers=headers,
            timeout=httpx.Timeout(30, connect=5, read=75),
            trust_env=not is_loopback(address.url),
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Any:
        return self.ask("GET", path, params=present(params))

    def post(self, path: str, body: Any = None, **headers: str | None) -> Any:
        return self.ask("POST", path, json=body or {}, headers=dashed(headers))

    def patch(self, path: str, body: Any) -> Any:
        return self.ask("PATCH", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self.ask("PUT", path, json=body)

    def delete(self, path: str) -> None:
        self.ask("DELETE", path)

    def send_text(self, path: str, text: bytes, kind: str) -> Any:
        return self.ask("POST", path, content=text, headers={"Content-Type": kind})

    def ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        refuse(answer)
        return answer.json() if answer.content else None

    @contextmanager
    def stream(self, path: str, **params: Any) -> Iterator[httpx.Response]:
        timeout = httpx.Timeout(30, connect=5, read=None)
        try:
            with self._http.stream("GET", path, params=present(params), timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    refuse(answer)
                yield answer
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def pages(self, path: str, limit: int, **params: Any) -> list[Any]:
        """At most `limit` items, over as many pages as that takes."""
        items: list[Any] = []
        cursor = None
        while len(items) < limit:
            size = min(200, limit - len(items))
            page = self.get(path, **params, limit=size, cursor=cursor)
            items += page["items"]
            if (cursor := page["next"]) is None:
                break
        return items

    def _unreachable(self, error: httpx.HTTPError) -> Refused:
        reason = str(error) or type(error).__name__
        return Refused(f"the server at {self._url} does not answer: {reason}")


def present(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def dashed(headers: Mapping[str, str | None]) -> dict[str, str]:
    """`Idempotency_Key` as Python writes it."""
    return {name.replace("_", "-"): value for name, value in headers.items() if value is not None}


def refuse(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    try:
        problem = answer.json()
        detail, remedy = str(problem["detail"]), problem.get("remedy")
    except (ValueError, KeyError, TypeError):
        detail, remedy = f"the server answered {answer.status_code}", None
    raise Refused(detail, answer.status_code, remedy)
