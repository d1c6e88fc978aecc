"""Supervision with real child processes: small scripts that announce themselves as components do."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest
from process_watching import alive, until

from jetpost import supervisor
from jetpost.errors import ChildFailed
from jetpost.supervisor import Child, Component

READY = """
    import asyncio, os, signal, sys
    from jetpost import readiness

    async def main():
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        readiness.stop_without_supervisor(stop)
        readiness.announce({"pid": str(os.getpid()), "fds": ",".join(sorted(os.listdir("/proc/self/fd")))})
        readiness.announce({"twice": "ignored"})
        await stop.wait()
        print("ended in order", flush=True)

    asyncio.run(main())
"""


@pytest.fixture
async def child(tmp_path):
    """A function that makes children of a script, all of them stopped at the end."""
    made = []

    def make(script: str, environment: dict[str, str] | None = None) -> Child:
        program = (sys.executable, "-c", textwrap.dedent(script))
        made.append(Child(Component(f"child-{len(made)}", (), program), environment or {}, tmp_path / "logs"))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


def open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_child_is_started_ready_and_stopped_in_order(child):
    one = child(READY)
    await one.start(lambda: None)
    assert one.addresses["pid"] == str(one.pid)
    await one.stop()
    assert one.log_tail() == "ended in order"
    assert not alive(one.pid)


async def test_stopping_twice_or_before_starting_is_harmless(child):
    one = child(READY)
    await one.stop()
    await one.start(lambda: None)
    await one.stop()
    await one.stop()


async def test_a_child_that_dies_before_it_is_ready_is_reported_with_the_end_of_its_log(child):
    one = child("import sys; print('x' * 30_000); print('cannot listen on port 1'); sys.exit(3)")
    with pytest.raises(ChildFailed, match=r"(?s)child-0 did not come up:.*cannot listen on port 1"):
        await one.start(lambda: None)
    assert not alive(one.pid)


async def test_the_end_of_the_log_is_that_of_this_start_alone(child):
    one = child("print('said')")
    for _ in range(2):
        with pytest.raises(ChildFailed):
            await one.start(lambda: None)
    assert one.log_tail() == "said"


async def test_a_child_that_says_half_a_line_is_not_ready(child):
    one = child("import os; os.write(int(os.environ['JETPOST_READY_FD']), b'{')")
    with pytest.raises(ChildFailed):
        await one.start(lambda: None)


async def test_a_child_that_is_not_ready_in_time_is_killed(child, monkeypatch):
    monkeypatch.setattr(supervisor, "READY_WITHIN_SECONDS", 0.3)
    one = child("import time; time.sleep(60)")
    with pytest.raises(ChildFailed):
        await one.start(lambda: None)
    assert not alive(one.pid)


async def test_a_child_that_ignores_being_asked_is_killed(child, monkeypatch):
    monkeypatch.setattr(supervisor, "STOP_WITHIN_SECONDS", 0.3)
    one = child(
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.write(int(os.environ['JETPOST_READY_FD']), b'{}\\n'); time.sleep(60)"
    )
    await one.start(lambda: None)
    await one.stop()
    assert not alive(one.pid)


async def test_a_child_that_dies_is_started_again_and_announces_itself_anew(child):
    changes = []
    one = child(READY)
    await one.start(lambda: changes.append(dict(one.addresses)))
    first = one.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: changes)
    assert changes == [{**one.addresses, "pid": str(one.pid)}]
    assert one.pid != first
    assert one.restarts == 1


async def test_a_child_that_comes_up_only_later_is_tried_again_with_longer_waits(child, tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_RESTART_SECONDS", 0.01)
    gate = tmp_path / "gate"
    gate.touch()
    one = child(
        f"import os, sys\nos.path.exists({str(gate)!r}) or sys.exit('the gate is shut')\n{textwrap.dedent(READY)}"
    )
    changes = []
    await one.start(lambda: changes.append(one.pid))
    gate.unlink()
    os.kill(one.pid, signal.SIGKILL)
    await until(lambda: one.restarts >= 3)
    gate.touch()
    await until(lambda: changes)
    assert changes == [one.pid]


async def test_stopping_while_a_child_is_started_again_leaves_nothing(child, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_RESTART_SECONDS", 0.0)
    one = child(READY)
    await one.start(lambda: None)
    first = one.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: one.pid != first)
    await one.stop()
    assert not alive(one.pid)


async def test_children_inherit_their_two_pipes_and_nothing_else(child):
    one, other = child(READY), child(READY)
    await one.start(lambda: None)
    await other.start(lambda: None)
    assert len(other.addresses["fds"].split(",")) == len(one.addresses["fds"].split(","))


async def test_a_child_gets_its_settings_from_us_alone(child, monkeypatch):
    monkeypatch.setenv("JETPOST_WEB_PORT", "1")
    monkeypatch.setenv("OTHER", "kept")
    one = child(
        "import json, os\n"
        "seen = {k: v for k, v in os.environ.items() if k.startswith(('JETPOST_WEB', 'JETPOST_CONF', 'JETPOST_LOG', 'OTHER'))}\n"
        "print(json.dumps(seen))",
        {"JETPOST_LOG_LEVEL": "debug"},
    )
    with pytest.raises(ChildFailed):
        await one.start(lambda: None)
    assert json.loads(one.log_tail()) == {"JETPOST_CONFIG": "/dev/null", "JETPOST_LOG_LEVEL": "debug", "OTHER": "kept"}


async def test_no_descriptor_stays_open(child):
    before = open_fds()
    for script in (READY, "raise SystemExit"):
        one = child(script)
        with contextlib.suppress(ChildFailed):
            await one.start(lambda: None)
        await one.stop()
    await until(lambda: open_fds() <= before)


async def test_a_program_that_cannot_be_run_leaves_no_descriptor(tmp_path):
    before = open_fds()
    one = Child(Component("none", (), ("/no/such/program",)), {}, tmp_path)
    with pytest.raises(FileNotFoundError):
        await one.start(lambda: None)
    await one.stop()
    assert open_fds() <= before


async def test_children_end_by_themselves_when_the_supervisor_is_killed(tmp_path):
    script = f"""
        import asyncio, sys
        from pathlib import Path
        from jetpost.supervisor import Child, Component

        async def main():
            component = Component("orphan", (), (sys.executable, "-c", {textwrap.dedent(READY)!r}))
            child = Child(component, {{}}, Path({str(tmp_path)!r}))
            await child.start(lambda: None)
            print(child.pid, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(script), stdout=asyncio.subprocess.PIPE
    )
    orphan = int(await killed.stdout.readline())
    assert alive(orphan)
    killed.kill()
    await killed.wait()
    await until(lambda: "ended in order" in (tmp_path / "orphan.log").read_text())
    await until(lambda: not alive(orphan))
