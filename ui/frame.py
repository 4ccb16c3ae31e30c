"""What stands around every page: navigation, counts, who looks, and how it is to look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from psycopg import AsyncConnection

from scheduler.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from ui import access, attention, environments, session, sharing, ways, words
from ui.looks import THEMES, Look, look_of
from ui.templating import EDITIONS, HEADERS, HERE, TEMPLATES, address, pretty

__all__ = ["EDITIONS", "HERE", "THEMES", "Look", "address", "look_of", "pretty"]

Conn = AsyncConnection[Any]

STATUS: Mapping[type[Refusal], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    Forbidden: 403,
    Unauthenticated: 401,
    TooMany: 429,
    Unavailable: 503,
}
# No length tells of what is shown once.
UNCOMPRESSED = {"Content-Encoding": "identity"}
SAID_BY_PAGES = frozenset({"counts", "look_at", "refresh", "stream", "zones"})
PASSING = frozenset({"said", "zone", "cursor"})  # what an address says for one moment
ANONYMOUS = ""  # who has no cookie at all can send no form

# What a page says after something was done; an address names the sentence.
SAID = {
    "hold": "The run is being held: nothing more of it begins.",
    "resume": "The run goes on.",
    "stop": "The run is being stopped.",
    "kill": "The run is being stopped, and what it has in hand killed.",
    "retry": "A new round has begun.",
    "asked": "The workstation that decides about it is asked, and does so when it hears of it.",
    "undo": "What the run did is being undone.",
    "skip": "The task is skipped.",
    "complete": "The task counts as done.",
    "started": "The run has been started.",
    "later": "It will be started then, by the schedule that stands here until it is due.",
    "published": "Published. What runs stays on the version that it began with.",
    "unchanged": "That is what the newest version says already: nothing was published.",
    "retired": "Retired: nothing more of it is started.",
    "reinstated": "It may be started and published again.",
    "saved": "Saved.",
    "deleted": "Deleted.",
    "approved": "Approved: the run goes on.",
    "rejected": "Rejected: the task has failed.",
    "redriven": "Taken up again, from what failed.",
    "discarded": "Discarded.",
    "worker-drain": "It claims nothing more, and finishes what it has in hand.",
    "worker-resume": "It claims tasks again.",
    "workstation-drain": "It takes nothing more, and finishes what it has in hand.",
    "workstation-undrain": "It takes work again.",
    "workstation-labels": "Saved.",
    "workstation-accept": "Accepted: it is let in.",
    "workstation-revoke": "Revoked: it is let in no more.",
    "workstation-remove": "The workstation is removed.",
    "invitation-withdrawn": "The invitation lets nobody in any more.",
    "queue-pause": "The queue is paused: nothing more is claimed from it.",
    "queue-resume": "Tasks of the queue are claimed again.",
    "queue-size": "Set. What is in hand beyond it goes on to its end.",
    "schedule_made": "The schedule is made.",
    "schedule_changed": "The schedule is changed, for the future alone.",
    "schedule_deleted": "The schedule is deleted; the runs that it started stay.",
    "schedule_paused": "The schedule is paused.",
    "schedule_resumed": "The schedule goes on; what was due meanwhile is written down as skipped.",
    "schedules_stopped": "All schedules are stopped; what runs goes on.",
    "schedules_resumed": "The schedules go on; what was due meanwhile is written down as skipped.",
    "backfill_started": "The backfill has begun.",
    "backfill_ended": "Nothing more of the backfill begins; the runs that it started go on.",
    "secret-made": "Kept. Nobody is ever shown the value again.",
    "secret-value": "The new value is kept, and the one before gone.",
    "secret-change": "Changed.",
    "secret-delete": "The secret is deleted.",
    "secret-rotated": "The current key encrypts all secrets.",
    "user-made": "The user is made. A link lets them set a password.",
    "user-change": "Changed.",
    "user-disable": "Shut out: tokens, sessions and links have ended.",
    "user-enable": "They may sign in again; tokens have to be made anew.",
    "user-delete": "The user is deleted, with tokens and sessions.",
    "password": "The password is changed; your other sessions have ended.",
    "token-revoked": "The token is revoked: whoever uses it is refused from now on.",
    "sessions-ended": "Ended: whoever was signed in there has to sign in again.",
    "chore_now": "The chore waits for no time any more.",
    "chore_retried": "The chore waits again, with all its attempts.",
    "chores_retried": "Those that had failed wait again.",
    "chore_deleted": "The chore is deleted; its history stays.",
    "acknowledged": "Acknowledged.",
    "redelivered": "It is on its way once more.",
    "rule_made": "The rule is made.",
    "rule_changed": "The rule is changed, for what is found from now on.",
    "rule_sleeps": "The rule sleeps: nobody is told.",
    "rule_awake": "The rule is awake.",
    "rule_deleted": "The rule is deleted, with what it found.",
    "tested": "A test is on its way: its deliveries say what came of it.",
    "channel_made": "The channel is made: send a test through it.",
    "channel_changed": "The channel is changed; what is on its way goes to where it points now.",
    "channel_deleted": "The channel is deleted.",
    "event_sent": "The event is stored: what it starts stands here in a moment.",
    "event_known": "This event was known already: nothing was added.",
    "trigger_made": "The trigger is made, for events from now on.",
    "trigger_changed": "The trigger is changed, for events to come.",
    "trigger_paused": "The trigger is paused.",
    "trigger_resumed": "The trigger goes on.",
    "trigger_deleted": "The trigger is deleted; the runs that it started stay.",
    "webhook_made": "The webhook is made.",
    "webhook_changed": "The webhook is changed.",
    "webhook_rotated": "Another key signs from now on.",
    "webhook_deleted": "The webhook is deleted.",
    "out": "You are signed out.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    route: str
    href: str
    text: str
    key: str  # of the keyboard, after g
    count: str = ""

    @property
    def tone(self) -> str:
        return ATTENTION[self.count][0]

    @property
    def why(self) -> str:
        return ATTENTION[self.count][1]


# What a number beside an entry counts, and its colour.
ATTENTION = {
    "approvals": ("wait", "approvals that wait for an answer"),
    "late": ("late", "runs that take longer than usual"),
    "letters": ("bad", "tasks that gave up, undecided"),
    "chores": ("bad", "chores that failed"),
}
NAV = (
    (
        "Now",
        (
            Entry("ui_now", "/ui", "Now", "n"),
            Entry("ui_inbox", "/ui/inbox", "Inbox", "i", "approvals"),
        ),
    ),
    (
        "Work",
        (
            Entry("ui_runs", "/ui/runs", "Runs", "r", "late"),
            Entry("ui_processes", "/ui/processes", "Processes", "p"),
            Entry("ui_schedules", "/ui/schedules", "Schedules", "s"),
            Entry("ui_dead_letters", "/ui/dead-letters", "Dead letters", "d", "letters"),
        ),
    ),
    (
        "Fleet",
        (
            Entry("ui_workstations", "/ui/workstations", "Workstations", "f"),
            Entry("ui_workers", "/ui/workers", "Workers", "w"),
            Entry("ui_queues", "/ui/queues", "Queues and limits", "q"),
        ),
    ),
    (
        "Data",
        (
            Entry("ui_events", "/ui/events", "Events", "e"),
            Entry("ui_alerts", "/ui/alerts", "Alerts", "a"),
            Entry("ui_chores", "/ui/chores", "Chores", "c", "chores"),
            Entry("ui_insights", "/ui/insights", "Insights", "t"),
        ),
    ),
    (
        "Admin",
        (
            Entry("ui_secrets", "/ui/secrets", "Secrets", "k"),
            Entry("ui_people", "/ui/people", "People and tokens", "u"),
            Entry("ui_audit", "/ui/audit", "Audit", "l"),
            Entry("ui_system", "/ui/system", "System", "y"),
            Entry("ui_reference", "/ui/reference", "API and CLI", "h"),
        ),
    ),
)


async def page(
    request: Request, conn: Conn, template: str, *, status: int = 200, **values: Any
) -> Response:
    """A page for somebody who is signed in, with what needs them beside it.

    Of the values: `stream` is where the page hears of changes, `zones` are other zones that matter
    on it, `shows_secret` says that it holds what is shown once.
    """
    counts = await attention.needs(request, conn)
    return rendered(request, template, status=status, counts=counts, **values)


def rendered(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    person = getattr(request.state, "person", None)
    look, now = look_of(request), datetime.now(UTC)
    is_live = sharing.is_asked_again(request)
    secret = session.value_of(request) or session.value_of(request, session.ENTRY) or ANONYMOUS
    given: dict[str, Any] = {
        "request": request,
        "person": person,
        "nav": nav_of(person),
        "counts": {},
        "look": look,
        "now": now,
        # Live parts are for all who look at the same: each page puts its own token in.
        "form_secret": "" if is_live else session.form_token(values.pop("secret", None) or secret),
        "live": is_live,
        "heard": getattr(request.state, "heard", ""),
        "this_page": here_of(request),
        "entry": current_of(request),
        "installation": environments.of(request),
        "zones": (),
        "may": lambda name: person is not None and access.may(person.caller, name),
        "clock": lambda moment: words.clock(moment, look.tz, now),
        "exact": lambda moment: moment.astimezone(look.tz).isoformat(" ", "milliseconds"),
        "ago": lambda moment: words.ago(moment, now),
        "as_both": lambda *asked: as_both(request, *asked),
        "said": SAID.get(request.query_params.get("said", "")),
        "stream": None,
        "look_at": None,
        "refresh": None,
    }
    shows_secret = values.pop("shows_secret", False)
    if taken := given.keys() & values.keys() - SAID_BY_PAGES:
        raise LookupError(f"the frame says itself what {', '.join(sorted(taken))} is")
    text = TEMPLATES.get_template(template).render(given | values)
    return HTMLResponse(text, status, HEADERS | UNCOMPRESSED if shows_secret else HEADERS)


def here_of(request: Request) -> str:
    """This page again, as it was asked for."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    path = raw.partition(b"?")[0].decode("ascii", "replace")
    kept = [each for each in request.query_params.multi_items() if each[0] not in PASSING]
    return f"{path}?{urlencode(kept)}" if kept else path


