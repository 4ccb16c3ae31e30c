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


VERDICTS: Mapping[str, Verdict] = {
    "ui_root": OPEN,
    "ui_static": OPEN,
    "ui_login": OPEN,
    "ui_sign_in": OPEN,
    "ui_sign_out": OPEN,  # whoever is out already is out
    "ui_look": OPEN,  # changes a cookie alone
    "ui_stream": view("runs"),
    "ui_find": view("runs"),
    "ui_now": view("runs"),
    "ui_runs": view("runs"),
    "ui_run": view("runs"),
    "ui_run_graph": view("runs"),
    "ui_run_timeline": view("runs"),
    "ui_run_data": view("runs"),
    "ui_run_events": view("runs"),
    "ui_run_related": view("runs"),
    "ui_run_command": operate("runs"),
    "ui_attempt": view("tasks"),
    "ui_log": view("tasks"),
    "ui_log_raw": view("tasks"),
    "ui_log_stream": view("tasks"),
    "ui_processes": view("process-types"),
    "ui_process": view("process-types"),
    "ui_record": view("process-records"),
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
    "ui_workers": view("workers"),
    "ui_worker": view("workers"),
    "ui_worker_command": operate("workers"),
    "ui_workers_confirm": operate("workers"),
    "ui_decide_workers": operate("workers"),
    "ui_queues": view("queues"),
    "ui_queue": view("queues"),
    "ui_queue_command": operate("queues"),
    "ui_limits": view("queues"),
    "ui_limit": view("queues"),
    "ui_nowhere": OPEN,
}


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
