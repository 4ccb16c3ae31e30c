"""Commands that run the system: servers, workers, the database, and looking after them."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr, ValidationError

from scheduler.client import Refused

URL, URL_FILE = "PROCESSION_DATABASE_URL", "PROCESSION_DATABASE_URL_FILE"
OPENAPI = Path("openapi.yaml")

Wrapped = Callable[..., Any]


def database_option(command: Wrapped) -> Wrapped:
    return click.option(
        "--database-url",
        metavar="URL",
        help=f"Better given as {URL}, or in the file that {URL_FILE} names: a process list "
        "shows options to everybody.",
    )(command)


def data_option(command: Wrapped) -> Wrapped:
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Tokens, spools and the embedded database.  [env: PROCESSION_DATA_DIR; "
        "default: .procession]",
    )(command)


def database_url(option: str | None) -> str | None:
    """The URL as it was given: option, then environment, then file (a mounted secret)."""
    if option or os.environ.get(URL):
        return option or os.environ[URL]
    if file := os.environ.get(URL_FILE):
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise Refused(f"{URL_FILE}: {file}: {error.strerror}") from error
    settings = settings_with()
    return settings.database_url.get_secret_value() if settings.database_url else None


def required_url(option: str | None, data_dir: Path | None = None) -> str:
    """As it was given, else that of the embedded PostgreSQL that runs in the data folder."""
    from scheduler.embedded import EmbeddedPostgres

    folder = settings_with(data_dir=data_dir).data_dir
    url = database_url(option) or EmbeddedPostgres(folder).running()
    if not url:
        raise Refused(
            f"no database is given: set {URL} or {URL_FILE}; `procession up` brings its own"
        )
    return url


def settings_with(**given: Any) -> Any:
    """The settings in force: options over environment over defaults."""
    from scheduler.settings import load

    try:
        settings = load()
        changes: dict[str, Any] = {}
        for name, value in given.items():
            if isinstance(value, dict):
                kept = {key: each for key, each in value.items() if each is not None}
                nested = getattr(settings, name)
                value = type(nested).model_validate({**nested.model_dump(), **kept})
            if value is not None:
                changes[name] = value
        return settings.model_copy(update=changes)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"setting {where}: {first['msg']}") from error


def secret(url: str | None) -> SecretStr | None:
    return SecretStr(url) if url else None


@click.command()
@data_option
@click.option("--host", help="Where to listen.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="[default: 8080]")
@click.option("--workers", type=click.IntRange(0, 64), default=1, show_default=True)
@database_option
def up(
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    workers: int,
    database_url: str | None,
) -> None:
    """Start everything on this machine: database, server, workers.

    Brings a PostgreSQL of its own unless a database is given. Ctrl-C stops all of it.
    """
    from scheduler.up import up_main

    url = given_url(database_url)
    settings = settings_with(
        data_dir=data_dir, server={"host": host, "port": port}, database_url=secret(url)
    )
    log_to_stderr()
    asyncio.run(up_main(settings, workers=workers, say=click.echo))


@click.command()
@click.option("--host", help="Where to listen.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="[default: 8080]")
@data_option
@database_option
def serve(
    host: str | None, port: int | None, data_dir: Path | None, database_url: str | None
) -> None:
    """Serve the API, and run the loops that every server has."""
    with loading():
        from scheduler.serve import server_main

    url = required_url(database_url)
    settings = settings_with(data_dir=data_dir, server={"host": host, "port": port})
    log_to_stderr()
    asyncio.run(server_main(url, settings))


@click.command()
@click.option("--name", help="What it is called; must stay the same.  [default: host name]")
@click.option("--queue", "queues", multiple=True, help="What it serves. Repeatable.")
@click.option("--slots", type=click.IntRange(1, 1000), help="Commands at once.  [default: 8]")
@data_option
@database_option
def worker(
    name: str | None,
    queues: tuple[str, ...],
    slots: int | None,
    data_dir: Path | None,
    database_url: str | None,
) -> None:
    """Carry out tasks. Any number of workers, on any number of machines."""
    with loading():
        from scheduler.work import worker_main

    url = required_url(database_url)
    chosen = {"name": name, "queues": queues or None, "slots": slots}
    settings = settings_with(data_dir=data_dir, worker=chosen)
    log_to_stderr()
    asyncio.run(worker_main(url, settings))


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.pass_context
def runner(context: click.Context) -> None:
    """Own the commands of a worker, and outlive it; workers start theirs themselves."""
    from executor.runner import main

    sys.exit(main(context.args))


@click.command()
@database_option
def migrate(database_url: str | None) -> None:
    """Bring the database to the newest schema, as its owner."""
    from scheduler.store.migrations import migrate as bring

    applied = asyncio.run(bring(required_url(database_url)))
    click.echo("\n".join(f"applied {each}" for each in applied) or "up to date")


@click.command()
@click.option("--quick", is_flag=True, help="Only what decides whether anything can work.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON, for programs.")
@data_option
@database_option
def doctor(quick: bool, as_json: bool, data_dir: Path | None, database_url: str | None) -> None:
    """Look at everything the system rests on; ends with 1 if something is wrong."""
    from scheduler.doctor import examine
    from scheduler.domain.findings import Level

    settings = settings_with(data_dir=data_dir)
    url = required_url(database_url, data_dir)
    findings = asyncio.run(examine(url, settings.data_dir, quick=quick))
    report(findings, as_json)
    sys.exit(1 if any(each.level is Level.FAULT for each in findings) else 0)


def report(findings: Any, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from scheduler import show

    rows = [asdict(each) for each in findings]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    columns = [(key.upper(), column(key)) for key in ("check", "level", "says", "remedy")]
    click.echo(show.table(columns, rows))


def column(key: str) -> Callable[[Any], Any]:
    return lambda row: row[key]


@click.command()
@click.option("--check", is_flag=True, help="Only say whether the file is what it should be.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=OPENAPI)
def openapi(check: bool, file: Path) -> None:
    """Write openapi.yaml, the description of the API."""
    from scheduler.app import create_app, describe
    from scheduler.settings import ServerSettings

    text = describe(create_app("", ServerSettings()))
    if not check:
        file.write_text(text)
    elif not file.exists() or file.read_text() != text:
        raise Refused(f"{file} is not what the code says: run `procession openapi`")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes commands: `source <(procession completion bash)`."""
    from click.shell_completion import get_completion_class

    from scheduler.cli import procession

    kind = get_completion_class(shell)
    assert kind is not None  # Choice lets only known ones through
    click.echo(kind(procession, {}, "procession", "_PROCESSION_COMPLETE").source())


@contextmanager
def loading() -> Iterator[None]:
    """What is loaded stays. To look for garbage among it meanwhile takes a sixth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def log_to_stderr() -> None:
    from scheduler import logs

    logs.install(level=os.environ.get("PROCESSION_LOG_LEVEL", "INFO"))
    logging.captureWarnings(True)


given_url = database_url
COMMANDS = (up, serve, worker, runner, migrate, doctor, openapi, completion)
