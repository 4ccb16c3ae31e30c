"""The API's description is served by the server itself, and needs nothing else to be read."""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import jsonschema
import pytest

from scheduler.api import reference_page
from scheduler.api.examples import example
from scheduler.app import create_app, describe
from scheduler.settings import ServerSettings
from tests.support import described
from tests.support.api import Api, serving

pytestmark = pytest.mark.anyio
VOID = {"meta", "br", "link", "img"}
DOCUMENT = described.document()
OPERATIONS = [
    (path, method, told)
    for path, methods in DOCUMENT["paths"].items()
    for method, told in methods.items()
]


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


async def page(api: Api) -> str:
    answer = await api.as_role(None).get("http://server/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


class Reader(HTMLParser):
    """What a page is made of; fails where a tag is closed that was not opened last."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


async def test_the_page_needs_no_script_and_no_other_server(api: Api) -> None:
    reader = read(await page(api))
    assert not reader.tags & {"script", "link", "img", "iframe", "object", "form"}
    names = {name for name, _ in reader.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "style")}
    links = [value or "" for name, value in reader.attributes if name == "href"]
    anchors = {value for name, value in reader.attributes if name == "id"}
    for link in links:
        assert link in ("openapi.json", "openapi.yaml") or link.removeprefix("#") in anchors


async def test_its_policy_lets_its_own_style_in_and_nothing_else(api: Api) -> None:
    answer = await api.as_role(None).get("http://server/docs")
    policy = answer.headers["content-security-policy"]
    style = re.search("<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    hash = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{hash}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


async def test_every_operation_is_on_it_with_how_to_ask(api: Api) -> None:
    text = await page(api)
    for path, _, told in OPERATIONS:
        assert f'<details id="{told["operationId"]}">' in text
        assert path in text
    assert "Who may: admin, author, operator." in text
    asks = re.findall(r"<h4>Ask</h4><pre>(.*?)</pre>", text, re.DOTALL)
    assert len(asks) == len(OPERATIONS)


def test_how_to_ask_is_what_a_shell_understands() -> None:
    for path, method, told in OPERATIONS:
        words = shlex.split(reference_page.curl(DOCUMENT, (path, method.upper(), told)))
        assert words[0] == "curl"
        assert words[-1].endswith(path)


def test_examples_are_what_their_schemas_ask_for() -> None:
    for _, _, told in OPERATIONS:
        for media, content in told.get("requestBody", {}).get("content", {}).items():
            if media == "application/json" and content["schema"]:
                schema = {**content["schema"], "components": DOCUMENT["components"]}
                jsonschema.validate(example(DOCUMENT, content["schema"]), schema)


def test_nothing_of_the_document_becomes_markup() -> None:
    evil = '"><script>alert(1)</script>`<img>`'
    told = {
        "operationId": "x",
        "tags": [evil],
        "summary": evil,
        "description": evil,
        "parameters": [
            {"name": evil, "in": "query", "description": evil, "schema": {"enum": [evil]}}
        ],
        "requestBody": {"content": {evil: {"schema": {"type": "string", "examples": [evil]}}}},
        "responses": {"200": {"description": evil, "content": {evil: {}}}},
    }
    document = {
        "info": {"title": evil, "version": evil, "description": evil},
        "paths": {evil: {"get": told}},
    }
    reader = read(reference_page.page(document, {"x": [evil]}))
    assert not reader.tags & {"script", "img"}


async def test_programs_get_the_same_document_in_either_form(api: Api) -> None:
    client = api.as_role(None)
    as_json = await client.get("http://server/openapi.json")
    as_yaml = await client.get("http://server/openapi.yaml")
    assert as_json.headers["content-type"] == "application/json"
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert json.loads(as_json.text) == described.read(as_yaml.text) == DOCUMENT
    assert as_yaml.text == describe(create_app("", ServerSettings()))
    known = {"If-None-Match": as_json.headers["etag"]}
    assert (await client.get("http://server/openapi.json", headers=known)).status_code == 304


async def test_what_a_server_is_set_to_is_what_it_describes(dsn: str) -> None:
    async with serving(dsn, ServerSettings(page_limit=20)) as api:
        document = (await api.as_role(None).get("http://server/openapi.json")).json()
    parameters = document["paths"]["/api/v1/runs"]["get"]["parameters"]
    [limit] = [each for each in parameters if each["name"] == "limit"]
    assert limit["schema"]["maximum"] == 20


async def test_other_methods_are_told_which_there_are(api: Api) -> None:
    for path in ("/docs", "/openapi.json", "/openapi.yaml"):
        refused = await api.admin.post(f"http://server{path}")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert (await api.admin.options(f"http://server{path}")).status_code == 204
        assert (await api.admin.head(f"http://server{path}")).content == b""
