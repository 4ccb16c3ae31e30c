"""Commands about process types: check, apply, look."""

import sys
from pathlib import Path
from typing import Any

import click

from scheduler import show
from scheduler.cli_base import Desk, asks, of, quoted, read_text
from scheduler.client import Client, Refused
from scheduler.show import Column

MOST = 10_000
SUFFIXES = (".yaml", ".yml", ".json")
TYPES: list[Column] = [
    ("TYPE", of("name")),
    ("VERSION", of("version")),
    ("TASKS", lambda row: len(row["tasks"])),
    ("PUBLISHED", lambda row: show.moment(row["published_at"])),
    ("BY", of("published_by")),
    ("DESCRIPTION", of("description")),
]


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE_OR_DIR...")
@asks
def apply(desk: Desk, paths: tuple[str, ...]) -> None:
    """Publish the process types in files. The same content again changes nothing.

    Every file is validated before the first is published.
    """
    texts = [(file, read_text(file)) for path in paths for file in files_of(path)]
    faults = [line for file, text in texts for line in faults_of(desk.client, file, text)]
    if faults:
        raise Refused("\n".join(faults))
    done = [item for file, text in texts for item in send(desk.client, "", file, text)["items"]]
    if desk.as_json:
        desk.json(done)
        return
    for item in done:
        verb = "published" if item["changed"] else "unchanged"
        click.echo(f"{item['name']} v{item['version']} {verb}")


def files_of(path: str) -> list[str]:
    """A file itself; of a folder, every definition in it, without hidden ones and their tests."""
    folder = Path(path)
    if path == "-" or not folder.is_dir():
        return [path]
    found = [
        str(each)
        for each in sorted(folder.rglob("*"))
        if each.is_file() and is_definition(each.relative_to(folder))
    ]
    if not found:
        raise Refused(f"{path} holds no file that ends with {', '.join(SUFFIXES)}")
    return found


def is_definition(path: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix in SUFFIXES and ".test" not in path.suffixes and not is_hidden


def send(client: Client, what: str, file: str, text: bytes) -> Any:
    kind = "application/json" if file.endswith(".json") else "application/yaml"
    return client.send_text(f"/process-types{what}", text, kind)


def faults_of(client: Client, file: str, text: bytes) -> list[str]:
    verdict = send(client, "/validate", file, text)
    return [f"{placed(file, fault)}: {fault['message']}" for fault in verdict["faults"]]


def placed(file: str, fault: dict[str, Any]) -> str:
    return f"{file}:{fault['line']}:{fault['column']}" if fault["line"] else file


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def check(files: tuple[str, ...]) -> None:
    """Check definitions without a server; ends with 1 if one has a fault."""
    from scheduler.domain import process_types
    from scheduler.domain.errors import InvalidDefinition

    faulty = False
    for path in files:
        for file in files_of(path):
            try:
                text = read_text(file).decode("utf-8-sig")
                found = process_types.parse(text, source=file)
            except UnicodeDecodeError as error:
                faulty = True
                click.echo(f"{file}:1:1: not UTF-8 (byte {error.start})", err=True)
            except InvalidDefinition as error:
                faulty = True
                click.echo("\n".join(error.faults), err=True)
            else:
                click.echo(f"{file}: {', '.join(each.name for each in found)} fine")
    sys.exit(1 if faulty else 0)


@click.command()
@click.argument("name", required=False)
@click.option("--version", type=int, help="With a name: this version.")
@click.option("--versions", is_flag=True, help="With a name: list its versions.")
@click.option("--diff", type=int, metavar="VERSION", help="With a name: what changed since this.")
@click.option("--find", metavar="TEXT", help="Those whose name or description holds it.")
@click.option("--retired", is_flag=True, help="Those that are retired alone.")
@asks
def types(
    desk: Desk,
    name: str | None,
    version: int | None,
    versions: bool,
    diff: int | None,
    find: str | None,
    retired: bool,
) -> None:
    """List process types, or show the definition of one."""
    if name is None:
        which = "only" if retired else None
        found = desk.client.pages("/process-types", MOST, q=find, retired=which)
        desk.table(found, TYPES, "no process types: `procession apply FILE` publishes them")
    elif versions:
        found = desk.client.pages(f"/process-types/{quoted(name)}/versions", MOST)
        desk.table(found, [TYPES[0], TYPES[1], TYPES[3], TYPES[4]], "")
    elif diff is not None:
        show_diff(desk, name, diff, version)
    else:
        show_type(desk, desk.client.get(f"/process-types/{quoted(name)}", version=version))


def show_diff(desk: Desk, name: str, before: int, after: int | None) -> None:
    found = desk.client.get(f"/process-types/{quoted(name)}/diff", **{"from": before, "to": after})
    if desk.as_json:
        desk.json(found)
    elif found["text"] is not None:
        click.echo("\n".join(show.plain(line) for line in found["text"].splitlines()))
    else:
        click.echo("\n".join(f"{each['kind']:8} {each['path']}" for each in found["changes"]))


@click.command()
@click.argument("name")
@click.option("--note", help="Told to whoever tries to start it.")
@asks
def retire(desk: Desk, name: str, note: str | None) -> None:
    """Let nothing more of a process type be started or published."""
    found = desk.client.post(f"/process-types/{quoted(name)}/retire", {"note": note})
    desk.say(found, f"process type {name} is retired")


@click.command()
@click.argument("name")
@asks
def reinstate(desk: Desk, name: str) -> None:
    """Let a retired process type be started and published again."""
    found = desk.client.post(f"/process-types/{quoted(name)}/reinstate")
    desk.say(found, f"process type {name} is in use again")


def show_type(desk: Desk, found: dict[str, Any]) -> None:
    import yaml

    if desk.as_json:
        desk.json(found)
        return
    click.echo(f"# version {found['version']} of {found['latest']}, by {found['published_by']}")
    click.echo(yaml.safe_dump(found["definition"], sort_keys=False, allow_unicode=True), nl=False)


@click.command()
def schema() -> None:
    """Print the JSON Schema of definitions, for editors."""
    from importlib.resources import files

    click.echo((files("scheduler") / "definition.schema.json").read_text(), nl=False)


COMMANDS = (apply, check, types, retire, reinstate, schema)
