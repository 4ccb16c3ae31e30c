"""`procession edge`: what is done at a workstation itself. It needs nothing of the server's."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

from edge import attempts

TOKEN = "PROCESSION_JOIN_TOKEN"
FAILED = 2

Command = Callable[..., Any]


@click.group()
def edge() -> None:
    """This machine as a workstation: it carries out what it is given, online and alone."""


def at_home(command: Command) -> Command:
    """It gets the agent's folder; what is wrong there is said in one line."""

    @click.option(
        "--home",
        "folder",
        type=click.Path(path_type=Path, file_okay=False),
        help="The agent's folder.  [env: PROCESSION_EDGE_HOME]",
    )
    @wraps(command)
    def at(folder: Path | None, **given: Any) -> Any:
        from edge.agent.home import Home, Unusable, usual
        from edge.agent.local import Refused
        from edge.agent.web import Unanswered

        try:
            return command(Home(folder or usual()), **given)
        except (Unusable, Refused) as error:
            complain(error.why, error.remedy)
        except Unanswered as error:
            complain(error.why, error.remedy or "`procession edge doctor` looks for the reason")
        except ValueError as error:
            complain(str(error), "")
        sys.exit(FAILED)

    return at


def complain(why: str, remedy: str) -> None:
    click.echo(f"procession: {why}" + (f": {remedy}" if remedy else ""), err=True)


def labelled(texts: tuple[str, ...]) -> Mapping[str, str]:
    labels = {}
    for each in texts:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{each!r}: write NAME=VALUE", param_hint="--label")
        labels[name] = value
    return labels


@edge.command()
@click.argument("server", metavar="URL")
@click.argument("token", required=False)
@click.option("--name", help="What it is to be called.  [default: as the invitation says, or host]")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Repeatable.")
@click.option("--slots", type=click.IntRange(1, 1000), help="Commands at once.  [default: 4]")
@click.option(
    "--allow", multiple=True, metavar="PROGRAM", help="May be carried out here. Repeatable."
)
@click.option(
    "--authorities",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Certificates to trust, where the system's do not suffice.",
)
@at_home
def join(
    home: Any,
    server: str,
    token: str | None,
    name: str | None,
    labels: tuple[str, ...],
    slots: int | None,
    allow: tuple[str, ...],
    authorities: str | None,
) -> None:
    """Become a workstation of a server, by the word that it has given for that.

    TOKEN may also come from PROCESSION_JOIN_TOKEN, or from the standard input with `-`.
    """
    from edge.agent import allowing, joining

    word = token_of(token)
    for each in allow:
        allowing.program(each)
    joined = asyncio.run(
        joining.join(
            home,
            server,
            word,
            name=name,
            labels=labelled(labels),
            slots=slots,
            authorities=authorities,
        )
    )
    policy = home.policy(joined.config)
    is_new = allowing.begin(policy, allow)
    click.echo(f"joined {joined.config.server} as {joined.config.name}")
    click.echo(f"fingerprint {joined.fingerprint}")
    if joined.state == "PENDING":
        click.echo("it waits until somebody accepts it there, who compares the fingerprint")
    if is_new and not allow:
        click.echo(f"nothing may be carried out here yet: say what in {policy}")
    click.echo("next: `procession edge run`, or `procession edge install` for good")


def token_of(given: str | None) -> str:
    found = sys.stdin.readline() if given == "-" else given or os.environ.get(TOKEN, "")
    if not found.strip():
        raise click.UsageError(f"TOKEN is missing: give it, or set {TOKEN}")
    return found.strip()


@edge.command()
@click.option("--attach", is_flag=True, help="To a runner that is a unit of its own.")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where the server and other workstations call it, if they are to.",
)
@click.option(
    "--cert",
    "certificate",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="To show there.  [default: one of its own, which its key vouches for]",
)
@click.option(
    "--cert-key",
    "certificate_key",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Where it is not in the same file.",
)
@click.option("--plain", is_flag=True, help="Be called without TLS: all on the way can read it.")
@click.option(
    "--called", is_flag=True, help="Wait for the server's call, instead of calling the server."
)
@at_home
def run(home: Any, attach: bool, called: bool, **listening: Any) -> None:
    """Be the agent, until told to end. Commands go on all the same."""
    from edge.agent import running

    given = {name: each for name, each in listening.items() if each}
    if called:
        given["carrier"] = "called"
    home.prepare()
    home.load()
    running.become(home, attach=attach, given=given)


