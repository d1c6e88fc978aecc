"""What integration tests share."""

import os
import subprocess

import pytest

from benchmarks.campaigns import adaptive
from jetpost.settings import to_environment


@pytest.fixture
async def start(tmp_path):
    """A function that starts `jetpost ARGUMENTS` under a name; it runs when that returns, and again after it was killed."""
    async with adaptive.children(tmp_path) as start_child:

        async def start(name, arguments, settings=None):
            return await start_child(name, arguments, to_environment(settings) if settings else {})

        yield start


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("this container may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
