"""Running something as a plain user, when the tests themselves run as root."""

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

NAME = "nobody"


def plain_user() -> pwd.struct_passwd:
    """Whom `as_user` becomes: ourselves, unless we are root."""
    return pwd.getpwnam(NAME) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def as_user(argv: Sequence[str]) -> list[str]:
    """`argv`, carried out by a plain user without any capability."""
    if os.geteuid() != 0:
        return list(argv)
    user = plain_user()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv is missing, so root cannot become a plain user: install util-linux")
    become = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    command = [setpriv, *become, "--inh-caps=-all", "--", *argv]
    require_reachable(command[: -len(argv)])
    return command


def require_reachable(become: Sequence[str]) -> None:
    tried = subprocess.run([*become, sys.executable, "-c", "import scheduler"], check=False)
    if tried.returncode:
        pytest.skip(f"{NAME} cannot reach this checkout: clone it where others may enter")


@contextmanager
def folder_of_user() -> Iterator[Path]:
    """A folder that belongs to the plain user; pytest's own temporary folders are closed to it."""
    user = plain_user()
    with TemporaryDirectory(prefix="procession-test-") as folder:
        os.chown(folder, user.pw_uid, user.pw_gid)
        yield Path(folder)
