"""Audit, system and the reference on the dashboard."""

import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from scheduler.services import system
from scheduler.services.access import Role
from scheduler.services.keyring import Keys
from scheduler.settings import MailSettings, Settings, load
from tests.support.api import Api, serving
from tests.support.browser import Browser, signed_in
from tests.support.hostile import HOSTILE

pytestmark = pytest.mark.anyio

PLANTED = {
    "database": "planted-in-the-url",
    "admin": "pn_admin_" + "p" * 43,
    "keys": "cGxhbnRlZC1wbGFudGVkLXBsYW50ZWQtcGxhbnRlZC0=",
    "mail": "planted-of-the-mail",
    "value": "planted-value-of-a-secret",
    "note": "planted-password-of-anna",
}


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        yield api


@pytest.fixture
async def admin(api: Api) -> AsyncIterator[Browser]:
    async with signed_in(api) as browser:
        yield browser


async def test_the_audit_log_is_filtered_and_shows_what_was_before(
    api: Api, admin: Browser
) -> None:
    await api.publish()
    assert (await api.admin.post("/queues/default/pause", json={"note": "cleaning"})).is_success
    assert (await api.admin.post("/queues/default/pause", json={"note": "cleaned"})).is_success
    page = await admin.open("/ui/audit?entity=queues&entity_id=default")
    assert "cleaning" in page.text
    assert "cleaned" in page.text
    assert "pause_queue" in page.text
    assert "process types" not in page.text.split("Before and after")[1]
    line = next(each for each in page.links if each.startswith("/ui/audit/"))
    page = await admin.open(line)
    assert "Changed: queues default" in page.text
    assert page.text.index("cleaning") < page.text.index("cleaned")
    told = (await admin.client.get("/ui/audit?format=json&entity=queues&action=change")).json()
    assert [(each["before"]["note"], each["after"]["note"]) for each in told] == [
        ("cleaning", "cleaned")
    ]
    for path in ("/ui/audit?actor=nobody", "/ui/audit?until=2001-01-01T00:00"):
        assert "No change fits" in (await admin.open(path)).text
    assert "cleaned" in (await admin.open("/ui/audit?since=2001-01-01T00:00&entity=queues")).text


async def test_pages_of_the_audit_log_pass_over_none_and_repeat_none(
    api: Api, admin: Browser
) -> None:
    for number in range(105):
        answer = await api.admin.post("/queues/default/pause", json={"note": f"note {number}"})
        assert answer.is_success
    path, seen = "/ui/audit?entity=queues", list[str]()
    while True:
        page = await admin.open(path)
        seen += dict.fromkeys(each for each in page.links if each.startswith("/ui/audit/"))
        older = [each for each in page.links if "cursor=" in each]
        if not older:
            break
        path = older[0]
    assert len(seen) == len(set(seen)) == 105


async def test_only_admins_see_the_audit_log_and_the_system(api: Api) -> None:
    async with signed_in(api, Role.AUTHOR) as author:
        for path in ("/ui/audit", "/ui/system", "/ui/system/bundle"):
            await author.open(path, 403)
        assert "/ui/audit" not in (await author.open("/ui")).links


async def test_the_system_tells_settings_tables_loops_and_checks(api: Api, admin: Browser) -> None:
    page = await admin.open("/ui/system")
    for said in ("up to date", "PROCESSION_SERVER__POOL", "attempts", "0027", "PostgreSQL"):
        assert said in page.text, said
    assert "nobody does this" in page.text  # in this test no loop of a server runs


def planted(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    url = f"postgresql://app:{PLANTED['database']}@localhost/x"
    monkeypatch.setenv("PROCESSION_DATABASE_URL", url)
    monkeypatch.setenv("PROCESSION_MAIL__PASSWORD", PLANTED["mail"])
    monkeypatch.setenv("PROCESSION_SECRET_KEYS", PLANTED["keys"])
    (tmp_path / "procession_admin_token").write_text(PLANTED["admin"])
    monkeypatch.setenv("PROCESSION_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("PROCESSION_SERVER__POOL", "9")
    settings = load().model_copy(update={"data_dir": tmp_path})
    api.app.state.settings = settings
    api.app.state.keys = Keys(text=PLANTED["keys"])
    return settings


async def test_no_secret_is_in_the_file_for_helpers(
    api: Api, admin: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = planted(api, tmp_path, monkeypatch)
    assert settings.mail.password is not None
    assert settings.admin_token is not None
    assert settings.admin_token.get_secret_value() == PLANTED["admin"]
    put = await api.admin.put("/secrets/planted", json={"value": PLANTED["value"]})
    assert put.is_success, put.text
    tokens = dict(api.tokens)
    page = await admin.open("/ui/system")
    answer = await admin.client.get("/ui/system/bundle")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        files = {name: packed.read(name).decode() for name in packed.namelist()}
    assert {"procession/settings.json", "procession/tables.json", "procession/checks.json"} <= {
        *files
    }
    for text in (page.answer.text, *files.values()):
        for secret in (*PLANTED.values(), *tokens.values()):
            assert secret not in text
    told = {each["name"]: each for each in json.loads(files["procession/settings.json"])}
    assert told["mail.password"]["value"] == "set, and not shown"
    assert told["admin_token"]["source"] == (
        "file procession_admin_token in PROCESSION_SECRETS_DIR"
    )
    assert told["database_url"]["source"] == "environment, PROCESSION_DATABASE_URL"
    assert (told["server.pool"]["value"], told["server.pool"]["source"]) == (
        "9", "environment, PROCESSION_SERVER__POOL",
    )  # fmt: skip
    assert told["server.port"]["source"] == "default"
    assert told["data_dir"]["source"] == "given at the start"


def test_a_group_of_settings_may_come_from_one_variable() -> None:
    settings = Settings(mail=MailSettings(host="mx", password=SecretStr("x")))
    found = {
        each.name: each
        for each in system.settings_of(settings, {"procession_mail": '{"host": "mx"}'})
    }
    assert found["mail.host"].source == "environment, procession_mail"
    assert found["mail.password"].value == "set, and not shown"
    assert found["mail.password"].is_secret
    assert "PROCESSION_MAIL" not in os.environ


async def test_operations_and_commands_are_found_by_a_word(api: Api) -> None:
    async with signed_in(api, Role.VIEWER) as viewer:
        page = await viewer.open("/ui/reference?q=dead")
        assert "/api/v1/dead-letters/{letter}/redrive" in page.text
        assert "/api/v1/queues" not in page.text
        assert "/docs#redrive_dead_letter" in page.links
        page = await viewer.open("/ui/reference/commands?q=drain")
        assert "procession workers drain NAME" in page.text
        assert "procession queues" not in page.text
        page = await viewer.open("/ui/reference/commands")
        assert "procession start" in page.text
        assert (
            "No command has these words"
            in (await viewer.open(f"/ui/reference/commands?q={HOSTILE[0][:20]}")).text
        )
        assert "X-Hub-Signature-256" in (await viewer.open("/ui/reference/webhooks")).text
