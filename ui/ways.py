"""What a page shows or does, said for a terminal: the same by curl and by our own command.

One table: a screen adds a line for each list and each action, and its template says
`{{ as_("name", run=run.id) }}`. The name is that of the route; where one route does several things,
`route:verb`. In the words of a command `{run}` takes a value, and what stands in brackets is there
only with a value: options first, then arguments. A test holds every line to the commands and paths
that there are.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

API = "/api/v1"
PIECES = re.compile(r"\[[^\]]*\]|\S+")
PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Way:
    method: str
    path: str  # as in openapi.yaml, without /api/v1
    cli: str = ""  # words behind `procession`; empty where there is no command
    # Filters of a list, as API and address name them, and the option that each one is.
    options: Mapping[str, str] = field(default_factory=dict)


RUN_FILTERS = {
    "type": "--type",
    "record": "--record",
    "status": "--status",
    "label": "--label",
    "created_from": "--since",
    "created_to": "--until",
    "error": "--error",
    "triggered_by": "--by",
    "longer_than": "--longer",
    "shorter_than": "--shorter",
}

WAYS: Mapping[str, Way] = {
    "ui_runs": Way("GET", "/runs", "runs", RUN_FILTERS),
    "ui_select_runs": Way("POST", "/runs/selections"),
    **{
        f"ui_command_runs:{verb}": Way("POST", f"/runs/selections/{{selection}}/{verb}")
        for verb in ("hold", "resume", "stop", "retry", "end")
    },
    "ui_run": Way("GET", "/runs/{run}", "show {run}"),
    "ui_run_command:hold": Way("POST", "/runs/{run}/hold", "hold {run}"),
    "ui_run_command:resume": Way("POST", "/runs/{run}/resume", "resume {run}"),
    "ui_run_command:stop": Way("POST", "/runs/{run}/stop", "stop [--why {why}] {run}"),
    "ui_run_command:retry": Way("POST", "/runs/{run}/retry", "retry [--task {task}] {run}"),
    "ui_run_command:undo": Way("POST", "/runs/{run}/undo", "undo {run}"),
    "ui_run_command:skip": Way(
        "POST", "/runs/{run}/tasks/{task}/skip", "skip [--why {why}] {run} {task}"
    ),
    "ui_run_command:complete": Way(
        "POST",
        "/runs/{run}/tasks/{task}/complete",
        "complete [--why {why}] [--output {output}] {run} {task}",
    ),
    "ui_run_again": Way(
        "POST", "/runs/{run}/retry", "retry [--task {task}] [--json-input {input}] {run}"
    ),
    "ui_attempt": Way("GET", "/runs/{run}/tasks/{task}/attempts", "show {run}"),
    "ui_log": Way(
        "GET",
        "/runs/{run}/tasks/{task}/attempts/{attempt}/output",
        "logs [--attempt {attempt}] {run} {task}",
    ),
    "ui_processes": Way("GET", "/process-types", "types", {"q": "--find"}),
    "ui_process": Way("GET", "/process-types/{type}", "types {type}"),
    "ui_definition": Way("GET", "/process-types/{type}/versions", "types --versions {type}"),
    "ui_publish": Way("POST", "/process-types", "apply {file}"),
    "ui_publish_again": Way("POST", "/process-types", "apply {file}"),
    "ui_retire": Way("POST", "/process-types/{type}/retire", "retire [--note {note}] {type}"),
    "ui_reinstate": Way("POST", "/process-types/{type}/reinstate", "reinstate {type}"),
    "ui_records": Way(
        "GET",
        "/process-records",
        "records list",
        {"q": "--find", "type": "--type", "status": "--status"},
    ),
    "ui_record": Way("GET", "/process-records/{record}", "records show {record}"),
    "ui_create_record": Way(
        "POST", "/process-records", "records create [--json-input {input}] {id} {type}"
    ),
    "ui_change_record": Way(
        "PATCH", "/process-records/{record}", "records update [--json-input {input}] {record}"
    ),
    "ui_delete_record": Way("DELETE", "/process-records/{record}", "records delete {record}"),
    "ui_record_command:hold": Way(
        "POST", "/process-records/{record}/hold", "records hold {record}"
    ),
    "ui_record_command:resume": Way(
        "POST", "/process-records/{record}/resume", "records resume {record}"
    ),
    "ui_record_command:stop": Way(
        "POST", "/process-records/{record}/stop", "records stop {record}"
    ),
    "ui_start": Way("POST", "/runs", "start [--json-input {input}] [--priority {priority}] {type}"),
    "ui_start_record": Way(
        "POST", "/process-records/{record}/start", "records start [--json-input {input}] {record}"
    ),
    "ui_inbox": Way("GET", "/approvals", "approvals list", {"status": "--status"}),
    "ui_decide:approve": Way(
        "POST", "/approvals/{approval}/approve", "approvals approve [--note {note}] {approval}"
    ),
    "ui_decide:reject": Way(
        "POST", "/approvals/{approval}/reject", "approvals reject [--note {note}] {approval}"
    ),
    "ui_dead_letters": Way(
        "GET",
        "/dead-letters",
        "dead-letters list",
        {
            "status": "--status",
            "type": "--type",
            "task": "--task",
            "fingerprint": "--fingerprint",
            "made_from": "--since",
            "made_to": "--until",
        },
    ),
    "ui_select_letters": Way("POST", "/dead-letters/selections"),
    "ui_letter_selection": Way("GET", "/dead-letters/selections/{selection}"),
    "ui_decide_selection:redrive": Way("POST", "/dead-letters/selections/{selection}/redrive"),
    "ui_decide_selection:discard": Way("POST", "/dead-letters/selections/{selection}/discard"),
    "ui_dead_letter": Way("GET", "/dead-letters/{letter}", "dead-letters show {letter}"),
    "ui_redrive": Way("POST", "/dead-letters/{letter}/redrive", "dead-letters redrive {letter}"),
    "ui_discard": Way(
        "POST", "/dead-letters/{letter}/discard", "dead-letters discard [--note {note}] {letter}"
    ),
    "ui_decide_letters:redrive": Way(
        "POST", "/dead-letters/redrive", "dead-letters redrive {letters}"
    ),
    "ui_decide_letters:discard": Way(
        "POST", "/dead-letters/discard", "dead-letters discard [--note {note}] {letters}"
    ),
    "ui_workers": Way("GET", "/workers", "workers list"),
    "ui_worker_command:drain": Way("POST", "/workers/{worker}/drain", "workers drain {worker}"),
    "ui_worker_command:resume": Way("POST", "/workers/{worker}/resume", "workers resume {worker}"),
    "ui_decide_workers:drain": Way("POST", "/workers/{worker}/drain", "workers drain {worker}"),
    "ui_decide_workers:resume": Way("POST", "/workers/{worker}/resume", "workers resume {worker}"),
    "ui_workstations": Way(
        "GET",
        "/workstations",
        "workstation list",
        {"label": "--label", "seen": "--seen"},
    ),
    "ui_workstation": Way("GET", "/workstations/{workstation}", "workstation show {workstation}"),
    "ui_add_workstation": Way("POST", "/workstations", "workstation add --label {label} {name}"),
    "ui_accept_workstation": Way(
        "POST", "/workstations/{workstation}/accept", "workstation accept {workstation}"
    ),
    "ui_label_workstation": Way(
        "PATCH", "/workstations/{workstation}", "workstation label {workstation} {label}"
    ),
    "ui_drain_workstation": Way(
        "POST",
        "/workstations/{workstation}/drain",
        "workstation drain --reason {reason} {workstation}",
    ),
    "ui_undrain_workstation": Way(
        "POST", "/workstations/{workstation}/undrain", "workstation undrain {workstation}"
    ),
    "ui_revoke_workstation": Way(
        "POST", "/workstations/{workstation}/revoke", "workstation revoke {workstation}"
    ),
    "ui_remove_workstation": Way(
        "DELETE", "/workstations/{workstation}", "workstation remove {workstation}"
    ),
    "ui_decide_workstations:drain": Way(
        "POST",
        "/workstations/{workstation}/drain",
        "workstation drain --reason {reason} {workstation}",
    ),
    "ui_decide_workstations:undrain": Way(
        "POST", "/workstations/{workstation}/undrain", "workstation undrain {workstation}"
    ),
    "ui_decide_workstations:label": Way(
        "PATCH", "/workstations/{workstation}", "workstation label {workstation} {label}"
    ),
    "ui_withdraw_invitation": Way("DELETE", "/workstation-invitations/{invitation}"),
    "ui_station_command:hold": Way("POST", "/runs/{run}/hold", "hold {run}"),
    "ui_station_command:resume": Way("POST", "/runs/{run}/resume", "resume {run}"),
    "ui_station_command:stop": Way("POST", "/runs/{run}/stop", "stop [--why {why}] {run}"),
    "ui_station_command:reset": Way("POST", "/runs/{run}/retry", "retry [--task {task}] {run}"),
    "ui_station_answer:approve": Way(
        "POST", "/approvals/{approval}/approve", "approvals approve [--note {note}] {approval}"
    ),
    "ui_station_answer:reject": Way(
        "POST", "/approvals/{approval}/reject", "approvals reject [--note {note}] {approval}"
    ),
    "ui_queues": Way("GET", "/queues", "queues list"),
    "ui_queue_command:pause": Way(
        "POST", "/queues/{queue}/pause", "queues pause [--note {note}] {queue}"
    ),
    "ui_queue_command:resume": Way("POST", "/queues/{queue}/resume", "queues resume {queue}"),
    "ui_queue_command:size": Way("PUT", "/queues/{queue}/size", "queues size {queue} {size}"),
    "ui_schedules": Way(
        "GET",
        "/schedules",
        "schedules list",
        {"type": "--type", "record": "--record", "paused": ""},
    ),
    "ui_stop_schedules": Way("POST", "/schedules/stop-all", "schedules stop-all [--note {note}]"),
    "ui_resume_schedules": Way("POST", "/schedules/resume-all", "schedules resume-all"),
    "ui_create_schedule": Way("POST", "/schedules", "schedules create --type {type} --cron {cron}"),
    "ui_change_schedule": Way("PUT", "/schedules/{schedule}", "schedules update {schedule}"),
    "ui_schedule": Way("GET", "/schedules/{schedule}", "schedules show {schedule}"),
    "ui_schedule_calendar": Way("GET", "/schedules/{schedule}/next", "schedules show {schedule}"),
    "ui_schedule_ticks": Way(
        "GET", "/schedules/{schedule}/ticks", "schedules ticks {schedule}", {"status": "--status"}
    ),
    "ui_pause_schedule": Way(
        "POST",
        "/schedules/{schedule}/pause",
        "schedules pause [--note {note}] [--until {until}] {schedule}",
    ),
    "ui_resume_schedule": Way(
        "POST", "/schedules/{schedule}/resume", "schedules resume {schedule}"
    ),
    "ui_trigger_schedule": Way(
        "POST", "/schedules/{schedule}/trigger", "schedules trigger {schedule}"
    ),
    "ui_delete_schedule": Way("DELETE", "/schedules/{schedule}", "schedules delete {schedule}"),
    "ui_schedule_backfills": Way(
        "GET", "/schedules/{schedule}/backfills", "schedules backfills {schedule}"
    ),
    "ui_start_backfill": Way(
        "POST",
        "/schedules/{schedule}/backfill",
        "schedules backfill --from {since} --until {until} {schedule}",
    ),
    "ui_cancel_backfill": Way(
        "POST",
        "/schedules/{schedule}/backfills/{backfill}/cancel",
        "schedules cancel-backfill {schedule} {backfill}",
    ),
    "ui_secrets": Way("GET", "/secrets", "secrets list"),
    "ui_secret": Way("GET", "/secrets/{secret}", "secrets show {secret}"),
    "ui_put_secret": Way("PUT", "/secrets/{secret}", "secrets set {secret}"),
    "ui_secret_command:value": Way("PUT", "/secrets/{secret}", "secrets set {secret}"),
    "ui_secret_command:change": Way("PATCH", "/secrets/{secret}", "secrets grant {secret} {type}"),
    "ui_secret_command:delete": Way("DELETE", "/secrets/{secret}", "secrets delete {secret}"),
    "ui_rotate_secret_keys": Way("POST", "/secret-keys/rotate", "secrets rotate-key"),
    "ui_people": Way("GET", "/users", "users list", {"role": "--role"}),
    "ui_user": Way("GET", "/users/{user}", "users show {user}"),
    "ui_create_user": Way("POST", "/users", "users create --role {role} {user}"),
    "ui_user_command:change": Way("PATCH", "/users/{user}", "users change --role {role} {user}"),
    "ui_user_command:disable": Way("PATCH", "/users/{user}", "users disable {user}"),
    "ui_user_command:enable": Way("PATCH", "/users/{user}", "users enable {user}"),
    "ui_user_command:delete": Way("DELETE", "/users/{user}", "users delete {user}"),
    "ui_user_command:link": Way("POST", "/users/{user}/password-link", "users link {user}"),
    "ui_change_password": Way("PUT", "/users/{user}/password", "users password {user}"),
    "ui_tokens": Way("GET", "/tokens", "tokens list", {"user": "--user"}),
    "ui_create_token": Way("POST", "/tokens", "tokens create --role {role} {name}"),
    "ui_revoke_tokens": Way("DELETE", "/tokens/{token}", "tokens revoke {token}"),
    "ui_sessions": Way("GET", "/sessions", "sessions list", {"user": "--user"}),
    "ui_end_sessions": Way("DELETE", "/sessions/{session}", "sessions end {session}"),
    "ui_chores": Way("GET", "/chores", "chores list", {"status": "--status", "chore": "--kind"}),
    "ui_chore_history": Way(
        "GET",
        "/chores/history",
        "chores history",
        {"status": "--status", "chore": "--kind", "job": "--chore"},
    ),
    "ui_chore": Way("GET", "/chores/{chore}", "chores history --chore {chore}"),
    "ui_run_chore": Way("POST", "/chores/{chore}/run-now", "chores run-now {chore}"),
    "ui_retry_chore": Way("POST", "/chores/{chore}/retry", "chores retry {chore}"),
    "ui_retry_chores": Way("POST", "/chores/retry", "chores retry --all {kind}"),
    "ui_delete_chore": Way("DELETE", "/chores/{chore}", "chores delete {chore}"),
    "ui_decide_chores:retry": Way("POST", "/chores/{chore}/retry", "chores retry {chore}"),
    "ui_decide_chores:run-now": Way("POST", "/chores/{chore}/run-now", "chores run-now {chore}"),
    "ui_decide_chores:delete": Way("DELETE", "/chores/{chore}", "chores delete {chore}"),
    "ui_alerts": Way("GET", "/notifications", "notifications list", {"rule": "", "open": ""}),
    "ui_alert_rules": Way("GET", "/notifications/rules", "notifications rules"),
    "ui_alert_rule": Way("GET", "/notifications/rules/{name}", "notifications rules"),
    "ui_create_alert_rule": Way("POST", "/notifications/rules", "notifications create-rule {file}"),
    "ui_change_alert_rule": Way(
        "PUT", "/notifications/rules/{name}", "notifications update-rule {name} {file}"
    ),
    "ui_snooze_alert_rule": Way(
        "POST", "/notifications/rules/{name}/snooze", "notifications snooze {name} {until}"
    ),
    "ui_wake_alert_rule": Way(
        "POST", "/notifications/rules/{name}/wake", "notifications wake {name}"
    ),
    "ui_test_alert_rule": Way(
        "POST", "/notifications/rules/{name}/test", "notifications test {name}"
    ),
    "ui_delete_alert_rule": Way(
        "DELETE", "/notifications/rules/{name}", "notifications delete-rule {name}"
    ),
    "ui_alert_channels": Way("GET", "/notifications/channels", "notifications channels"),
    "ui_alert_channel": Way("GET", "/notifications/channels/{name}", "notifications channels"),
    "ui_create_alert_channel": Way(
        "POST", "/notifications/channels", "notifications create-channel {file}"
    ),
    "ui_change_alert_channel": Way(
        "PUT", "/notifications/channels/{name}", "notifications update-channel {name} {file}"
    ),
    "ui_test_alert_channel": Way(
        "POST", "/notifications/channels/{name}/test", "notifications test-channel {name}"
    ),
    "ui_delete_alert_channel": Way(
        "DELETE", "/notifications/channels/{name}", "notifications delete-channel {name}"
    ),
    "ui_acknowledge": Way(
        "POST",
        "/notifications/{notification}/acknowledge",
        "notifications acknowledge {notification}",
    ),
    "ui_acknowledge_many": Way(
        "POST",
        "/notifications/{notification}/acknowledge",
        "notifications acknowledge {notification}",
    ),
    "ui_deliveries": Way(
        "GET",
        "/notifications/deliveries",
        "notifications deliveries",
        {"status": "--status", "channel": "--channel", "notification": ""},
    ),
    "ui_redeliver": Way(
        "POST",
        "/notifications/deliveries/{delivery}/redeliver",
        "notifications redeliver {delivery}",
    ),
    "ui_audit": Way("GET", "/audit", "", {"actor": "", "entity": "", "entity_id": ""}),
    "ui_events": Way(
        "GET", "/events", "events list", {"type": "--type", "key": "--key", "source": ""}
    ),
    "ui_event": Way("GET", "/events/{event}/decisions"),
    "ui_send_event": Way("POST", "/events", "events send [--key {key}] {type}"),
    "ui_triggers": Way(
        "GET", "/triggers", "triggers list", {"type": "--type", "record": "--record", "paused": ""}
    ),
    "ui_trigger": Way("GET", "/triggers/{trigger}", "triggers show {trigger}"),
    "ui_trigger:decisions": Way(
        "GET", "/triggers/{trigger}/decisions", "triggers decisions {trigger}"
    ),
    "ui_create_trigger": Way("POST", "/triggers", "triggers create --type {type} --file {file}"),
    "ui_change_trigger": Way(
        "PUT", "/triggers/{trigger}", "triggers update --file {file} {trigger}"
    ),
    "ui_pause_trigger": Way(
        "POST", "/triggers/{trigger}/pause", "triggers pause [--note {note}] {trigger}"
    ),
    "ui_resume_trigger": Way("POST", "/triggers/{trigger}/resume", "triggers resume {trigger}"),
    "ui_delete_trigger": Way("DELETE", "/triggers/{trigger}", "triggers delete {trigger}"),
    "ui_webhooks": Way("GET", "/webhooks", "webhooks list"),
    "ui_webhook": Way("GET", "/webhooks/{webhook}", "webhooks show {webhook}"),
    "ui_create_webhook": Way("PUT", "/webhooks/{webhook}", "webhooks set --file {file} {webhook}"),
    "ui_change_webhook": Way("PUT", "/webhooks/{webhook}", "webhooks set --file {file} {webhook}"),
    "ui_rotate_webhook": Way(
        "POST", "/webhooks/{webhook}/rotate", "webhooks rotate --secret {secret} {webhook}"
    ),
    "ui_delete_webhook": Way("DELETE", "/webhooks/{webhook}", "webhooks delete {webhook}"),
}


def curl(
    home: str, way: Way, given: Mapping[str, Any], query: Sequence[tuple[str, str]], body: Any
) -> str:
    parts = ["curl", "-X", way.method] if way.method != "GET" else ["curl"]
    said = [shlex.quote(each) for each in parts]
    said += ["-H", '"Authorization: Bearer $PROCESSION_TOKEN"']
    if body is not None:
        told = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=str)
        said += ["-H", "'Content-Type: application/json'", "-d", shlex.quote(told)]
    return " ".join([*said, shlex.quote(home + address(way, given, query))])


def address(way: Way, given: Mapping[str, Any], query: Sequence[tuple[str, str]]) -> str:
    path = PLACE.sub(lambda found: quote(str(given[found[1]]), safe=""), way.path)
    known = [pair for pair in query if pair[0] in way.options]
    return API + path + (f"?{urlencode(known)}" if known else "")


def command(way: Way, given: Mapping[str, Any], query: Sequence[tuple[str, str]]) -> str | None:
    """Our own command for it; None where there is none that does just this."""
    if not way.cli or any(name in way.options and not way.options[name] for name, _ in query):
        return None
    said = words(way.cli, given)
    options = [
        part for name, value in query if name in way.options for part in (way.options[name], value)
    ]
    return shlex.join(["procession", *said, *options])


def words(template: str, given: Mapping[str, Any]) -> list[str]:
    said: list[str] = []
    for piece in PIECES.findall(template):
        if piece.startswith("["):
            name = PLACE.search(piece)
            if name is None or given.get(name[1]) in (None, ""):
                continue
            said += [part for each in piece[1:-1].split() for part in filled(each, given)]
        else:
            values = filled(piece, given)
            if piece.startswith("{") and "--" not in said and any(v[:1] == "-" for v in values):
                said.append("--")  # what follows is no option, whatever it looks like
            said += values
    return said


def filled(piece: str, given: Mapping[str, Any]) -> list[str]:
    name = PLACE.fullmatch(piece)
    if name is None:
        return [piece]
    value = given[name[1]]
    if isinstance(value, list | tuple):
        return [str(each) for each in value]
    if isinstance(value, dict):
        return [json.dumps(value, ensure_ascii=False, default=str)]
    return [str(value)]
