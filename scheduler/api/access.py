"""Who may do what over HTTP: one table, asked for every route before anything of it is read.

A route without a line here is closed to everybody, and `require_verdicts` refuses to start.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, cast

from fastapi import Request, Response
from fastapi.routing import APIRoute

from scheduler.api import editions, once
from scheduler.api.bodies import CarefulRequest, refuse_nul
from scheduler.api.measures import OPERATION
from scheduler.api.state import ACTOR, server_of
from scheduler.domain.errors import Forbidden, Unauthenticated
from scheduler.services import workstations
from scheduler.services.access import REMEDY, Caller, Role, at_least
from scheduler.services.keyring import Keys
from scheduler.store.audit import Actor
from scheduler.store.rows import Row

Roles = frozenset[Role]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

OPEN: Roles = frozenset()
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
VIEW, OPERATE = at_least(Role.VIEWER), at_least(Role.OPERATOR)
WRITE, ADMINISTER = at_least(Role.AUTHOR), at_least(Role.ADMIN)
# A workstation, with its own token and for its own name; nobody of any role.
STATION: Roles = frozenset({Role.AGENT})
# A worker with an SDK, which reaches what it has in hand and nothing else.
REMOTE: Roles = frozenset({Role.WORKER})

VERDICTS: Mapping[str, Roles] = {
    "get_liveness": OPEN,
    "get_readiness": VIEW,
    "get_statistics": VIEW,
    "get_metrics": VIEW,
    "get_docs": OPEN,
    "get_openapi_json": OPEN,
    "get_openapi_yaml": OPEN,
    "list_process_types": VIEW,
    "get_process_type": VIEW,
    "list_process_type_versions": VIEW,
    "compare_process_type_versions": VIEW,
    "retire_process_type": WRITE,
    "reinstate_process_type": WRITE,
    "publish_process_types": WRITE,
    "validate_process_types": VIEW,
    "get_definition_schema": VIEW,
    "list_process_records": VIEW,
    "create_process_record": WRITE,
    "get_process_record": VIEW,
    "replace_process_record": WRITE,
    "change_process_record": WRITE,
    "delete_process_record": WRITE,
    "start_process_record": OPERATE,
    "stop_process_record": OPERATE,
    "hold_process_record": OPERATE,
    "pause_process_record": OPERATE,
    "resume_process_record": OPERATE,
    "restart_process_record": OPERATE,
    "list_process_record_runs": VIEW,
    "list_runs": VIEW,
    "start_run": OPERATE,
    "run_command": WRITE,  # it brings code of its own, as a definition does
    "get_run": VIEW,
    "select_runs": OPERATE,
    "get_run_selection": VIEW,
    "list_selected_runs": VIEW,
    "hold_run_selection": OPERATE,
    "resume_run_selection": OPERATE,
    "stop_run_selection": OPERATE,
    "retry_run_selection": OPERATE,
    "end_run_selection": OPERATE,
    "hold_run": OPERATE,
    "pause_run": OPERATE,
    "resume_run": OPERATE,
    "stop_run": OPERATE,
    "cancel_run": OPERATE,
    "undo_run": OPERATE,
    "list_run_children": VIEW,
    "skip_task": OPERATE,
    "complete_task": OPERATE,
    "retry_run": OPERATE,
    "change_run": OPERATE,
    "explain_run": VIEW,
    "list_run_events": VIEW,
    "list_history": VIEW,
    "send_message": OPERATE,
    "list_messages": VIEW,
    "list_values": VIEW,
    "list_streams": VIEW,
    "read_stream": VIEW,
    "list_run_workflows": VIEW,
    "list_run_forks": VIEW,
    "fork_run": OPERATE,
    "list_run_tasks": VIEW,
    "get_run_task": VIEW,
    "list_task_attempts": VIEW,
    "get_attempt_output": VIEW,
    "follow_attempt_output": VIEW,
    "list_run_files": VIEW,
    "list_task_files": VIEW,
    "get_task_file": VIEW,
    "list_dead_letters": VIEW,
    "list_dead_letter_groups": VIEW,
    "get_dead_letter": VIEW,
    "redrive_dead_letter": OPERATE,
    "discard_dead_letter": OPERATE,
    "redrive_dead_letters": OPERATE,
    "discard_dead_letters": OPERATE,
    "select_dead_letters": OPERATE,
    "get_dead_letter_selection": VIEW,
    "redrive_dead_letter_selection": OPERATE,
    "discard_dead_letter_selection": OPERATE,
    "list_approvals": VIEW,
    "get_approval": VIEW,
    "approve": OPERATE,
    "reject": OPERATE,
    "send_events": OPERATE,
    "list_occurrences": VIEW,
    "get_occurrence": VIEW,
    "list_event_decisions": VIEW,
    "create_trigger": WRITE,
    "list_triggers": VIEW,
    "get_trigger": VIEW,
    "replace_trigger": WRITE,
    "delete_trigger": WRITE,
    "pause_trigger": OPERATE,
    "resume_trigger": OPERATE,
    "list_trigger_decisions": VIEW,
    "list_webhooks": VIEW,
    "get_webhook": VIEW,
    "put_webhook": ADMINISTER,
    "delete_webhook": ADMINISTER,
    "rotate_webhook": ADMINISTER,
    "call_webhook": OPEN,  # who holds the key of the signature may do this and nothing else
    "create_schedule": WRITE,
    "list_schedules": VIEW,
    "preview_schedule": VIEW,
    "get_schedules_stopped": VIEW,
    "stop_schedules": OPERATE,
    "resume_schedules": OPERATE,
    "get_schedule": VIEW,
    "replace_schedule": WRITE,
    "delete_schedule": WRITE,
    "list_schedule_firings": VIEW,
    "list_schedule_ticks": VIEW,
    "pause_schedule": OPERATE,
    "resume_schedule": OPERATE,
    "trigger_schedule": OPERATE,
    "preview_schedule_backfill": VIEW,
    "start_schedule_backfill": OPERATE,
    "list_schedule_backfills": VIEW,
    "get_schedule_backfill": VIEW,
    "cancel_schedule_backfill": OPERATE,
    "list_chores": VIEW,
    "count_chores": VIEW,
    "list_chore_history": VIEW,
    "get_chore": VIEW,
    "run_chore_now": OPERATE,
    "retry_chore": OPERATE,
    "retry_chores": OPERATE,
    "delete_chore": OPERATE,
    "get_retention": VIEW,
    "put_retention_rule": ADMINISTER,
    "delete_retention_rule": ADMINISTER,
    "keep_details": ADMINISTER,
    "keep_term": ADMINISTER,
    "run_retention": ADMINISTER,
    "list_rollups": VIEW,
    "create_export": OPERATE,
    "list_exports": VIEW,
    "get_export": VIEW,
    "get_export_file": VIEW,
    "delete_export": OPERATE,
    "create_notification_channel": ADMINISTER,
    "list_notification_channels": VIEW,
    "get_notification_channel": VIEW,
    "replace_notification_channel": ADMINISTER,
    "test_notification_channel": OPERATE,
    "delete_notification_channel": ADMINISTER,
    "create_notification_rule": WRITE,
    "list_notification_rules": VIEW,
    "get_notification_rule": VIEW,
    "replace_notification_rule": WRITE,
    "delete_notification_rule": WRITE,
    "snooze_notification_rule": OPERATE,
    "wake_notification_rule": OPERATE,
    "test_notification_rule": OPERATE,
    "list_notifications": VIEW,
    "acknowledge_notification": OPERATE,
    "list_notification_deliveries": VIEW,
    "redeliver_notification": OPERATE,
    "list_queues": VIEW,
    "pause_queue": OPERATE,
    "resume_queue": OPERATE,
    "set_queue_size": OPERATE,
    "invite_workstation": ADMINISTER,
    "list_workstation_invitations": OPERATE,
    "withdraw_workstation_invitation": ADMINISTER,
    "list_workstations": VIEW,
    "get_workstation": VIEW,
    "change_workstation": ADMINISTER,
    "accept_workstation": ADMINISTER,
    "drain_workstation": OPERATE,
    "undrain_workstation": OPERATE,
    "revoke_workstation": ADMINISTER,
    "remove_workstation": ADMINISTER,
    "enrol_workstation": OPEN,  # the invitation in the body says that it may
    "make_workstation_nonce": OPEN,  # it is good for nothing but to be signed
    "make_workstation_token": OPEN,  # the signature in the body says who it is
    "sync_workstation": STATION,
    "rotate_workstation_key": STATION,
    "list_workstation_peers": STATION,
    "grant_workstation_peer": STATION,
    "sync_worker": REMOTE,
    "list_workers": VIEW,
    "drain_worker": OPERATE,
    "resume_worker": OPERATE,
    "create_token": ADMINISTER,
    "list_tokens": VIEW,
    "get_token": VIEW,
    "revoke_token": VIEW,
    "get_me": VIEW,
    "create_user": ADMINISTER,
    "list_users": VIEW,
    "get_user": VIEW,
    "change_user": ADMINISTER,
    "delete_user": ADMINISTER,
    "make_password_link": ADMINISTER,
    "make_login_link": ADMINISTER,
    "change_password": VIEW,
    "set_password": OPEN,  # the link in the body says who it is
    "list_sessions": VIEW,
    "end_session": VIEW,
    "list_audit": ADMINISTER,
    "list_secrets": WRITE,
    "get_secret": WRITE,
    "put_secret": ADMINISTER,
    "change_secret": ADMINISTER,
    "delete_secret": ADMINISTER,
    "list_secret_keys": ADMINISTER,
    "rotate_secret_keys": ADMINISTER,
    "list_variables": VIEW,
    "get_variable": VIEW,
    "set_variable": WRITE,
    "delete_variable": WRITE,
    "alias_create_process_record": WRITE,
    "alias_list_process_records": VIEW,
    "alias_get_process_record": VIEW,
    "alias_replace_process_record": WRITE,
    "alias_delete_process_record": WRITE,
    "alias_start_process_record": OPERATE,
    "alias_stop_process_record": OPERATE,
    "alias_list_process_types": VIEW,
    "alias_list_process_types_for_tables": VIEW,
    "alias_list_processes": VIEW,
    "alias_get_process": VIEW,
    "alias_get_task_details": VIEW,
    "alias_list_task_ids": VIEW,
    "alias_get_statistics": VIEW,
    "alias_execute_workflow": OPERATE,
    "alias_list_workflow_runs": VIEW,
    "alias_get_workflow_run": VIEW,
    "alias_pause_workflow_run": OPERATE,
    "alias_resume_workflow_run": OPERATE,
    "alias_cancel_workflow_run": OPERATE,
    "alias_get_engine_health": VIEW,
    "alias_define_workflow": WRITE,
    "alias_list_workflows": VIEW,
    "alias_trigger_workflow": OPERATE,
    "alias_get_chain_run": VIEW,
    "alias_list_chain_runs": VIEW,
}


# Of these, whoever is no admin reaches what is their own; what is somebody else's is as good as not
# there. A user's own are the user, their tokens and sessions; a machine's own is its token.
OWN = frozenset(
    {
        "list_tokens",
        "get_token",
        "revoke_token",
        "list_users",
        "get_user",
        "change_password",
        "list_sessions",
        "end_session",
    }
)


# These read their bodies themselves, by rules of their own.
FRAMES = frozenset({"sync_workstation", "sync_worker"})


class GuardedRoute(APIRoute):
    """Asks the table first, then reads the body with care, then lets FastAPI go on."""

    def get_route_handler(self) -> Handler:
        handle, keyed = super().get_route_handler(), once.takes_key(self)

        async def guarded(request: Request) -> Response:
            careful = await guard(request, self.name, scope_of(self))
            key = once.key_of(careful) if keyed else None
            if key is None:
                return editions.revalidated(careful, await handle(careful))
            return await once.answered(careful, self.name, key, handle)

        return guarded


async def guard(request: Request, name: str, scope: str) -> CarefulRequest:
    """Nothing of a request is read before its caller may do what the route of this name does."""
    request.scope.get(OPERATION, {})["name"] = name
    refuse_nul(request.scope)
    caller = await admit(request, VERDICTS.get(name), scope)
    request.state.caller = caller
    if caller is not None and request.method not in SAFE:
        ACTOR.set(Actor(caller.name, caller.id, source_of(request), name))
    careful = CarefulRequest(request.scope, request.receive)
    await careful.read(server_of(request).settings, parsed=name not in FRAMES)
    return careful


async def admit(request: Request, roles: Roles | None, scope: str) -> Caller | None:
    if roles is OPEN:
        return None
    if roles is STATION:
        return await admit_workstation(request)
    caller = await authenticate(request)
    if roles is None or caller.role not in roles:
        raise Forbidden(
            f"the role {caller.role} may not do this",
            remedy="ask with a token of role " + " or ".join(sorted(roles or [Role.ADMIN])),
        )
    if not caller.reaches(scope):
        raise Forbidden(
            f"this token is not for {scope}", remedy="ask with a token that has this scope"
        )
    return caller


async def admit_workstation(request: Request) -> Caller:
    """The workstation that the address names, if it asks with its own token."""
    token = bearer(request.headers.get("authorization", ""))
    name = str(request.path_params["workstation"])
    async with server_of(request).connection() as conn:
        row = await workstations.authenticated(conn, keys_of(request), token, name)
    request.state.workstation = row
    return Caller(None, f"workstation {name}", Role.AGENT)


def workstation_of(request: Request) -> Row:
    return cast("Row", request.state.workstation)


def keys_of(request: Request) -> Keys:
    return cast("Keys", getattr(request.app.state, "keys", Keys()))


def scope_of(route: APIRoute) -> str:
    """The part of the API that it belongs to."""
    return str(route.tags[0]).replace(" ", "-")


def source_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"


async def authenticate(request: Request) -> Caller:
    token = bearer(request.headers.get("authorization", ""))
    return await server_of(request).callers.ask(token)


def bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("this needs a bearer token", remedy=REMEDY)
    return token.strip()


def require_verdicts(names: Iterable[str]) -> None:
    if missing := set(names) - set(VERDICTS):
        raise LookupError(f"routes without a verdict in scheduler/api/access.py: {missing}")
