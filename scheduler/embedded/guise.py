"""PostgreSQL refuses to run as root: what it runs as when we are root, and when we are not.

A user namespace is best: its files stay root's, and no folder above them has to be opened. Most
containers allow none. There it runs as a system user with one capability, to pass through folders
that are closed to that user; it has no more than the namespace would give it.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scheduler.domain.errors import Unavailable

ROOT = 0
CANDIDATES = ("postgres", "nobody", "daemon")
CAPABILITIES = "-all,+dac_override"


@dataclass(frozen=True, slots=True)
class Guise:
    prefix: tuple[str, ...]  # what stands before the command
    uid: int  # who owns its files, seen from outside
    gid: int

    def give(self, path: Path) -> None:
        """Make `path` and all below it the property of whom PostgreSQL runs as."""
        if os.geteuid() != ROOT or path.lstat().st_uid == self.uid:
            return
        for folder, _, files in os.walk(path):
            for name in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(name, self.uid, self.gid, follow_symlinks=False)


def guise_for(data: Path) -> Guise:
    """Whoever owns the data directory goes on owning it, if this machine allows that."""
    if (uid := os.geteuid()) != ROOT:
        return plain_user(uid)
    owner = data.stat().st_uid if data.exists() else ROOT
    if owner != ROOT:
        return system_user(known_user(owner))
    user = any_system_user()
    return namespace(user) or system_user(user)


def plain_user(uid: int) -> Guise:
    known_user(uid)
    return Guise((), uid, os.getegid())


def known_user(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise Unavailable(
            f"PostgreSQL cannot run as user {uid}, which has no name here: add it to /etc/passwd, "
            "or name a database with --database-url or PROCESSION_DATABASE_URL"
        ) from None


def any_system_user() -> pwd.struct_passwd:
    for name in CANDIDATES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable(
        f"PostgreSQL cannot run as root and none of {', '.join(CANDIDATES)} exists here: "
        "run procession as a plain user"
    )


def namespace(user: pwd.struct_passwd) -> Guise | None:
    if (unshare := shutil.which("unshare")) is None:
        return None
    prefix = (unshare, "-U", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--")
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return Guise(prefix, ROOT, ROOT) if tried.returncode == 0 else None


def system_user(user: pwd.struct_passwd) -> Guise:
    if (setpriv := shutil.which("setpriv")) is None:
        raise Unavailable(
            "PostgreSQL cannot run as root and setpriv is missing to make it another user: "
            "install util-linux, or run procession as a plain user"
        )
    prefix = (
        setpriv,
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        f"--inh-caps={CAPABILITIES}",
        f"--ambient-caps={CAPABILITIES}",
        "--",
    )
    return Guise(prefix, user.pw_uid, user.pw_gid)
