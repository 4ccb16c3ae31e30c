"""Secrets that a command finds in files: in memory where the machine allows it, gone with it.

Never in the spool: that outlives the runner, and a command of another user cannot enter it. What a
killed runner left behind its guard takes away, or else the next runner of the same spool.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from executor import words
from executor.spawn import Identity, SpawnFailed, find_identity

PLACES = ("/dev/shm", "/tmp")


class SecretFiles:
    def __init__(self, spool: int, places: tuple[str, ...] = PLACES):
        self.prefix = prefix_of(spool)
        self.places = usable(places)
        self.room: Path | None = None  # made when the first command asks for one
        self.folders: dict[str, Path] = {}

    def lay_out(self, key: str, files: Mapping[str, str], user: str | None) -> dict[str, str]:
        """Variables with the paths of their files, which only this command's user can read."""
        if not files:
            return {}
        identity = find_identity(user)
        try:
            folder = self.folders[key] = Path(tempfile.mkdtemp(dir=self.enter()))
            paths = {name: write(folder / str(n), files[name]) for n, name in enumerate(files)}
            if identity is not None:
                hand_over(folder, identity)
        except OSError as error:
            self.remove(key)
            raise refused(error) from error
        return paths

    def enter(self) -> Path:
        """Others may pass through it to a folder of their own, and see nothing here."""
        if self.room is None:
            if not self.places:
                raise SpawnFailed(
                    f"no place for secret files: none of {', '.join(PLACES)} can be written to",
                    retryable=False,
                )
            self.room = Path(tempfile.mkdtemp(prefix=self.prefix, dir=self.places[0]))
            self.room.chmod(0o711)
        return self.room

    def remove(self, key: str) -> None:
        folder = self.folders.pop(key, None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        if self.room is not None:
            shutil.rmtree(self.room, ignore_errors=True)
            self.room = None


def prefix_of(spool: int) -> str:
    facts = os.fstat(spool)
    return f"procession-{facts.st_dev:x}-{facts.st_ino:x}-"


def usable(places: Iterable[str]) -> list[Path]:
    return [Path(place) for place in places if os.access(place, os.W_OK | os.X_OK)]


def clear(spool: int) -> None:
    """What runners of this spool left, when none of them lives any more."""
    for place in usable(PLACES):
        for entry in os.scandir(place):
            if entry.name.startswith(prefix_of(spool)) and is_our_folder(entry):
                shutil.rmtree(entry.path, ignore_errors=True)


def is_our_folder(entry: "os.DirEntry[str]") -> bool:
    facts = entry.stat(follow_symlinks=False)
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()


def write(path: Path, text: str) -> str:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text.encode())
    return str(path)


def hand_over(folder: Path, identity: Identity) -> None:
    for path in (*folder.iterdir(), folder):
        os.chown(path, identity.user, identity.group)


def refused(error: OSError) -> SpawnFailed:
    number = error.errno or 0
    said = f"secret files: {words.describe_errno(number)}"
    return SpawnFailed(said, retryable=number in words.TRANSIENT)
