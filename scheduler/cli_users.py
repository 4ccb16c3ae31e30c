"""Commands for people, their passwords and their tokens. A password or token is never an argument:
everybody on a machine can read those."""

import sys
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, Listing, asks, of, quoted
from scheduler.client import Refused
from scheduler.show import Column

PEOPLE = ["viewer", "operator", "author", "admin"]
ROLES = [*PEOPLE, "agent", "worker"]
USERS: list[Column] = [
    ("USER", of("name")),
    ("ROLE", of("role")),
    ("NAME", of("display_name")),
    ("E-MAIL", of("email")),
    ("PASSWORD", lambda row: "set" if row["password_set_at"] else "none"),
    ("LAST LOGIN", lambda row: show.moment(row["last_login_at"])),
    ("DISABLED", lambda row: show.moment(row["disabled_at"])),
]
TOKENS: list[Column] = [
    ("ID", of("id")),
    ("NAME", of("name")),
    ("PREFIX", of("prefix")),
    ("ROLE", of("role")),
    ("USER", of("user")),
    ("SCOPES", lambda row: "all" if row["scopes"] is None else " ".join(row["scopes"])),
    ("EXPIRES", lambda row: show.moment(row["expires_at"])),
    ("REVOKED", lambda row: show.moment(row["revoked_at"])),
    ("LAST USED", lambda row: show.moment(row["last_used_at"])),
]
SESSIONS: list[Column] = [
    ("ID", of("id")),
    ("USER", of("user")),
    ("FROM", of("source")),
    ("SINCE", lambda row: show.moment(row["created_at"])),
    ("SEEN", lambda row: show.moment(row["seen_at"])),
    ("BROWSER", of("agent")),
]

role_option = click.option("--role", type=click.Choice(PEOPLE), help="What they may do.")
limit_option = click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000)
)


@click.group(cls=Listing)
def users() -> None:
    """People who may sign in. Without a command: list them."""


@users.command("list")
@role_option
@limit_option
@asks
def list_users(desk: Desk, role: str | None, limit: int) -> None:
    """List users; whoever is no admin sees themself."""
    desk.table(desk.client.pages("/users", limit, role=role), USERS, "no users")


@users.command("show")
@click.argument("name")
@asks
def show_user(desk: Desk, name: str) -> None:
    """Show a user."""
    say_all(desk, desk.client.get(f"/users/{quoted(name)}"))


@users.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(PEOPLE), required=True, help="What they may do.")
@click.option("--display-name", default="", help="What people call them.")
@click.option("--email")
@asks
def create_user(desk: Desk, name: str, role: str, display_name: str, email: str | None) -> None:
    """Create a user, who has no password yet: `users link` lets them set one."""
    body = {"name": name, "role": role, "display_name": display_name, "email": email}
    made = desk.client.post("/users", body)
    desk.say(made, f"user {name} created: `procession users link {name}` lets them set a password")


@users.command("change")
@click.argument("name")
@role_option
@click.option("--display-name")
@click.option("--email")
@asks
def change_user(desk: Desk, name: str, **given: str | None) -> None:
    """Change a user; another role ends their sessions."""
    body = {key: value for key, value in given.items() if value is not None}
    desk.say(change(desk, name, body), f"user {name} changed")


@users.command("disable")
@click.argument("name")
@asks
def disable_user(desk: Desk, name: str) -> None:
    """Shut a user out: tokens, sessions and links end at once and for good."""
    desk.say(change(desk, name, {"disabled": True}), f"user {name} is disabled")


@users.command("enable")
@click.argument("name")
@asks
def enable_user(desk: Desk, name: str) -> None:
    """Let a disabled user sign in again; tokens have to be made anew."""
    desk.say(change(desk, name, {"disabled": False}), f"user {name} may sign in again")


def change(desk: Desk, name: str, body: dict[str, Any]) -> Any:
    return desk.client.patch(f"/users/{quoted(name)}", body)


@users.command("delete")
@click.argument("name")
@asks
def delete_user(desk: Desk, name: str) -> None:
    """Delete a user, with tokens and sessions; history keeps the name."""
    desk.client.delete(f"/users/{quoted(name)}")
    desk.say(None, f"user {name} deleted")


@users.command("link")
@click.argument("name")
@asks
def link_user(desk: Desk, name: str) -> None:
    """Print what its user can set a password with, once: `procession users set-password`."""
    made = desk.client.post(f"/users/{quoted(name)}/password-link")
    desk.say(made, f"{made['token']}\ngood until {show.moment(made['expires_at'])}, once")


