"""Workstations on the dashboard: the fleet, one of them, invitations and the station page."""

import base64
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services.access import Role
from scheduler.services.keyring import Keys
from tests.support import seeded_workstations
from tests.support.api import Api, serving
from tests.support.browser import Browser, Page, signed_in
from tests.support.builders import engine, publish, start

pytestmark = pytest.mark.anyio

WORK = """
name: pressing
input: {type: object, properties: {tool: {type: string}}}
tasks:
  - name: change
    description: Put ${{ input.tool }} in.
    run: [echo, x]
    on: {workstation: presse-1}
  - {name: far, run: [echo, x], needs: [], on: {workstation: presse-3}}
"""


@pytest.fixture
async def api(dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        keys = tmp_path / "secret.keys"
        keys.write_text(base64.b64encode(os.urandom(32)).decode())
        keys.chmod(0o600)
        api.app.state.keys = Keys(file=keys)
        yield api


@pytest.fixture
async def fleet(api: Api, dsn: str) -> Api:
    """Eight of them, of which two have something in hand."""
    async with await engine(dsn) as conn:
        await seeded_workstations.seed_workstations(conn)
        await publish(conn, WORK)
        await start(conn, "pressing", input={"tool": "W-204"})
        await seeded_workstations.hand_over(conn)
    return api


@pytest.fixture
async def admin(fleet: Api) -> AsyncIterator[Browser]:
    async with signed_in(fleet) as browser:
        yield browser


async def sent(someone: Browser, path: str, ending: str, **fields: Any) -> Page:
    answer = await someone.send((await someone.open(path)).form(ending), **fields)
    assert answer.status_code == 303, answer.text[-800:]
    return await someone.open(answer.headers["location"])


async def told(dsn: str, query: str) -> list[Any]:
    async with await AsyncConnection.connect(dsn) as conn:
        return await (await conn.execute(query)).fetchall()


async def test_the_fleet_says_who_is_there_and_what_each_has_and_keeps(admin: Browser) -> None:
    page = await admin.open("/ui/workstations")
    for said in ("pressing change", "214 updates", "84 °C, hot", "its clock is 5 min 12 s fast",
                 "Filter wird gewechselt", "asks now and then", "never connected"):  # fmt: skip
        assert said in page.text
    assert page.answer.text.count('class="ribbon"') == 8


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("seen=PENDING", ["messraum-pi"]),
        ("seen=REVOKED&seen=PENDING", ["alte-saege", "messraum-pi"]),
        ("seen=DRAINING", ["lackieren"]),
        ("label=line=2", ["alte-saege", "presse-3", "saege-1"]),
        ("label=line=2,site=nord&q=saege", ["alte-saege", "saege-1"]),
        ("site=süd", ["lackieren", "messraum-pi", "packen"]),
        ("q=presse", ["presse-1", "presse-2", "presse-3"]),
        ("q=nothing", []),
    ],
)
async def test_the_fleet_is_filtered_and_goes_as_a_file(
    admin: Browser, query: str, names: list[str]
) -> None:
    page = await admin.open(f"/ui/workstations?{query}")
    rows = [re.sub(".*/", "", each) for each in page.links if is_row(each)]
    assert rows == names
    answer = await admin.client.get(f"/ui/workstations?{query}&format=json")
    assert [each["name"] for each in json.loads(answer.text)] == names


def is_row(href: str) -> bool:
    return re.fullmatch(r"/ui/workstations/[a-z0-9-]+", href) is not None


async def test_a_label_that_makes_no_sense_is_told(admin: Browser) -> None:
    await admin.open("/ui/workstations?label=line", 422)


async def test_many_are_drained_with_a_reason_after_a_look_and_none_is_never_all(
    admin: Browser, dsn: str
) -> None:
    token = await admin.form_token()
    wish: dict[str, Any] = {"_form": token, "action": "drain", "reason": "holiday"}
    nothing = await admin.post("/ui/workstations/chosen/decide", wish)
    assert nothing.status_code == 422
    wish["id"] = ["presse-1", "saege-1", "alte-saege", "never-was"]
    preview = Page(await admin.post("/ui/workstations/chosen/confirm", wish))
    form = preview.form("/decide")
    assert [value for name, value in form.fields if name == "id"] == ["presse-1", "saege-1"]
    assert "pressing change" in preview.text
    again = await admin.post(form.action, {**wish, "reason": " "})
    assert again.status_code == 422
    assert "say why" in Page(again).text
    done = Page(await admin.post(form.action, wish))
    assert "2 workstations told to drain" in done.text
    assert "was revoked" in done.text
    drained = await told(dsn, "select name from workstations where drain_reason = 'holiday'")
    assert sorted(drained) == [("presse-1",), ("saege-1",)]


