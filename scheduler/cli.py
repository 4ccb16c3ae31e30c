"""The `procession` command: what there is, and how it ends.

Exit codes: 0 done; 1 the run failed or a check found something; 2 it could not be done, said in
one line; 3 the run was stopped; 130 interrupted. `exec` ends as its command did.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from scheduler.client import Refused

PARTS = (
    "scheduler.cli_runs",
    "scheduler.cli_flows",
    "scheduler.cli_bulk",
    "scheduler.cli_exec",
    "scheduler.cli_logs",
    "scheduler.cli_records",
    "scheduler.cli_types",
    "scheduler.cli_plan",
    "scheduler.cli_operations",
    "scheduler.cli_schedules",
    "scheduler.cli_triggers",
    "scheduler.cli_chores",
    "scheduler.cli_notifications",
    "scheduler.cli_secrets",
    "scheduler.cli_people",
    "scheduler.cli_users",
    "scheduler.cli_workstations",
    "scheduler.cli_server",
    "edge.cli",
)
ALONE = {"edge": "edge.cli"}  # loaded without the others: it may run for months
OURS = frozenset({"scheduler", "executor", "edge", "ui", "sql"})
INTERRUPTED = 130
SERVER_EXTRA = "pip install 'procession[server]'"


class Whole(click.Group):
    """Commands are loaded when they are asked for, and those that are installed are there."""

    is_loaded = False
    missing: frozenset[str] = frozenset()

    def list_commands(self, ctx: click.Context) -> list[str]:
        self.load()
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ALONE:
            self.take(ALONE[cmd_name])
        else:
            self.load()
        return super().get_command(ctx, cmd_name)

    def load(self) -> None:
        if not self.is_loaded:
            self.is_loaded = True
            for part in PARTS:
                self.take(part)

    def take(self, part: str) -> None:
        try:
            found = import_module(part)
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            if name in OURS:
                raise
            self.missing |= {name}
            return
        for command in found.COMMANDS:
            self.add_command(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not self.missing:
                raise
            lacks = ", ".join(sorted(self.missing))
            remedy = f"{lacks} is not installed: {SERVER_EXTRA}"
            raise click.UsageError(f"{error.message} {remedy}", ctx) from None


@click.group(
    cls=Whole,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Asks the server at PROCESSION_SERVER with PROCESSION_TOKEN, else the one that"
    " `procession up` started on this machine.",
)
@click.version_option(package_name="procession", prog_name="procession")
def procession() -> None:
    """Processes of commands, calls and code, with everything in PostgreSQL."""


def main() -> None:
    sys.exit(carry_out())


def carry_out(arguments: list[str] | None = None) -> int:
    """What the command ends with; a refusal becomes one line, and never a traceback."""
    from scheduler.domain.errors import Refusal

    try:
        code = procession.main(arguments, prog_name="procession", standalone_mode=False)
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.ClickException as refused:
        refused.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except refusals() as refused:
        return complain(str(refused), refused.remedy)
    except Refusal as refusal:
        return complain(str(refusal), refusal.remedy)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in OURS:
            raise
        return complain(f"{name} is not installed", SERVER_EXTRA)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def refusals() -> "tuple[type[Refused], ...]":
    """Of commands that ask a server; where none was loaded, nothing can be refused."""
    client = sys.modules.get("scheduler.client")
    return () if client is None else (client.Refused,)


def complain(message: str, remedy: str | None) -> int:
    click.echo(f"procession: {message}" + (f": {remedy}" if remedy else ""), err=True)
    return 2