@users.command("set-password")
@asks
def set_password(desk: Desk) -> None:
    """Set a password with a link; both are asked for, or read as two lines."""
    token, password = asked("Link"), asked("New password", twice=True)
    desk.client.post("/password", {"token": token, "password": password})
    desk.say(None, "the password is set")


@users.command("password")
@click.argument("name")
@asks
def change_password(desk: Desk, name: str) -> None:
    """Change one's own password; the old and the new one are asked for, or read as two lines."""
    old, password = asked("Old password"), asked("New password", twice=True)
    body = {"old": old, "password": password}
    desk.client.put(f"/users/{quoted(name)}/password", body)
    desk.say(None, "the password is changed; all sessions have ended")


def asked(what: str, *, twice: bool = False) -> str:
    """From the terminal, unseen; else the next line of the standard input."""
    if sys.stdin.isatty():
        text: str = click.prompt(what, hide_input=True, confirmation_prompt=twice)
        return text
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise Refused(f"the standard input has no line for this: {what.lower()}")
    return line


@click.group(cls=Listing)
def tokens() -> None:
    """What programs ask with. Without a command: list them."""


@tokens.command("list")
@click.option("--user", help="Of this user.")
@limit_option
@asks
def list_tokens(desk: Desk, user: str | None, limit: int) -> None:
    """List tokens, the newest first; whoever is no admin sees their own."""
    desk.table(desk.client.pages("/tokens", limit, user=user), TOKENS, "no tokens")


@tokens.command("show")
@click.argument("token", metavar="ID", type=click.IntRange(1))
@asks
def show_token(desk: Desk, token: int) -> None:
    """Show a token, without its clear text."""
    say_all(desk, desk.client.get(f"/tokens/{token}"))


@tokens.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--user", help="Whose it is; a machine's if left out.")
@click.option("--scope", "scopes", multiple=True, help="A part of the API. Repeatable.")
@click.option("--expires-at", metavar="TIME", help="As in 2030-01-31T00:00:00Z.")
@asks
def create_token(
    desk: Desk,
    name: str,
    role: str,
    user: str | None,
    scopes: tuple[str, ...],
    expires_at: str | None,
) -> None:
    """Make a token and print it: it is shown this once."""
    body = {
        "name": name,
        "role": role,
        "user": user,
        "scopes": list(scopes) or None,
        "expires_at": expires_at,
    }
    made = desk.client.post("/tokens", body)
    desk.say(made, made["token"])


@tokens.command("revoke")
@click.argument("token", metavar="ID", type=click.IntRange(1))
@asks
def revoke_token(desk: Desk, token: int) -> None:
    """End a token at once."""
    revoked = desk.client.ask("DELETE", f"/tokens/{token}")
    desk.say(revoked, f"token {token} is revoked")


@click.group(cls=Listing)
def sessions() -> None:
    """Where people are signed in. Without a command: list them."""


@sessions.command("list")
@click.option("--user", help="Of this user.")
@limit_option
@asks
def list_sessions(desk: Desk, user: str | None, limit: int) -> None:
    """List sessions, the newest first; whoever is no admin sees their own."""
    desk.table(desk.client.pages("/sessions", limit, user=user), SESSIONS, "nobody is signed in")


@sessions.command("end")
@click.argument("session", metavar="ID", type=click.IntRange(1))
@asks
def end_session(desk: Desk, session: int) -> None:
    """Sign somebody out."""
    desk.client.delete(f"/sessions/{session}")
    desk.say(None, f"session {session} has ended")


@click.command()
@asks
def whoami(desk: Desk) -> None:
    """Say who asks, and what they may do."""
    say_all(desk, desk.client.get("/me"))


def say_all(desk: Desk, found: Any) -> None:
    if desk.as_json:
        desk.json(found)
    else:
        click.echo(show.fields([(name.replace("_", " "), found[name]) for name in found]))


@click.command("login-link")
@click.option("--user", help="Whom it lets in; the admin of the machine if left out.")
@asks
def login_link(desk: Desk, user: str | None) -> None:
    """Print a link that lets somebody into the dashboard, once, within minutes."""
    made = desk.client.post("/login-links", {"user": user})
    home = desk.address().url.rstrip("/")
    until = show.moment(made["expires_at"])
    desk.say(made, f"{home}{made['path']}\ngood until {until}, once")


COMMANDS = (users, tokens, sessions, whoami, login_link)