@edge.command(
    add_help_option=False,
    hidden=True,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def runner(context: click.Context) -> None:
    """Own the commands of an agent, and outlive it: what its unit runs."""
    from executor.runner import main

    sys.exit(main(context.args))


@edge.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@at_home
def status(home: Any, as_json: bool) -> None:
    """What the agent has in hand, whether the server is there, what waits to be sent."""
    from edge.agent import local, telling

    told = local.ask(home.path, "status")
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(telling.lines(told)))


@edge.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@at_home
def doctor(home: Any, as_json: bool) -> None:
    """Look at everything the agent rests on; ends with 1 if something is wrong."""
    from dataclasses import asdict

    from edge.agent import doctor as examining
    from scheduler.domain.findings import Level

    found = asyncio.run(examining.examine(home))
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        click.echo("\n".join(examining.steps(found)))
    sys.exit(1 if any(each.level is Level.FAULT for each in found) else 0)


@edge.command()
@click.option("--user", help="Whom it runs as.  [default: whose folder it is]")
@click.option("--print", "only_print", is_flag=True, help="Show the units, and change nothing.")
@at_home
def install(home: Any, user: str | None, only_print: bool) -> None:
    """Have systemd run the agent, and its runner as a unit of its own."""
    from edge.agent import installing, units

    config = home.load()
    made = units.units(home.path, user or installing.owner(home.path), config.slots)
    if only_print:
        click.echo(f"# {units.FOLDER / units.RUNNER}\n{made.runner}")
        click.echo(f"# {units.FOLDER / units.AGENT}\n{made.agent}", nl=False)
        return
    for each in installing.install(home.path, user, made):
        click.echo(each)


@edge.command()
@at_home
def rotate(home: Any) -> None:
    """Give this workstation another key, which the one before signs. An agent that runs takes it
    up by itself."""
    from edge.agent import keys

    config = home.load()
    mark = asyncio.run(keys.rotate(home, config))
    click.echo(f"{config.name} has another key\nfingerprint {mark}")


@edge.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@at_home
def leave(home: Any, yes: bool) -> None:
    """Belong to the server no more. Its people remove the workstation there."""
    from edge.agent import joining

    config = home.load()
    if not yes:
        click.confirm(f"{config.name} leaves {config.server}?", abort=True)
    joining.leave(home)
    click.echo(f"left {config.server}")


@edge.command()
@click.argument("why")
@at_home
def drain(home: Any, why: str) -> None:
    """Take no new work, and say why; remembered until `undrain`."""
    asked(home, "drain", why=why)


@edge.command()
@at_home
def undrain(home: Any) -> None:
    """Take new work again."""
    asked(home, "undrain")


@edge.command()
@at_home
def connect(home: Any) -> None:
    """Try to reach the server at once."""
    asked(home, "connect")


def steering(verb: str, says: str) -> click.Command:
    @click.argument("attempt", required=False, metavar="[ATTEMPT|RUN|ORDER]")
    @click.option("--why", default="", help="For whoever reads the run.")
    @at_home
    def steer(home: Any, attempt: str | None, why: str) -> None:
        if attempt is not None and attempts.is_run(attempt):
            asked(home, f"{verb}-{kind_of(home, attempt)}", why=why, run=attempt)
        else:
            asked(home, verb, why=why, **({"attempt": attempt} if attempt else {}))

    return click.command(verb, help=f"{says} One attempt, or all that are in hand.")(steer)


def kind_of(home: Any, run: str) -> str:
    """A run of this workstation, or one that was ordered of another."""
    from edge.agent import local

    orders = local.ask(home.path, "orders")["orders"]
    return "order" if run in [each["run"] for each in orders] else "run"


def asked(home: Any, verb: str, **given: Any) -> None:
    from edge.agent import local

    local.ask(home.path, verb, **given)


def cli_runs_commands() -> tuple[click.Command, ...]:
    from edge import cli_runs  # which needs what is above

    return cli_runs.COMMANDS


edge.add_command(steering("hold", "Let commands stand still."))
edge.add_command(steering("resume", "Let them go on."))
edge.add_command(steering("stop", "End them."))

for command in cli_runs_commands():
    edge.add_command(command)

COMMANDS = (edge,)
