"""The folders of our own PostgreSQL: closed to others, and short enough for a socket."""

import asyncio
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scheduler.domain.errors import Invalid

LONGEST_ADDRESS = 107  # bytes of a Unix socket's path, fixed by the kernel
SOCKET = ".s.PGSQL.5432"


def make_private(folder: Path) -> Path:
    make_writable(folder)
    folder.chmod(0o700)
    return folder


def make_writable(folder: Path) -> Path:
    """Closed to others if it is made here; one that was there keeps its mode."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise Invalid(
            f"cannot write in {folder}: {error.strerror}; give another folder with --data-dir",
            field="data-dir",
        ) from error
    return folder


def write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def put_in_place(draft: Path, folder: Path) -> None:
    draft.rename(folder)
    descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """One start at a time in a folder. The lock ends with its process, however that ends."""
    with path.open("w") as file:
        while True:
            if try_lock(file.fileno()):
                break
            await asyncio.sleep(0.05)  # a blocking lock in a thread could not be cancelled
        yield


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sockets(wanted: Path) -> Path:
    """The folder for the socket: `wanted`, or where it points when its path would be too long."""
    if len(os.fsencode(wanted / SOCKET)) <= LONGEST_ADDRESS:
        remove_sockets(wanted)  # the folder once had a longer path
        return make_private(wanted)
    if wanted.is_symlink() and is_private(remembered := wanted.readlink()):
        return remembered
    wanted.unlink(missing_ok=True)
    short = Path(tempfile.mkdtemp(prefix="procession-"))
    wanted.symlink_to(short)
    return short


def is_private(folder: Path) -> bool:
    """A temporary folder may have been swept away, and its name taken by somebody else."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    mine = found.st_uid == os.geteuid() or os.geteuid() == 0
    return stat.S_ISDIR(found.st_mode) and mine and stat.S_IMODE(found.st_mode) == 0o700


def remove_sockets(wanted: Path) -> None:
    if wanted.is_symlink():
        shutil.rmtree(wanted.readlink(), ignore_errors=True)
        wanted.unlink()
