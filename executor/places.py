"""The file that a command may write its outputs to: named in its environment, read at its end."""

import contextlib
import os
import shutil
import stat
import tempfile

VARIABLE = "PROCESSION_OUTPUT"
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ROOM = "shared"  # the link to the folder that all may pass through


class Unreadable(Exception):
    """What lies at the place is no file that the command has written; says why."""


class Places:
    """In the runner's own folder, where nobody but its user may look; for commands of other
    users in a folder that all may pass through, where each attempt has one of its user."""

    def __init__(self, folder: int):
        self.folder = folder
        self.path = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), "said")
        self.room: str | None = None  # made when the first command of another user needs it
        self.foreign: dict[str, str] = {}
        shutil.rmtree(self.path, ignore_errors=True)
        os.mkdir(self.path, 0o700)
        self.own = os.open(self.path, FOLDER)
        self.remove_room()

    def remove_room(self) -> None:
        """What a former runner of this folder left."""
        with contextlib.suppress(OSError):
            left = os.readlink(ROOM, dir_fd=self.folder)
            os.unlink(ROOM, dir_fd=self.folder)
            if os.lstat(left).st_uid == os.geteuid():
                shutil.rmtree(left, ignore_errors=True)

    def prepare(self, key: str) -> str:
        """Where the command finds it. There is nothing there before it writes."""
        return f"{self.path}/{key}"

    def prepare_for(self, key: str, user: int, group: int) -> str:
        """The same for a command of another user."""
        if self.room is None:
            self.room = tempfile.mkdtemp(prefix="procession-")
            os.symlink(self.room, ROOM, dir_fd=self.folder)
            os.chmod(self.room, 0o711)
        place = self.foreign[key] = os.path.join(self.room, key)
        os.mkdir(place, 0o700)
        os.chown(place, user, group)
        return os.path.join(place, "output")

    def take(self, key: str, user: int, most: int) -> bytes | None:
        """What was written, which is gone then; one byte more than `most` if it is longer."""
        try:
            written = self.read(key, user, most)
        except FileNotFoundError:
            written = None
        except (Unreadable, OSError) as error:
            self.forget(key)
            raise Unreadable(getattr(error, "strerror", None) or str(error)) from error
        if written is not None or key in self.foreign:
            self.forget(key)
        return written

    def read(self, key: str, user: int, most: int) -> bytes:
        if key not in self.foreign:
            return read(self.own, key, user, most)
        folder = os.open(self.foreign[key], FOLDER)
        try:
            return read(folder, "output", user, most)
        finally:
            os.close(folder)

    def forget(self, key: str) -> None:
        place = self.foreign.pop(key, None)
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        else:
            remove(os.path.join(self.path, key))


def remove(path: str) -> None:
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def read(folder: int, name: str, user: int, most: int) -> bytes:
    file = os.open(name, FILE, dir_fd=folder)
    try:
        facts = os.fstat(file)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != user or facts.st_nlink != 1:
            raise Unreadable("not a plain file of the command's own user")
        with open(file, "rb", closefd=False) as reader:
            return reader.read(most + 1)
    finally:
        os.close(file)
