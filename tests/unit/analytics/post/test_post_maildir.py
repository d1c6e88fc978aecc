import asyncio

import pytest

from analytics.post import maildir
from events.errors import BusUnavailable


@pytest.fixture
def folder(tmp_path):
    for name in ("new", "cur", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


def put(folder, name, text="Subject: x\n\nHello\n"):
    (folder / "new" / name).write_text(text)


def names(folder, part):
    return sorted(file.name for file in (folder / part).iterdir())


async def run(folder, take, stop, max_bytes=1_000):
    await maildir.run(folder, 0.001, max_bytes, take, stop)


async def test_what_is_new_is_taken_and_marked_as_seen(folder):
    taken, stop = [], asyncio.Event()
    put(folder, "2.b"), put(folder, "1.a"), put(folder, ".hidden")

    async def take(sent_to, raw):
        taken.append((sent_to, raw))
        if len(taken) == 2:
            stop.set()

    await run(folder, take, stop)
    assert taken == [([], b"Subject: x\n\nHello\n")] * 2
    assert names(folder, "cur") == ["1.a:2,S", "2.b:2,S"]
    assert names(folder, "new") == [".hidden"]


async def test_what_cannot_be_kept_stays_and_is_tried_again(folder):
    tries, stop = [], asyncio.Event()
    put(folder, "1.a"), put(folder, "2.b")

    async def take(_sent_to, raw):
        tries.append(raw)
        if len(tries) < 3:
            raise BusUnavailable("no connection")
        if len(tries) == 4:
            stop.set()

    await run(folder, take, stop)
    assert names(folder, "cur") == ["1.a:2,S", "2.b:2,S"]
    assert len(tries) == 4


async def test_a_large_mail_is_read_in_part(folder):
    stop = asyncio.Event()
    put(folder, "1.a", "x" * 5_000)

    async def take(_sent_to, raw):
        assert len(raw) == 1_000
        stop.set()

    await run(folder, take, stop)


async def test_what_somebody_else_took_away_is_theirs(folder):
    async def take(_sent_to, _raw):
        raise AssertionError("there is nothing to take")

    await maildir.take_one(folder / "new" / "gone", folder, 100, take)


async def test_a_folder_that_is_no_maildir(tmp_path):
    with pytest.raises(FileNotFoundError):
        await run(tmp_path / "nothing", None, asyncio.Event())
