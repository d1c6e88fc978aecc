"""Runs a server from an unpacked Debian package as if it were installed, in a mount namespace of its own.

Nothing outside sees it: the user names that its package would have made, its spool and its runtime folder are mounted there
only, and vanish with the last process.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mtas.base import UNPACKED

USERS = {"Debian-exim": 960, "opensmtpd": 961, "opensmtpq": 962}


def require(binary: str) -> Path:
    """The unpacked program; skips the test where it cannot be run."""
    path = UNPACKED / binary
    if not path.exists():
        pytest.skip(f"{path} is missing: run tests/system-packages.sh as root, with a network")
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a mail server of one's own needs root and unshare")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow mount namespaces")
    return path


def command(folder: Path, mounts: dict[str, Path | None], *argv: str | Path) -> list[str]:
    """`argv` with the folders mounted over the paths; None: an empty folder in memory."""
    for file in ("passwd", "group"):
        _with_users(file, folder)
    steps = [f"mount --bind {folder}/{file} /etc/{file}" for file in ("passwd", "group")]
    steps += [_mount(path, what) for path, what in mounts.items()]
    script = " && ".join([*steps, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *map(str, argv)]


def _mount(path, what):
    return f"mkdir -p {path} && " + (f"mount --bind {what} {path}" if what else f"mount -t tmpfs none {path}")


def _with_users(file, folder):
    line = "{0}:x:{1}:{1}::/:/usr/sbin/nologin\n" if file == "passwd" else "{0}:x:{1}:\n"
    more = "".join(line.format(name, number) for name, number in USERS.items())
    (folder / file).write_text(Path(f"/etc/{file}").read_text() + more)
