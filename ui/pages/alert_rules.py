"""Rules and channels of alerts: of what is told to whom, tried out, put to sleep, changed."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.durations import format_duration
from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal
from scheduler.domain.notifications import CHANNEL, EVENTS, KINDS, RULE, TITLES
from scheduler.services import notifications
from scheduler.store import notifications as stored
from scheduler.store import process_types
from scheduler.store.rows import Row
from ui import frame, written
from ui.forms import Form
from ui.pages.alerts import with_words
from ui.screen import Screen

router = APIRouter(prefix="/alerts", route_class=Screen)

LATEST, TYPES = 10, 500
Name = Annotated[str, Path(alias="name", min_length=1, max_length=63)]
Connection = AsyncConnection[Any]
REFUSED = (Invalid, Conflict, NotFound)
SETTINGS = {
    "count": "how many, at least",
    "of_last": "of how many runs of the type",
    "factor": "times what 19 of 20 took",
    "after": "after how long",
}
CHANNEL_FIELDS = (*CHANNEL, "url", "to", "started")


# Rules


@router.get("/rules")
async def ui_alert_rules(request: Request, conn: Conn) -> Response:
    return await frame.page(
        request,
        conn,
        "alert_rules.html",
        rules=await stored.rules(conn),
        titles=TITLES,
        tab="rules",
    )


@router.get("/rules/new")
async def ui_new_alert_rule(request: Request, conn: Conn) -> Response:
    given = {"event": "failed", "type": request.query_params.get("type", "")[:63]}
    return await rule_form(request, conn, given, [])


@router.post("/rules/new")
async def ui_create_alert_rule(request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    try:
        made = await notifications.create_rule(conn, rule_of(form), by=by)
    except REFUSED as fault:
        return await rule_form(request, conn, values_of(form, RULE), form.all("channel"), fault)
    return frame.see(f"/ui/alerts/rules/{made['name']}", said="rule_made")


@router.get("/rules/{name}")
async def ui_alert_rule(name: Name, request: Request, conn: Conn) -> Response:
    return await rule_page(request, conn, name)


async def rule_page(
    request: Request,
    conn: Connection,
    name: str,
    *,
    fault: Refusal | None = None,
    template: str = "alert_rule.html",
) -> Response:
    rule = await notifications.get_rule(conn, name)
    found = await stored.page(conn, rule=name, open=False, after=None, limit=LATEST)
    return await frame.page(
        request,
        conn,
        template,
        status=frame.status_of(fault) if fault else 200,
        rule=rule,
        settings=[(SETTINGS[each], shown(rule[each])) for each in EVENTS[rule["event"]]],
        title=TITLES[rule["event"]],
        found=[with_words(row) for row in found],
        fault=fault,
        stream="/ui/stream",
    )


def shown(value: Any) -> str:
    return format_duration(value) if isinstance(value, timedelta) else f"{value:g}"


@router.get("/rules/{name}/edit")
async def ui_edit_alert_rule(name: Name, request: Request, conn: Conn) -> Response:
    rule = await notifications.get_rule(conn, name)
    return await rule_form(request, conn, values_of_rule(rule), rule["channels"], rule=rule)


@router.post("/rules/{name}/edit")
async def ui_change_alert_rule(name: Name, request: Request, conn: Conn) -> Response:
    form: Form = request.state.form
    rule = await notifications.get_rule(conn, name)
    try:
        await notifications.change_rule(
            conn, name, {**rule_of(form), "name": name}, expected=written.version(form)
        )
    except REFUSED as fault:
        given = values_of(form, RULE)
        return await rule_form(request, conn, given, form.all("channel"), fault, rule=rule)
    return frame.see(f"/ui/alerts/rules/{name}", said="rule_changed")


async def rule_form(
    request: Request,
    conn: Connection,
    given: Mapping[str, str],
    chosen: list[str],
    fault: Refusal | None = None,
    *,
    rule: Row | None = None,
) -> Response:
    return await frame.page(
        request,
        conn,
        "alert_rule_form.html",
        status=frame.status_of(fault) if fault else 200,
        given={"version": str(rule["version"]) if rule else "", **given},
        rule=rule,
        is_outdated=isinstance(fault, notifications.Outdated),
        events=[(name, TITLES[name]) for name in EVENTS],
        settings=[(name, text, events_of(name)) for name, text in SETTINGS.items()],
        types=[
            (each["name"], each["name"]) for each in await process_types.page(conn, limit=TYPES)
        ],
        channels=await stored.channels(conn),
        chosen=chosen,
        fault=fault,
        faults=written.fields_at_fault(fault, RULE),
    )


def events_of(setting: str) -> str:
    return ", ".join(TITLES[name] for name, used in EVENTS.items() if setting in used)


def rule_of(form: Form) -> dict[str, Any]:
    """What was filled in, as the document that the API takes."""
    found: dict[str, Any] = {
        name: form.get(name).strip() or None for name in ("name", "event", "type", "after", "quiet")
    }
    for name, most in (("count", 1_000_000), ("of_last", 1000), ("most_a_day", 100_000)):
        if form.get(name).strip():
            found[name] = written.whole(form, name, usual=1, most=most)
    if form.get("factor").strip():
        found["factor"] = written.decimal(form, "factor")
    found["channels"] = list(dict.fromkeys(form.all("channel")))
    return found


def values_of(form: Form, names: tuple[str, ...]) -> dict[str, str]:
    """What somebody wrote is there again."""
    return {name: form.get(name) for name in (*names, "version", "kind", "allow_private")}


def values_of_rule(rule: Row) -> dict[str, str]:
    lengths = {name: format_duration(rule[name]) for name in ("after", "quiet")}
    others = {name: rule[name] for name in ("name", "event", "type", "count", "of_last", "factor")}
    given = {**others, **lengths, "most_a_day": rule["most_a_day"]}
    return {name: "" if value is None else f"{value}" for name, value in given.items()}


@router.post("/rules/{name}/snooze")
async def ui_snooze_alert_rule(name: Name, request: Request, conn: Conn) -> Response:
    form: Form = request.state.form
    try:
        until = written.moment(form, "until", frame.look_of(request).zone)
        if until is None:
            raise Invalid("say until when it is to sleep", field="until")
        await notifications.snooze(conn, name, until)
    except Invalid as fault:
        return await rule_page(request, conn, name, fault=fault)
    return frame.see(f"/ui/alerts/rules/{name}", said="rule_sleeps")


@router.post("/rules/{name}/wake")
async def ui_wake_alert_rule(name: Name, conn: Conn) -> Response:
    await notifications.snooze(conn, name, None)
    return frame.see(f"/ui/alerts/rules/{name}", said="rule_awake")


@router.post("/rules/{name}/test")
async def ui_test_alert_rule(name: Name, conn: Conn, by: By) -> Response:
    await notifications.test(conn, name, by=by)
    return frame.see(f"/ui/alerts/rules/{name}", said="tested")


@router.get("/rules/{name}/delete")
async def ui_delete_alert_rule_confirm(name: Name, request: Request, conn: Conn) -> Response:
    return await rule_page(request, conn, name, template="alert_rule_delete.html")


@router.post("/rules/{name}/delete")
async def ui_delete_alert_rule(name: Name, conn: Conn) -> Response:
    await notifications.delete_rule(conn, name)
    return frame.see("/ui/alerts/rules", said="rule_deleted")


# Channels


@router.get("/channels")
async def ui_alert_channels(request: Request, conn: Conn) -> Response:
    rules = await stored.rules(conn)
    channels = await stored.channels(conn)
    return await frame.page(
        request,
        conn,
        "alert_channels.html",
        channels=[{**each, "rules": users_of(each["name"], rules)} for each in channels],
        tab="channels",
        stream="/ui/stream",
    )


def users_of(channel: str, rules: list[Row]) -> list[str]:
    return [rule["name"] for rule in rules if channel in rule["channels"]]


@router.get("/channels/new")
async def ui_new_alert_channel(request: Request, conn: Conn) -> Response:
    return await channel_form(request, conn, {"kind": "webhook"})


@router.post("/channels/new")
async def ui_create_alert_channel(request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    try:
        made = await notifications.create_channel(conn, channel_of(form), by=by)
    except REFUSED as fault:
        return await channel_form(request, conn, values_of(form, CHANNEL_FIELDS), fault)
    return frame.see(f"/ui/alerts/channels/{made['name']}", said="channel_made")


@router.get("/channels/{name}")
async def ui_alert_channel(name: Name, request: Request, conn: Conn) -> Response:
    return await channel_page(request, conn, name)


async def channel_page(
    request: Request,
    conn: Connection,
    name: str,
    *,
    fault: Refusal | None = None,
    template: str = "alert_channel.html",
) -> Response:
    return await frame.page(
        request,
        conn,
        template,
        status=frame.status_of(fault) if fault else 200,
        channel=await notifications.get_channel(conn, name),
        rules=users_of(name, await stored.rules(conn)),
        deliveries=await stored.deliveries(conn, channel=name, limit=LATEST),
        fault=fault,
        stream="/ui/stream",
    )


@router.get("/channels/{name}/edit")
async def ui_edit_alert_channel(name: Name, request: Request, conn: Conn) -> Response:
    channel = await notifications.get_channel(conn, name)
    return await channel_form(request, conn, values_of_channel(channel), channel=channel)


@router.post("/channels/{name}/edit")
async def ui_change_alert_channel(name: Name, request: Request, conn: Conn) -> Response:
    form: Form = request.state.form
    channel = await notifications.get_channel(conn, name)
    try:
        await notifications.change_channel(
            conn, name, {**channel_of(form), "name": name}, expected=written.version(form)
        )
    except REFUSED as fault:
        given = values_of(form, CHANNEL_FIELDS)
        return await channel_form(request, conn, given, fault, channel=channel)
    return frame.see(f"/ui/alerts/channels/{name}", said="channel_changed")


async def channel_form(
    request: Request,
    conn: Connection,
    given: Mapping[str, str],
    fault: Refusal | None = None,
    *,
    channel: Row | None = None,
) -> Response:
    return await frame.page(
        request,
        conn,
        "alert_channel_form.html",
        status=frame.status_of(fault) if fault else 200,
        given={"version": str(channel["version"]) if channel else "", **given},
        channel=channel,
        is_outdated=isinstance(fault, notifications.Outdated),
        types=[
            (each["name"], each["name"]) for each in await process_types.page(conn, limit=TYPES)
        ],
        fault=fault,
        faults=placed(written.fields_at_fault(fault, CHANNEL_FIELDS)),
    )


def placed(faults: Mapping[str, str]) -> dict[str, str]:
    """The form has one field for each kind."""
    fields = {"webhook": "url", "email": "to", "run": "started"}
    return {fields.get(name, name): what for name, what in faults.items()}


def channel_of(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {"name": form.get("name").strip() or None}
    match form.get("kind") if form.get("kind") in KINDS else "webhook":
        case "webhook":
            found["webhook"] = {
                "url": form.get("url").strip(),
                "allow_private": "allow_private" in form and bool(form.get("allow_private")),
            }
            found["secret"] = form.get("secret").strip() or None
        case "email":
            found["email"] = {"to": form.get("to").replace(",", " ").split()}
        case _:
            found["run"] = {"type": form.get("started").strip()}
    return found


def values_of_channel(channel: Row) -> dict[str, str]:
    config: dict[str, Any] = channel["config"]
    return {
        "name": channel["name"],
        "kind": channel["kind"],
        "url": config.get("url", ""),
        "allow_private": "on" if config.get("allow_private") else "",
        "to": "\n".join(config.get("to", ())),
        "started": config.get("type", ""),
        "secret": channel["secret"] or "",
    }


@router.post("/channels/{name}/test")
async def ui_test_alert_channel(name: Name, conn: Conn, by: By) -> Response:
    await notifications.test_channel(conn, name, by=by)
    return frame.see(f"/ui/alerts/channels/{name}", said="tested")


@router.get("/channels/{name}/delete")
async def ui_delete_alert_channel_confirm(name: Name, request: Request, conn: Conn) -> Response:
    return await channel_page(request, conn, name, template="alert_channel_delete.html")


@router.post("/channels/{name}/delete")
async def ui_delete_alert_channel(name: Name, request: Request, conn: Conn) -> Response:
    try:
        await notifications.delete_channel(conn, name)
    except Conflict as fault:
        return await channel_page(request, conn, name, fault=fault)
    return frame.see("/ui/alerts/channels", said="channel_deleted")
