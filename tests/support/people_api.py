"""Users of a test, with passwords and tokens."""

from typing import Any

import httpx

from scheduler.services import sessions
from scheduler.settings import SignInSettings
from scheduler.store import connections
from tests.support.api import Api

PASSWORD = "quiet hedge in October"
HOME = "192.0.2.7"


async def a_user(api: Api, name: str = "anna", role: str = "operator", **more: Any) -> str:
    answer = await api.admin.post("/users", json={"name": name, "role": role, **more})
    assert answer.status_code == 201, answer.text
    return name


async def a_link(api: Api, name: str) -> str:
    answer = await api.admin.post(f"/users/{name}/password-link")
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


async def with_password(api: Api, name: str = "anna", role: str = "operator") -> str:
    await a_user(api, name, role)
    body = {"token": await a_link(api, name), "password": PASSWORD}
    answer = await api.as_role(None).post("/password", json=body)
    assert answer.status_code == 204, answer.text
    return name


async def a_token(api: Api, user: str | None = None, **wish: Any) -> dict[str, Any]:
    body = {"name": "theirs", "role": "viewer", "user": user, **wish}
    answer = await api.admin.post("/tokens", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def by(token: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token['token']}"}


async def ask(
    api: Api, token: dict[str, Any], method: str, path: str, **more: Any
) -> httpx.Response:
    return await api.as_role(None).request(method, path, headers=by(token), **more)


async def sign_in(
    api: Api,
    name: str = "anna",
    password: str = PASSWORD,
    *,
    source: str = HOME,
    settings: SignInSettings | None = None,
) -> str:
    async with await connections.connect(api.url, name="test") as conn:
        return await sessions.begin(
            conn,
            name,
            password,
            source=source,
            agent="a browser",
            settings=settings or SignInSettings(),
        )


async def signed_in(api: Api, token: str) -> sessions.Session | None:
    async with await connections.connect(api.url, name="test") as conn:
        return await sessions.find(conn, token, SignInSettings())
