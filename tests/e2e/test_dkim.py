"""From `jetpost dkim keygen` to a signed campaign in a mailbox: the commands of docs/deliverability.md, on real processes."""

import re
import shutil
from pathlib import Path

import dkim_keys
import httpx
import jetpost_command
import pytest
import smtp_servers
from process_watching import until

from jetpost import runtime
from sender.dkim import records
from sender.drivers.smtp_wire import with_crlf

EXAMPLE = Path(__file__).parents[2] / "examples" / "newsletter"
SETTINGS = """
[web]
port = 0
[producer]
public_url = "https://mail.longwayhome.example"
[sender]
fetch_wait_seconds = 0.5
[sender.pools.default]
port = {port}
"""


async def jetpost(folder, *arguments, code=0):
    ended = await jetpost_command.run(folder, *arguments)
    assert ended.code == code, ended.output + ended.errors
    return ended


@pytest.fixture
async def mailbox():
    async with smtp_servers.aiosmtpd() as server:
        yield server


@pytest.fixture
async def folder(tmp_path, mailbox):
    """Settings, and the example campaign."""
    (tmp_path / "jetpost.toml").write_text(SETTINGS.format(port=mailbox.port))
    shutil.copytree(EXAMPLE, tmp_path / "newsletter")
    return tmp_path


async def up(folder):
    process = await jetpost_command.start(folder, "up")
    await until(lambda: process.returncode is not None or runtime.find(folder / "jetpost-data"))
    assert process.returncode is None, await process.communicate()
    return process


async def is_over(folder):
    async with httpx.AsyncClient(base_url=runtime.find(folder / "jetpost-data").web_url) as web:
        (campaign,) = (await web.get("/api/campaigns")).raise_for_status().json()["campaigns"]
    return campaign["campaign"]["status"] == "finished"


async def test_a_campaign_is_signed_with_keys_made_a_moment_ago(folder, mailbox):
    unsigned = await jetpost(folder, "check", "newsletter/campaign.toml")
    assert "longwayhome.example has no DKIM key in sender.dkim" in unsigned.errors
    made = await jetpost(folder, "dkim", "keygen", "longwayhome.example", "--directory", str(folder))
    with (folder / "jetpost.toml").open("a") as settings:
        settings.write(made.output[made.output.index("# 2.") :])
    assert "DKIM" not in (await jetpost(folder, "check", "newsletter/campaign.toml")).errors
    process = await up(folder)
    try:
        sent = await jetpost(folder, "send", "newsletter/campaign.toml")
        await until(lambda: is_over(folder))
    finally:
        process.terminate()
        await process.communicate()
    published = records.parse_zone((await jetpost(folder, "dkim", "records")).output)
    assert published == records.parse_zone(made.output)
    messages = [with_crlf(message) for message in mailbox.messages]
    assert len(messages) == int(re.search(r"planned: (\d+) recipients", sent.output)[1]) > 0
    for message in messages:
        assert dkim_keys.dkimpy_verdicts(message, published) == [True, True]
    (folder / "received.eml").write_bytes(messages[0])
    said = (await jetpost(folder, "dkim", "verify", "received.eml")).output
    assert re.findall(r"(\S+) by longwayhome\.example, .*: (holds)", said) == [
        ("rsa-sha256", "holds"),
        ("ed25519-sha256", "holds"),
    ]
    assert "aligned, so that DMARC passes" in said
