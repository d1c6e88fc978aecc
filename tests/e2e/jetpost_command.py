"""The installed `jetpost` command, as a person or a script runs it."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

JETPOST = Path(sys.executable).with_name("jetpost")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    output: str
    errors: str


async def start(folder, *arguments, **variables) -> asyncio.subprocess.Process:
    """Start it in a folder, with a process group of its own and no settings but those of the folder's `jetpost.toml`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("JETPOST_")}
    return await asyncio.create_subprocess_exec(
        JETPOST,
        *arguments,
        cwd=folder,
        env={**ours, "COLUMNS": "150", **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def run(folder, *arguments, seconds=60, **variables) -> Ended:
    """Run it to its end."""
    process = await start(folder, *arguments, **variables)
    try:
        async with asyncio.timeout(seconds):
            output, errors = await process.communicate()
    except BaseException:
        process.terminate()
        await process.communicate()
        raise
    return Ended(process.returncode, output.decode(), errors.decode())
