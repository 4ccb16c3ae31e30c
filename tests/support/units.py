"""Units for systemd, carried out without it: whom they run as, and where they may write.

A mount namespace stands for what systemd makes of a unit; filters of system calls are left out.
"""

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

USER = "nobody"
SYSTEMD = Path("/lib/systemd/systemd")

# Everything is read-only but what is said; the folder of a test is where its unit says that it is,
# and an interpreter that is root's own is everybody's.
INSIDE = r"""
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p "$FOLDER" /mnt/python
mount --bind "$PLACE" "$FOLDER"
if [ "$CLOSED" ]; then
  mount --bind "$PYTHON" /mnt/python
  mount -t tmpfs -o mode=755 tmpfs "$CLOSED"
  mkdir -p "$PYTHON"
  mount --bind /mnt/python "$PYTHON"
fi
if [ "$PRIVATE_TMP" ]; then mount -t tmpfs -o mode=1777 tmpfs /tmp; fi
if [ "$STRICT" ]; then
  cut -d ' ' -f 5 /proc/self/mountinfo | while read -r escaped; do
    point=$(printf '%b' "$escaped")
    case "$point" in /dev*|/proc*|/sys*|/tmp|"$WRITABLE") ;;
      *) mount -o remount,bind,ro "$point" 2>/dev/null || :;;  # it may lie under another one
    esac
  done
  if touch /mnt/written /usr/written 2>/dev/null; then exit 99; fi
fi
cd /
umask "$UMASK"
exec setpriv "$@"
"""


@cache
def why_not() -> str | None:
    """Why units cannot be tried here."""
    if os.geteuid() != 0:
        return "only root runs units as somebody else"
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return "util-linux is not here"
    if USER not in {each.pw_name for each in pwd.getpwall()}:
        return f"there is no user {USER}"
    lines = (f"User={USER}", f"ExecStart={sys.executable} -c 'import edge'", "NoNewPrivileges=yes")
    more = ("PrivateTmp=yes", "CapabilityBoundingSet=")  # nor is a program below /tmp there
    unit = read("\n".join(("[Service]", *lines, *more)))
    with TemporaryDirectory() as place:
        log = Path(place, "log")
        if unit.started(Path("/mnt/folder"), Path(place), log).wait() != 0:
            return f"no unit of {USER} can be tried here: {log.read_text().strip()[-200:]}"
    return None


def has_systemd() -> bool:
    return SYSTEMD.exists() and shutil.which("systemd-analyze") is not None


def closed(path: Path) -> str:
    """The first folder on the way there that others may not enter."""
    ways = [*reversed(path.parents), path]
    return next((str(each) for each in ways if not each.stat().st_mode & 0o001), "")


def as_user() -> list[str]:
    facts = pwd.getpwnam(USER)
    return ["setpriv", f"--reuid={facts.pw_uid}", f"--regid={facts.pw_gid}", "--clear-groups"]


@dataclass(frozen=True)
class Unit:
    settings: dict[str, str]

    @property
    def argv(self) -> list[str]:
        line = self.settings["ExecStart"].replace("%%", "%").replace("$$", "$")
        return shlex.split(line)

    def started(
        self, folder: Path, place: Path, log: Path, **environment: str
    ) -> "subprocess.Popen[bytes]":
        """As its unit says; `folder`, which is there for it alone, lies at `place`."""
        told, facts = self.settings, pwd.getpwnam(self.settings["User"])
        inside = {
            "FOLDER": str(folder),
            "PLACE": str(place),
            "PYTHON": sys.base_prefix,
            "CLOSED": closed(Path(sys.base_prefix)),
            "STRICT": "1" if told.get("ProtectSystem") == "strict" else "",
            "PRIVATE_TMP": "1" if told.get("PrivateTmp") == "yes" else "",
            "WRITABLE": told.get("ReadWritePaths", "").strip('"').replace("%%", "%"),
            "UMASK": told.get("UMask", "0022"),
        }
        seen = {
            "HOME": facts.pw_dir,
            "USER": facts.pw_name,
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
            **environment,
        }
        user = as_user()[1:]
        if told.get("NoNewPrivileges") == "yes":
            user.append("--no-new-privs")
        if told.get("CapabilityBoundingSet") == "":
            user.append("--bounding-set=-all")
        clean = ["env", "-i", *(f"{name}={each}" for name, each in seen.items())]
        argv = ["unshare", "--mount", "sh", "-ec", INSIDE, "sh", *user, *clean, *self.argv]
        with log.open("ab") as file:
            given = {**os.environ, **inside}
            return subprocess.Popen(argv, env=given, stdout=file, stderr=file)


def read(text: str) -> Unit:
    """Its section Service; each setting once."""
    service = text.partition("[Service]\n")[2].partition("\n[")[0]
    lines = [line.partition("=") for line in service.splitlines() if line]
    assert len({name for name, _, _ in lines}) == len(lines), "a setting is there twice"
    return Unit({name: value for name, _, value in lines})


def as_systemd_reads(folder: Path) -> str:
    """What systemd itself makes of the units of a folder, which only somebody else may ask it."""
    folder.joinpath("default.target").write_text("[Unit]\nWants=procession-edge.service\n")
    units = [str(each) for each in folder.glob("*.service")]
    script = f"cp {shlex.join(units)} {shlex.quote(str(folder))}/default.target /mnt/; exec "
    ask = [*as_user(), "env", "-i", "SYSTEMD_UNIT_PATH=/mnt", "XDG_RUNTIME_DIR=/tmp", "HOME=/tmp"]
    ask += [str(SYSTEMD), "--test", "--user", "--log-target=console"]
    inside = "mount -t tmpfs -o mode=755 tmpfs /mnt; umask 022; " + script + shlex.join(ask)
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", inside], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
