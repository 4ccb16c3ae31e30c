"""Who may open which screen: one table, asked before anything of a request is read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.domain.errors import Forbidden
from scheduler.services.access import Caller, Role, at_least


@dataclass(frozen=True, slots=True)
class Verdict:
    """The roles that may, and the part of the API that a token must reach."""

    roles: frozenset[Role]
    scope: str


OPEN = Verdict(frozenset(), "")


def view(scope: str) -> Verdict:
    return Verdict(at_least(Role.VIEWER), scope)


def operate(scope: str) -> Verdict:
    return Verdict(at_least(Role.OPERATOR), scope)


def author(scope: str) -> Verdict:
    return Verdict(at_least(Role.AUTHOR), scope)


def write(scope: str) -> Verdict:
    return Verdict(at_least(Role.AUTHOR), scope)


def administer(scope: str) -> Verdict:
    return Verdict(at_least(Role.ADMIN), scope)


VERDICTS: Mapping[str, Verdict] = {
    "ui_root": OPEN,
    "ui_static": OPEN,
    "ui_login": OPEN,
    "ui_sign_in": OPEN,
    "ui_link": OPEN,
    "ui_follow_link": OPEN,
    "ui_sign_out": OPEN,  # whoever is out already is out
    "ui_look": OPEN,  # changes a cookie alone
    "ui_stream": view("runs"),
    "ui_find": view("runs"),
    "ui_now": view("runs"),
    "ui_runs": view("runs"),
    "ui_runs_view": view("runs"),  # changes a cookie alone
    "ui_select_runs": operate("runs"),
    "ui_run_selection": view("runs"),
    "ui_command_runs": operate("runs"),
    "ui_run": view("runs"),
    "ui_run_graph": view("runs"),
    "ui_run_timeline": view("runs"),
    "ui_run_data": view("runs"),
    "ui_run_events": view("runs"),
    "ui_run_related": view("runs"),
    "ui_run_logs": view("runs"),
    "ui_run_files": view("runs"),
    "ui_run_file": view("runs"),
    "ui_run_undo": view("runs"),
    "ui_run_compare": view("runs"),
    "ui_run_again_form": operate("runs"),
    "ui_run_again": operate("runs"),
    "ui_run_command": operate("runs"),
    "ui_attempt": view("tasks"),
    "ui_log": view("tasks"),
    "ui_log_raw": view("tasks"),
    "ui_log_stream": view("tasks"),
    "ui_processes": view("process-types"),
    "ui_process": view("process-types"),
    "ui_process_grid": view("process-types"),
    "ui_process_runs": view("process-types"),
    "ui_process_schedules": view("process-types"),
    "ui_process_inputs": view("process-types"),
    "ui_definition": view("process-types"),
    "ui_definition_diff": view("process-types"),
    "ui_publish_again": author("process-types"),
    "ui_retire": author("process-types"),
    "ui_reinstate": author("process-types"),
    "ui_publish_form": author("process-types"),
    "ui_publish": author("process-types"),
    "ui_records": view("process-records"),
    "ui_record": view("process-records"),
    "ui_record_grid": view("process-records"),
    "ui_record_runs": view("process-records"),
    "ui_record_schedules": view("process-records"),
    "ui_record_inputs": view("process-records"),
    "ui_record_command": operate("process-records"),
    "ui_create_record_form": author("process-records"),
    "ui_create_record": author("process-records"),
    "ui_change_record_form": author("process-records"),
    "ui_change_record": author("process-records"),
    "ui_delete_record_form": author("process-records"),
    "ui_delete_record": author("process-records"),
    "ui_start_form": operate("runs"),
    "ui_start": operate("runs"),
    "ui_start_record_form": operate("process-records"),
    "ui_start_record": operate("process-records"),
    "ui_inbox": view("approvals"),
    "ui_decide": operate("approvals"),
    "ui_dead_letters": view("dead-letters"),
    "ui_dead_letter": view("dead-letters"),
    "ui_redrive": operate("dead-letters"),
    "ui_discard": operate("dead-letters"),
    "ui_confirm_letters": operate("dead-letters"),
    "ui_decide_letters": operate("dead-letters"),
    "ui_select_letters": operate("dead-letters"),
    "ui_letter_selection": view("dead-letters"),
    "ui_decide_selection": operate("dead-letters"),
    "ui_workers": view("workers"),
    "ui_worker": view("workers"),
    "ui_worker_command": operate("workers"),
    "ui_workers_confirm": operate("workers"),
    "ui_decide_workers": operate("workers"),
    "ui_workstations": view("workstations"),
    "ui_workstation": view("workstations"),
    "ui_workstations_confirm": operate("workstations"),
    "ui_decide_workstations": operate("workstations"),
    "ui_drain_workstation": operate("workstations"),
    "ui_undrain_workstation": operate("workstations"),
    "ui_label_workstation": administer("workstations"),
    "ui_accept_workstation": administer("workstations"),
    "ui_revoke_workstation_form": administer("workstations"),
    "ui_revoke_workstation": administer("workstations"),
    "ui_remove_workstation_form": administer("workstations"),
    "ui_remove_workstation": administer("workstations"),
    "ui_new_workstation": administer("workstations"),
    "ui_add_workstation": administer("workstations"),
    "ui_invitation": view("workstations"),
    "ui_withdraw_invitation": administer("workstations"),
    "ui_station": view("workstations"),
    "ui_station_command": operate("runs"),
    "ui_station_answer": operate("approvals"),
    "ui_queues": view("queues"),
    "ui_queue": view("queues"),
    "ui_queue_command": operate("queues"),
    "ui_limits": view("queues"),
    "ui_limit": view("queues"),
    "ui_schedules": view("schedules"),
    "ui_schedules_calendar": view("schedules"),
    "ui_stop_schedules": operate("schedules"),
    "ui_resume_schedules": operate("schedules"),
    "ui_new_schedule": write("schedules"),
    "ui_create_schedule": write("schedules"),
    "ui_edit_schedule": write("schedules"),
    "ui_change_schedule": write("schedules"),
    "ui_schedule": view("schedules"),
    "ui_schedule_ticks": view("schedules"),
    "ui_schedule_calendar": view("schedules"),
    "ui_schedule_backfills": view("schedules"),
    "ui_pause_schedule": operate("schedules"),
    "ui_resume_schedule": operate("schedules"),
    "ui_trigger_schedule": operate("schedules"),
    "ui_delete_schedule_confirm": write("schedules"),
    "ui_delete_schedule": write("schedules"),
    "ui_start_backfill": operate("schedules"),
    "ui_cancel_backfill": operate("schedules"),
    "ui_secrets": write("secrets"),
    "ui_secret": write("secrets"),
    "ui_put_secret": administer("secrets"),
    "ui_secret_command": administer("secrets"),
    "ui_rotate_secret_keys": administer("secrets"),
    "ui_people": view("users"),
    "ui_user": view("users"),
    "ui_create_user": administer("users"),
    "ui_user_command": administer("users"),
    "ui_change_password": view("users"),
    "ui_tokens": view("tokens"),
    "ui_create_token": administer("tokens"),
    "ui_tokens_confirm": view("tokens"),
    "ui_revoke_tokens": view("tokens"),
    "ui_sessions": view("users"),
    "ui_sessions_confirm": view("users"),
    "ui_end_sessions": view("users"),
    "ui_chores": view("chores"),
    "ui_chore_history": view("chores"),
    "ui_retry_chores_confirm": operate("chores"),
    "ui_retry_chores": operate("chores"),
    "ui_chore": view("chores"),
    "ui_run_chore": operate("chores"),
    "ui_retry_chore": operate("chores"),
    "ui_delete_chore_confirm": operate("chores"),
    "ui_delete_chore": operate("chores"),
    "ui_chores_confirm": operate("chores"),
    "ui_decide_chores": operate("chores"),
    "ui_alerts": view("notifications"),
    "ui_alert": view("notifications"),
    "ui_acknowledge": operate("notifications"),
    "ui_acknowledge_confirm": operate("notifications"),
    "ui_acknowledge_many": operate("notifications"),
    "ui_deliveries": view("notifications"),
    "ui_redeliver": operate("notifications"),
    "ui_alert_rules": view("notifications"),
    "ui_new_alert_rule": write("notifications"),
    "ui_create_alert_rule": write("notifications"),
    "ui_alert_rule": view("notifications"),
    "ui_edit_alert_rule": write("notifications"),
    "ui_change_alert_rule": write("notifications"),
    "ui_snooze_alert_rule": operate("notifications"),
    "ui_wake_alert_rule": operate("notifications"),
    "ui_test_alert_rule": operate("notifications"),
    "ui_delete_alert_rule_confirm": write("notifications"),
    "ui_delete_alert_rule": write("notifications"),
    "ui_alert_channels": view("notifications"),
    "ui_new_alert_channel": administer("notifications"),
    "ui_create_alert_channel": administer("notifications"),
    "ui_alert_channel": view("notifications"),
    "ui_edit_alert_channel": administer("notifications"),
    "ui_change_alert_channel": administer("notifications"),
    "ui_test_alert_channel": operate("notifications"),
    "ui_delete_alert_channel_confirm": administer("notifications"),
    "ui_delete_alert_channel": administer("notifications"),
    "ui_audit": administer("audit"),
    "ui_audit_line": administer("audit"),
    "ui_system": administer("health"),
    "ui_bundle": administer("health"),
    "ui_reference": view("documentation"),
    "ui_reference_commands": view("documentation"),
    "ui_reference_webhooks": view("documentation"),
    "ui_events": view("events"),
    "ui_event": view("events"),
    "ui_new_event": operate("events"),
    "ui_send_event": operate("events"),
    "ui_triggers": view("triggers"),
    "ui_trigger": view("triggers"),
    "ui_new_trigger": write("triggers"),
    "ui_create_trigger": write("triggers"),
    "ui_edit_trigger": write("triggers"),
    "ui_change_trigger": write("triggers"),
    "ui_pause_trigger": operate("triggers"),
    "ui_resume_trigger": operate("triggers"),
    "ui_delete_trigger_confirm": write("triggers"),
    "ui_delete_trigger": write("triggers"),
    "ui_webhooks": view("webhooks"),
    "ui_webhook": view("webhooks"),
    "ui_new_webhook": administer("webhooks"),
    "ui_create_webhook": administer("webhooks"),
    "ui_edit_webhook": administer("webhooks"),
    "ui_change_webhook": administer("webhooks"),
    "ui_rotate_webhook": administer("webhooks"),
    "ui_delete_webhook_confirm": administer("webhooks"),
    "ui_delete_webhook": administer("webhooks"),
    "ui_insights": view("runs"),
    "ui_nowhere": OPEN,
}


# What shows somebody's own: nobody else gets the same answer, whatever their rights.
OWN = frozenset({"ui_inbox"})


def require_may(caller: Caller, verdict: Verdict) -> None:
    if caller.role not in verdict.roles:
        raise Forbidden(
            f"your role, {caller.role}, may not do this",
            remedy="this takes " + " or ".join(sorted(verdict.roles)),
        )
    if not caller.reaches(verdict.scope):
        raise Forbidden(f"your token is not for {verdict.scope}")


def may(caller: Caller, name: str) -> bool:
    """Whether this caller is let in at the route of this name."""
    verdict = VERDICTS[name]
    return verdict is OPEN or (caller.role in verdict.roles and caller.reaches(verdict.scope))


def require_verdicts(names: Iterable[str]) -> None:
    if missing := set(names) ^ set(VERDICTS):
        raise LookupError(f"routes and verdicts in ui/access.py differ: {missing}")
