"""A browser of a test: it keeps cookies, sends forms as browsers do, and reads pages."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx

from scheduler.services.access import Role
from tests.support.api import Api

ORIGIN = "http://server"
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}
VOID = {"meta", "link", "img", "input", "br"}


@dataclass
class Form:
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)


class Page(HTMLParser):
    """Its elements as a browser would see them."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.answer = answer
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: list[Form] = []
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        self.tags.append((tag, told))
        if tag == "form":
            self.forms.append(Form(told.get("action", "")))
        elif tag == "input" and self.forms and told.get("type") not in ("checkbox", "radio"):
            self.forms[-1].fields.append((told.get("name", ""), told.get("value", "")))
        if tag not in VOID:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "script" not in self._inside:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.texts))

    @property
    def links(self) -> list[str]:
        return [told["href"] for tag, told in self.tags if tag == "a" and "href" in told]

    def form(self, ending: str) -> Form:
        """The form whose action ends so."""
        return next(each for each in self.forms if each.action.endswith(ending))


@dataclass
class Browser:
    client: httpx.AsyncClient

    async def open(self, path: str, status: int = 200) -> Page:
        answer = await self.client.get(path, headers={"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text[-600:]}"
        return Page(answer)

    async def send(self, form: Form, **fields: Any) -> httpx.Response:
        """As it stands in the page, with some fields filled in."""
        values: dict[str, Any] = {**dict(form.fields), **fields}
        return await self.post(form.action, values)

    async def post(
        self, path: str, values: Mapping[str, Any], headers: Mapping[str, str] = OWN
    ) -> httpx.Response:
        return await self.client.post(path, data=dict(values), headers=dict(headers))

    async def form_token(self, page: str = "/ui") -> str:
        return dict((await self.open(page)).forms[-1].fields)["_form"]


@asynccontextmanager
async def browser(api: Api) -> AsyncIterator[Browser]:
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, timeout=30) as client:
        yield Browser(client)


@asynccontextmanager
async def signed_in(api: Api, role: Role = Role.ADMIN) -> AsyncIterator[Browser]:
    """With an API token of that role."""
    async with browser(api) as someone:
        page = await someone.open("/ui/login")
        answer = await someone.send(token_form(page), token=api.tokens[role])
        assert answer.status_code == 303, answer.text
        yield someone


def token_form(page: Page) -> Form:
    return next(form for form in page.forms if "token" in dict(form.fields))


def password_form(page: Page) -> Form:
    return next(form for form in page.forms if "password" in dict(form.fields))


def unescaped(page: Page, payloads: Sequence[str]) -> list[str]:
    """What became markup of what should be text."""
    bad = [told for tag, told in page.tags if any(name.startswith("on") for name in told)]
    wild = [tag for tag, told in page.tags if tag == "script" and "src" not in told]
    raw = [each for each in payloads if "<" in each and each in page.answer.text]
    links = [href for href in page.links if href.lower().strip().startswith("javascript:")]
    return [*map(str, bad), *wild, *raw, *links]
