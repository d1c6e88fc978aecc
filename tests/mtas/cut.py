"""A wire to a server that is cut, and the server killed, in the middle of a session."""

import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def cut(port, is_time, kill, *, swallow):
    """The port to connect to. `is_time(heard)`: what the server has said so far is enough; `swallow`: the client never hears
    the last of it."""
    loop = asyncio.get_running_loop()
    tasks = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        forth = loop.create_task(_copy(reader, server_writer))
        tasks.add(forth)
        heard = b""
        try:
            while data := await server_reader.read(65_536):
                heard += data
                ends = is_time(heard)
                if not (ends and swallow):
                    writer.write(data)
                    await writer.drain()
                if ends:
                    break
            kill()
        except OSError:
            kill()
        finally:
            forth.cancel()
            server_writer.close()
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader, writer):
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