# Pages whose address does not say to which entry they belong.
BESIDE = {
    **dict.fromkeys(("/ui/records", "/ui/new-record", "/ui/publish"), "/ui/processes"),
    **dict.fromkeys(("/ui/new-workstation", "/ui/invitations", "/ui/stations"), "/ui/workstations"),
}


def current_of(request: Request) -> str | None:
    """The entry of the navigation that this page belongs to: the longest that its path begins
    with."""
    path = request.url.path
    path = next((to for begin, to in BESIDE.items() if path.startswith(begin)), path)
    hrefs = [each.href for _, entries in NAV for each in entries]
    found = [href for href in hrefs if path == href or path.startswith(href + "/")]
    return max(found, key=len, default=None) if path != "/ui" else "/ui"


@dataclass(frozen=True, slots=True)
class Both:
    curl: str
    command: str | None


def as_both(
    request: Request,
    name: str,
    body: Any,
    filters: Sequence[tuple[str, str]],
    given: Mapping[str, Any],
) -> Both:
    """The same for a terminal: by curl, and by our own command."""
    way, home = (
        ways.WAYS[name],
        f"{request.url.scheme}://{request.headers.get('host', 'localhost')}",
    )
    return Both(ways.curl(home, way, given, filters, body), ways.command(way, given, filters))


def nav_of(person: session.Person | None) -> list[tuple[str, list[Entry]]]:
    if person is None:
        return []
    groups = [
        (name, [each for each in entries if access.may(person.caller, each.route)])
        for name, entries in NAV
    ]
    return [(name, entries) for name, entries in groups if entries]


def refused(request: Request, error: Refusal) -> Response:
    """A page that says what was refused, why, and what to do now."""
    answer = rendered(
        request,
        "refused.html",
        status=status_of(error),
        message=str(error)[:4000],
        remedy=error.remedy,
    )
    if isinstance(error, Unavailable):
        answer.headers["Retry-After"] = str(getattr(error, "seconds", 2))
    return answer


def failed(request: Request) -> Response:
    """A fault of ours: the details are for the log."""
    message = "this server made a mistake; its log says which"
    return rendered(request, "refused.html", status=500, message=message, remedy=None)


def status_of(error: Refusal) -> int:
    return next(code for family, code in STATUS.items() if isinstance(error, family))


def see(path: str, /, **query: Any) -> Response:
    """After a form: another page, so that loading it again does nothing twice."""
    return RedirectResponse(address(path, **query), 303)


def source_of(request: Request) -> str:
    return request.client.host if request.client else "unknown"
