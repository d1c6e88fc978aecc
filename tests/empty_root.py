"""A root file system with Python and Jetpost and nothing else, as its image has it: no shell, no compiler, no place to write."""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CACHE = REPOSITORY / ".cache"
BARE = CACHE / "root"
NOBODY = 65532

_STAGE = """
mount --bind {root} {root} && mount -o remount,ro,bind {root} && mount -t tmpfs tmpfs {root}/tmp && chmod 1777 {root}/tmp &&
mount --rbind /dev {root}/dev && cd {root}/tmp &&
exec chroot --userspec={nobody}:{nobody} --groups= {root} /usr/bin/python3.11 -m jetpost "$@"
"""
"""What a container runtime does for a restricted pod: mounts of its own, read-only but for /tmp, and no rights."""


def built(folder):
    """The root, with the locked dependencies and this wheel in it; skips the test where there is no bare one."""
    if not (BARE / "usr/bin/python3.11").exists():
        pytest.skip("there is no bare root file system (Debian 12: tests/system-packages.sh, as root, makes one)")
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the bare root has Python 3.11: wheels are chosen by the version that runs this")
    root = folder / "root"
    shutil.copytree(BARE, root, symlinks=True)
    shutil.copytree(_dependencies(), root / "opt/jetpost", symlinks=True)
    _install("--no-deps", "--target", root / "opt/jetpost", REPOSITORY)
    return root


def _dependencies():
    """Installed as the Dockerfile does, once for each state of the lock."""
    lock = REPOSITORY / "requirements.lock"
    kept = CACHE / "locked" / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if not kept.exists():
        unfinished = kept.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _install("--only-binary", ":all:", "--require-hashes", "--requirement", lock, "--target", unfinished)
        unfinished.rename(kept)
    return kept


def _install(*arguments):
    installer = Path(sysconfig.get_path("scripts")) / "uv"
    subprocess.run([installer, "pip", "install", "--quiet", "--compile-bytecode", *map(str, arguments)], check=True)


def command(root, *arguments):
    """What runs `jetpost` in the root."""
    stage = _STAGE.format(root=root, nobody=NOBODY)
    return ["unshare", "--mount", "sh", "-ec", stage, "jetpost", *arguments]


def environment(**settings):
    """Of the process: what a container has, and nothing of ours."""
    return {
        "PYTHONPATH": "/opt/jetpost",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        **settings,
    }


def pinned(name):
    """Names and versions in a lock."""
    lines = (REPOSITORY / name).read_text().splitlines()
    return dict(line.split(" ")[0].split("==") for line in lines if "==" in line)
