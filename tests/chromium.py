"""A headless Chromium, spoken to over the pipes of its DevTools protocol: no driver, no port."""

import asyncio
import json
import os
import shutil
from contextlib import asynccontextmanager, suppress

CHROMIUM = shutil.which("chromium")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1440,1400",
    "--remote-debugging-pipe",
)
_START = 'in=$1; out=$2; shift 2; exec "$@" 3<"/dev/fd/$in" 4>"/dev/fd/$out"'
"""Chromium reads commands from descriptor 3 and answers on 4."""


class Page:
    """One tab. `complaints` collects errors of scripts and of the content security policy."""

    def __init__(self, reader, writer):
        self.complaints = []
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._session = {}
        self._loaded = False

    async def attach(self):
        targets = await self._call("Target.getTargets")
        target = next(info["targetId"] for info in targets["targetInfos"] if info["type"] == "page")
        attached = await self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Runtime", "Log", "Page"):
            await self._call(f"{domain}.enable")

    async def open(self, url):
        """Returns when the page has loaded, its scripts included."""
        self._loaded = False
        await self._call("Page.navigate", url=url)
        while not self._loaded:
            await self._next()

    async def press(self, selector):
        """Click what leads to another page; returns when that has loaded."""
        self._loaded = False
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        while not self._loaded:
            await self._next()

    async def wait_for(self, expression, seconds=30):
        """Until the JavaScript expression is true."""
        look = f"const look = () => {expression} ? done() : setTimeout(look, 20)"
        async with asyncio.timeout(seconds):
            await self.evaluate(f"new Promise((done) => {{ {look}; look(); }})")

    async def evaluate(self, expression):
        answer = await self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def _call(self, method, **parameters):
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters} | self._session
        self._writer.write(json.dumps(command).encode() + b"\0")
        while (answer := await self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    async def _next(self):
        message = json.loads((await self._reader.readuntil(b"\0"))[:-1])
        if message.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.complaints.append(message["params"])
        self._loaded = self._loaded or message.get("method") == "Page.loadEventFired"
        return message


@asynccontextmanager
async def browser(profile):
    """A browser with an empty tab; it ends with the block."""
    commands_in, commands_out = os.pipe()
    answers_in, answers_out = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _START, "sh", str(commands_in), str(answers_out)),
        *(CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"),
        pass_fds=(commands_in, answers_out),
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(commands_in)
    os.close(answers_out)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**24)
    reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers_in, "rb"))
    writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(commands_out, "wb"))
    page = Page(reader, writing)
    try:
        async with asyncio.timeout(30):
            await page.attach()
        yield page
    finally:
        writing.close()
        reading.close()
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
