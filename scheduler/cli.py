"""The `procession` command: what there is, and how it ends.

Exit codes: 0 done; 1 the run failed or a check found something; 2 it could not be done, said in
one line; 3 the run was stopped; 130 interrupted. `exec` ends as its command did.
"""

import sys
from importlib.metadata import version

import click

from scheduler import (
    cli_bulk,
    cli_chores,
    cli_exec,
    cli_logs,
    cli_notifications,
    cli_operations,
    cli_people,
    cli_plan,
    cli_records,
    cli_runs,
    cli_schedules,
    cli_secrets,
    cli_server,
    cli_triggers,
    cli_types,
    cli_users,
)
from scheduler.client import Refused

PARTS = (
    cli_runs,
    cli_bulk,
    cli_exec,
    cli_logs,
    cli_records,
    cli_types,
    cli_plan,
    cli_operations,
    cli_schedules,
    cli_triggers,
    cli_chores,
    cli_notifications,
    cli_secrets,
    cli_people,
    cli_users,
    cli_server,
)
INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Asks the server at PROCESSION_SERVER with PROCESSION_TOKEN, else the one that"
    " `procession up` started on this machine.",
)
@click.version_option(version("procession"), prog_name="procession")
def procession() -> None:
    """Processes of commands, calls and code, with everything in PostgreSQL."""


for part in PARTS:
    for command in part.COMMANDS:
        procession.add_command(command)


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
    except Refused as refused:
        return complain(str(refused), refused.remedy)
    except Refusal as refusal:
        return complain(str(refusal), refusal.remedy)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def complain(message: str, remedy: str | None) -> int:
    click.echo(f"procession: {message}" + (f": {remedy}" if remedy else ""), err=True)
    return 2