async def test_many_are_given_a_label_and_keep_their_others(admin: Browser, dsn: str) -> None:
    wish = {"_form": await admin.form_token(), "action": "label", "id": ["presse-1", "presse-2"]}
    again = await admin.post("/ui/workstations/chosen/decide", {**wish, "labels": "hall"})
    assert "'hall' is no label" in Page(again).text
    await admin.post("/ui/workstations/chosen/decide", {**wish, "labels": "hall=7, line=9"})
    rows = await told(dsn, "select labels from workstations where labels ? 'hall' order by name")
    assert rows == [({"line": "9", "site": "nord", "hall": "7"},)] * 2


async def test_one_workstation_shows_what_is_known_of_it(admin: Browser) -> None:
    page = await admin.open("/ui/workstations/presse-1")
    for said in ("In hand 1 task", "change", "it is over", "May be run", "/usr/bin/echo",
                 "Raspberry Pi 4 Model B", "nothing was heard for 45 s", "°C"):  # fmt: skip
        assert said in page.text, said
    await admin.open("/ui/workstations/never-was", 404)


async def test_one_out_of_reach_with_work_in_hand_has_not_failed(admin: Browser, dsn: str) -> None:
    page = await admin.open("/ui/workstations/presse-3")
    assert "out of reach" in page.text
    [(run,)] = await told(dsn, "select id from runs")
    for path in (f"/ui/runs/{run}", f"/ui/runs/{run}/tasks/1"):
        page = await admin.open(path)
        assert "out of reach" in page.text
        assert "/ui/workstations/presse-3" in page.links
        assert "9000" not in page.text  # the end of its lease says nothing
    page = await admin.open(f"/ui/runs/{run}")
    assert "running" in page.text
    assert "/ui/stations/presse-1" in page.links
    assert "1 workstations out of reach" in (await admin.open("/ui")).text


async def test_it_is_drained_goes_on_gets_labels_and_is_revoked(admin: Browser, dsn: str) -> None:
    here = "/ui/workstations/presse-1"
    refused = await admin.send((await admin.open(here)).form("/drain"), reason="")
    assert "say why" in Page(refused).text
    page = await sent(admin, here, "/drain", reason="the blade is worn")
    assert "the blade is worn" in page.text
    page = await sent(admin, here, "/undrain")
    assert "It takes work again." in page.text
    wrong = await admin.send((await admin.open(here)).form("/labels"), labels="a=b, a=c")
    assert "stands there twice" in Page(wrong).text
    assert dict(Page(wrong).form("/labels").fields)["labels"] == "a=b, a=c"
    await sent(admin, here, "/labels", labels="line=7", note="by the door")
    query = "select labels, note from workstations where name = 'presse-1'"
    assert await told(dsn, query) == [({"line": "7"}, "by the door")]
    page = await sent(admin, f"{here}/revoke", "/revoke")
    assert "revoked" in page.text
    answer = await admin.send((await admin.open(f"{here}/remove")).form("/remove"))
    assert answer.status_code == 409
    assert "in hand" in Page(answer).text
    await sent(admin, "/ui/workstations/packen/remove", "/remove")
    await admin.open("/ui/workstations/packen", 404)


async def test_who_waits_is_accepted_after_a_look_at_the_fingerprint(
    admin: Browser, dsn: str
) -> None:
    page = await admin.open("/ui/workstations/messraum-pi")
    shown = re.search(r"(?:[0-9a-f]{4} ){7}[0-9a-f]{4}", page.text)
    assert shown is not None
    listed = (await admin.open("/ui/invitations/1")).text
    assert shown[0] in listed
    page = await sent(admin, "/ui/invitations/1", "/accept")
    assert page.answer.url.path == "/ui/invitations/1"
    assert "Accepted" in page.text
    query = "select state::text, accepted_by from workstations where name = 'messraum-pi'"
    [(state, by)] = await told(dsn, query)
    assert (state, bool(by)) == ("ACCEPTED", True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "no such name"}, "is no workstation's name"),
        ({"name": "presse-1"}, "there is a workstation 'presse-1' already"),
        ({"name": "a", "uses": "2"}, "cannot all be called"),
        ({"uses": "0"}, "is no number of machines"),
        ({"uses": "9" * 4}, "is no number of machines"),
        ({"cidr": "10.0.0.0/33"}, "is no network"),
        ({"labels": "line=two words"}, "cannot be"),
        ({"expires": "2y"}, "is no time that an invitation lives"),
    ],
)
async def test_an_invitation_that_cannot_be_says_why_and_keeps_what_was_written(
    admin: Browser, dsn: str, fields: dict[str, str], said: str
) -> None:
    form = (await admin.open("/ui/new-workstation")).form("/new-workstation")
    answer = await admin.send(form, **fields)
    page = Page(answer)
    assert answer.status_code in (409, 422)
    assert said in page.text
    kept = dict(page.form("/new-workstation").fields)
    assert {name: kept[name] for name in fields if name != "expires"} == {
        name: value for name, value in fields.items() if name != "expires"
    }
    assert await told(dsn, "select count(*) from workstation_invitations") == [(2,)]


