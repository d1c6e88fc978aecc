"""What a recipient does with a mail, over a whole stack: mails come by SMTP, and their links are asked for at its web app.

A mailbox provider's one click, readers, scanners, and a browser with the page open.
"""

import email
import email.policy
import re
from types import SimpleNamespace

import httpx
import jetpost_command
import pytest
import smtp_servers
from chromium import CHROMIUM, browser
from process_watching import until

from jetpost import runtime

PUBLIC = "https://mail.longwayhome.example"
PEOPLE = [f"reader{number}@example.net" for number in range(6)]
SETTINGS = """
[web]
port = 0
allowed_hosts = ["public.localhost"]

[producer]
public_url = "{public}"

[sender]
fetch_wait_seconds = 0.5

[sender.pools.main]
port = {port}

[analytics]
batch_age_seconds = 0.2
closing_interval_seconds = 0.3
exact_check_interval_seconds = 0.3
"""
CAMPAIGN = """
id = "{name}"
name = "The {name} letter"
from = "A Long Way Home <letter@longwayhome.example>"
subject = "News"
html = "mail.html"
audience = "audience.csv"
list = "weekly"
tracking = true
"""
HTML = """<p>Hello <a href="https://shop.example/?from=mail&amp;of={{ campaign_id }}">Shop</a>
<a href="https://shop.example/sale">Sale</a> <a href="{{ unsubscribe_url }}">Leave</a></p>"""
BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@pytest.fixture
async def mailbox():
    async with smtp_servers.aiosmtpd() as server:
        yield server


@pytest.fixture
async def up(tmp_path, mailbox):
    """`jetpost up`; its web app, asked under the name that recipients know, and a function that sends a campaign."""
    (tmp_path / "jetpost.toml").write_text(SETTINGS.format(public=PUBLIC, port=mailbox.port))
    (tmp_path / "mail.html").write_text(HTML)
    (tmp_path / "audience.csv").write_text("\n".join(["email", *PEOPLE]))
    process = await jetpost_command.start(tmp_path, "up")
    try:
        await until(lambda: process.returncode is not None or runtime.find(tmp_path / "jetpost-data"))
        assert process.returncode is None, await process.communicate()
        web = runtime.find(tmp_path / "jetpost-data").web_url
        yield SimpleNamespace(web=web, folder=tmp_path, messages=mailbox.messages)
    finally:
        process.terminate()
        await process.communicate()


@pytest.fixture
async def public(up):
    """The stack as the internet sees it."""
    async with httpx.AsyncClient(base_url=up.web, headers={"host": "mail.longwayhome.example", **BROWSER}) as client:
        yield client


async def report(up, campaign) -> dict:
    async with httpx.AsyncClient(base_url=up.web) as web:
        return (await web.get(f"/api/campaigns/{campaign}")).raise_for_status().json()


async def engagement(up, campaign) -> dict:
    async with httpx.AsyncClient(base_url=up.web) as web:
        return (await web.get(f"/api/campaigns/{campaign}/engagement")).raise_for_status().json()


async def send(up, name) -> dict:
    """Sends a campaign and awaits its end; its mails by recipient."""
    (up.folder / f"{name}.toml").write_text(CAMPAIGN.format(name=name))
    ended = await jetpost_command.run(up.folder, "send", f"{name}.toml")
    assert ended.code == 0, ended.output + ended.errors

    async def is_over():
        return (await report(up, name))["campaign"]["status"] == "finished"

    await until(is_over)
    mails = [email.message_from_bytes(message, policy=email.policy.default) for message in up.messages]
    return {mail["To"].addresses[0].addr_spec: mail for mail in mails if f".{name}@" in mail["Message-ID"]}


def path_of(url) -> str:
    assert url.startswith(PUBLIC)
    return url.removeprefix(PUBLIC)


def unsubscribe_path(mail) -> str:
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return path_of(re.fullmatch(r"<(https://[^>]+)>", mail["List-Unsubscribe"])[1])


def links(mail) -> list[str]:
    html = mail.get_body(("html",)).get_content()
    return [path_of(url) for url in re.findall(rf'(?:href|src)="({PUBLIC}/[co]/[^"]+)"', html)]


async def test_one_click_stops_later_mails_and_scanners_stop_nobodys(up, public):
    mails = await send(up, "first")
    assert sorted(mails) == PEOPLE
    leaver, clicker, scanned, *_ = PEOPLE

    # Gmail's one click (RFC 8058); a scanner that follows everything in somebody else's mail; a reader who clicks.
    answer = await public.post(unsubscribe_path(mails[leaver]), data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    for path in [unsubscribe_path(mails[scanned]), *links(mails[scanned])]:
        for method in ("HEAD", "GET"):
            assert (await public.request(method, path)).status_code in (200, 302)
    first, second, pixel = links(mails[clicker])
    assert (await public.get(first)).headers["location"] == "https://shop.example/?from=mail&of=first"
    assert (await public.get(second)).headers["location"] == "https://shop.example/sale"
    assert (await public.get(pixel)).headers["content-type"] == "image/gif"
    assert (await public.get(links(mails[leaver])[0].replace("/c/", "/u/"))).status_code == 404

    async def counted():
        found = await engagement(up, "first")
        return found["unsubscribed"] == 1 and found["clicks"] >= 4 and found["opens"] >= 2

    await until(counted)

    async def later():
        later.number += 1
        return sorted(await send(up, f"later-{later.number}"))

    later.number = 0
    got = await later()
    while leaver in got and later.number < 5:  # it takes effect within seconds
        got = await later()
    assert got == [person for person in PEOPLE if person != leaver]
    ledger = (await report(up, f"later-{later.number}"))["figures"]["progress"]["ledger"]
    assert (ledger["planned"], ledger["accepted"], ledger["suppressed"]) == (6, 5, 1)


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Debian's Chromium is not installed")
async def test_a_person_leaves_in_a_browser_and_comes_back(up, public, tmp_path):
    mails = await send(up, "letter")
    port = up.web.rpartition(":")[2]
    async with browser(tmp_path / "profile") as page:
        await page.open(f"http://public.localhost:{port}{unsubscribe_path(mails[PEOPLE[0]])}")
        assert await page.evaluate("document.title") == "Unsubscribe?"
        shown = await page.evaluate("document.querySelector('main').textContent")
        assert "leave the list weekly of A Long Way Home" in shown
        await page.press("button.main")
        assert await page.evaluate("document.querySelector('h1').textContent") == "You are unsubscribed"
        await page.press("button")
        assert await page.evaluate("document.querySelector('h1').textContent") == "You are subscribed again"
        assert page.complaints == []

    ended = await jetpost_command.run(up.folder, "events", "letter", "--json")
    told = [line for line in ended.output.splitlines() if "subscribed" in line]
    assert [re.search(r'"type":"(\w+)"', line)[1] for line in told] == ["unsubscribed", "resubscribed", "resubscribed"]
    assert '"list":"weekly"' in told[0]
