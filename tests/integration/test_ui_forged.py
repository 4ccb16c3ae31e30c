"""Every form of the dashboard, sent as others would send it: refused, and nothing has changed."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from tests.support.api import Api
from tests.support.browser import OWN, Browser, Form, browser, password_form, signed_in
from tests.support.postgres import Databases
from tests.support.screens import Screen, screens
from tests.support.seeded import PASSWORD
from tests.support.seeded_api import a_seeded_api, differing, digests
from ui.access import OPEN, VERDICTS

pytestmark = pytest.mark.anyio

EVIL = "https://evil.example"
# What forms of ours are made of, so that a forged one would do something.
FIELDS = {
    "id": "1", "name": "forged", "why": "forged", "note": "forged", "action": "redrive",
    "decision": "approve", "input": "{}", "next": "/ui", "theme": "dark", "type": "press-line",
    "confirm": "yes", "size": "1", "cron": "* * * * *", "per_minute": "60", "definition": "name: x",
}  # fmt: skip


def urlencoded(token: str | None) -> str:
    return urlencode(FIELDS if token is None else {**FIELDS, "_form": token})


def multipart(token: str | None) -> str:
    fields = {**FIELDS, "_form": token or ""}
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return "".join([*parts, "--x--\r\n"])


@dataclass(frozen=True, slots=True)
class Forged:
    """How it differs from a form of ours, and with what it is refused."""

    statuses: tuple[int, ...] = (403,)
    headers: Mapping[str, str] = field(default_factory=lambda: OWN)
    token: str | None = "own"
    kind: str = "application/x-www-form-urlencoded"
    who: str = "somebody"
    method: str = "POST"


FORGED = {
    "from another site": Forged(headers={"Sec-Fetch-Site": "cross-site", "Origin": EVIL}),
    "from a neighbour": Forged(headers={"Sec-Fetch-Site": "same-site", "Origin": "http://a.server"}),
    "by nobody's hand": Forged(headers={"Sec-Fetch-Site": "none"}),
    "by no browser": Forged(headers={}),
    "from a foreign origin": Forged(headers={"Origin": EVIL}),
    "from an origin without a name": Forged(headers={"Origin": "null"}),
    "with origins that differ": Forged(headers={"Sec-Fetch-Site": "same-origin", "Origin": EVIL}),
    "without a token": Forged(token=None),
    "with a token made up": Forged(token="made up"),
    "with a token of another session": Forged(token="of another"),
    "with a token of a session that ended": Forged(token="of one that ended"),
    "in a session that ended": Forged((401,), token="of one that ended", who="one that ended"),
    "by nobody who is signed in": Forged((401, 403), who="nobody"),
    "as JSON": Forged((415, 422), kind="application/json"),
    "as plain text": Forged((415, 422), kind="text/plain"),
    "as parts": Forged((415, 422), kind="multipart/form-data; boundary=x"),
    "as nothing": Forged((415, 422), kind=""),
    "as an address": Forged((200, 303, 404, 405, 422), method="GET"),
    "by another method": Forged((404, 405), method="PUT"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """A database in use, its forms, and who may send them."""

    api: Api
    forms: list[Screen]
    people: Mapping[str, Browser]
    tokens: Mapping[str | None, str | None]

    async def send(self, screen: Screen, forged: Forged) -> int:
        token = self.tokens[forged.token]
        body = multipart(token) if "multipart" in forged.kind else urlencoded(token)
        client = self.people[forged.who].client
        if forged.method == "GET":
            answer = await client.get(f"{screen.path}?{body}", headers=dict(forged.headers))
        else:
            headers = {**forged.headers, "Content-Type": forged.kind}
            answer = await client.request(forged.method, screen.path, content=body, headers=headers)
        return answer.status_code


@pytest.fixture(scope="module")
async def scene(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    with databases.cloned() as dsn:
        async with (
            a_seeded_api(dsn, tmp_path_factory.mktemp("keys")) as api,
            signed_in(api) as somebody,
            signed_in(api, Role.OPERATOR) as another,
            browser(api) as ended,
            browser(api) as nobody,
        ):
            page = await ended.open("/ui/login")
            await ended.send(password_form(page), name="anna", password=PASSWORD)
            page = await ended.open("/ui")
            kept = dict(ended.client.cookies)
            assert (await ended.send(page.form("/ui/logout"))).status_code == 303
            ended.client.cookies.update(kept)
            tokens = {
                "own": await somebody.form_token(),
                "made up": "0" * 64,
                "of another": dict((await signed_up(another)).fields)["_form"],
                "of one that ended": dict(page.forms[-1].fields)["_form"],
                None: None,
            }
            people = {"somebody": somebody, "one that ended": ended, "nobody": nobody}
            async with await AsyncConnection.connect(dsn) as conn:
                forms = [each for each in await screens(conn) if each.method != "GET"]
            yield Scene(api, forms, people, tokens)


async def signed_up(someone: Browser) -> Form:
    return (await someone.open("/ui")).forms[-1]


@pytest.mark.parametrize("how", FORGED)
async def test_a_form_that_is_not_ours_is_refused_and_changes_nothing(
    scene: Scene, how: str
) -> None:
    forged = FORGED[how]
    before = await digests(scene.api.url)
    forms = [screen for screen in scene.forms if not may_be_sent_by_anybody(screen, forged)]
    answers = [(screen.path, await scene.send(screen, forged)) for screen in forms]
    assert not [answer for answer in answers if answer[1] not in forged.statuses]
    assert differing(before, await digests(scene.api.url)) == []


def may_be_sent_by_anybody(screen: Screen, forged: Forged) -> bool:
    """Who is signed out may sign in and choose colours, with a form of their own cookie."""
    return forged.who == "one that ended" and VERDICTS[screen.name] is OPEN


OF_OTHERS = ("not come from a page of", "not of your session", "a form is sent as", "no form")


async def test_forms_of_ours_are_heard(scene: Scene) -> None:
    """So that what is refused above is refused for how it was sent. The last, since it changes."""
    for screen in scene.forms:
        async with signed_in(scene.api) as somebody:
            fields = {**FIELDS, "_form": await somebody.form_token()}
            answer = await somebody.post(screen.path, fields)
            assert answer.status_code < 500, screen.name
            assert not [each for each in OF_OTHERS if each in answer.text], screen.name