async def test_the_line_to_join_with_is_shown_once_and_its_word_is_nowhere(
    admin: Browser, dsn: str
) -> None:
    form = (await admin.open("/ui/new-workstation")).form("/new-workstation")
    answer = await admin.send(form, name="press-9", labels="line=9", expires="1h")
    found = re.search(r"echo (pn_join_\S+) \| procession edge join http://server -", answer.text)
    assert found is not None
    assert answer.headers["content-encoding"] == "identity"
    [follow] = re.findall(r'data-look="(/ui/invitations/\d+)"', answer.text)
    page = await admin.open(follow)
    assert "Nobody yet" in page.text
    assert "pn_join_" not in page.answer.text
    assert found[1] not in str(await told(dsn, "select * from workstation_invitations"))
    assert found[1] not in str(await told(dsn, "select * from audit"))
    page = await sent(admin, follow, "/withdraw")
    assert "lets nobody in" in page.text
    await admin.open(follow, 404)


async def test_a_viewer_sees_all_and_is_told_who_may(fleet: Api) -> None:
    async with signed_in(fleet, Role.VIEWER) as viewer:
        page = await viewer.open("/ui/workstations/presse-1")
        assert "This takes an operator; you are viewer" in page.text
        assert "This takes an admin; you are viewer" in page.text
        page = await viewer.open("/ui/stations/presse-1")
        assert "Hold takes an operator, and you are viewer" in page.text
        assert not [each for each in page.forms if "/ui/stations/" in each.action]
        await viewer.open("/ui/new-workstation", 403)
        await viewer.open("/ui/workstations/presse-1/revoke", 403)


async def test_a_station_shows_its_work_what_to_do_and_the_buttons_that_fit(
    fleet: Api, dsn: str
) -> None:
    async with signed_in(fleet, Role.OPERATOR) as operator:
        page = await operator.open("/ui/stations/presse-1")
        assert "Put W-204 in." in page.text
        page = await sent(operator, "/ui/stations/presse-1", "/hold")
        assert "holding" in page.text
        page = await sent(operator, "/ui/stations/presse-1", "/resume")
        page = await sent(operator, "/ui/stations/presse-1", "/stop", why="smoke")
        assert "stopping" in page.text
        [(state,)] = await told(dsn, "select state::text from runs")
        assert state == "STOPPING"
        await operator.open("/ui/stations/never-was", 404)
        token = await operator.form_token()
        for path in ("hold", "answer"):
            wish = {"_form": token, "id": "nonsense"}
            answer = await operator.post(f"/ui/stations/presse-1/{path}", wish)
            assert answer.status_code == 404


async def test_a_station_out_of_reach_says_since_when_and_what_it_keeps(admin: Browser) -> None:
    page = await admin.open("/ui/stations/presse-3")
    assert "Out of reach since" in page.text
    assert "214 updates of it still to be sent" in page.text
    assert "This workstation waits to be accepted" in (
        await admin.open("/ui/stations/messraum-pi")
    ).text  # fmt: skip


async def test_workstations_are_found_by_their_names_and_are_no_workers(admin: Browser) -> None:
    answer = await admin.client.get("/ui/find?q=presse", headers={"Accept": "application/json"})
    hrefs = [each["href"] for each in answer.json()["items"]]
    assert hrefs[:3] == [f"/ui/workstations/presse-{n}" for n in (1, 2, 3)]
    assert "/ui/stations/presse-1" in hrefs
    assert "ws:presse-1" not in (await admin.open("/ui/workers")).text


async def test_what_a_machine_decides_about_is_asked_of_it(admin: Browser, dsn: str) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(
            "update runs set workstation = (select id from workstations where name = 'presse-1')"
        )
    page = await admin.open("/ui/stations/presse-1")
    assert "Put W-204 in." in page.text
    page = await sent(admin, "/ui/stations/presse-1", "/hold")
    assert "is asked, and does so when it hears of it" in page.text
    [(run,)] = await told(dsn, "select id::text from runs")
    query = "select verb, attempt from workstation_commands where done_at is null and attempt like "
    assert ("hold", run) in await told(dsn, f"{query} '%-%'")
    page = await admin.open(f"/ui/runs/{run}")
    assert "/ui/workstations/presse-1" in page.links
    assert "asked presse-1 to hold it; it has not heard of it yet." in page.text
    token = await admin.form_token(f"/ui/runs/{run}")
    wish = {"_form": token, "task": "0", "why": "nobody needs it"}
    refused = await admin.post(f"/ui/runs/{run}/skip", wish)
    assert refused.status_code == 409
    assert "its agent cannot be asked for this (skip)" in Page(refused).text


async def test_why_nothing_new_is_given_to_an_agent_stands_in_the_fleet_and_on_its_page(
    admin: Browser, dsn: str
) -> None:
    why = "its agent is of version 1.0, and 1.4 is due: install a newer one"
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(
            "update workstations set unfit = %s, told_drain = true where name = 'presse-2'", [why]
        )
    fleet = await admin.open("/ui/workstations")
    assert f"nothing new: {why}" in fleet.text
    assert "drained at the machine" in fleet.text
    page = await admin.open("/ui/workstations/presse-2")
    assert why in page.text
    assert "Drained at the machine itself." in page.text
