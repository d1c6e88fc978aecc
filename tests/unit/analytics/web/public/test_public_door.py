import re
from urllib.parse import quote

import httpx
import msgspec
import pytest
from conftest import CAMPAIGN, LEAVE, LINKS, MAIL, SECRET, TRACK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.web.public.door import PIXEL, Door
from analytics.web.settings import WebSettings
from events import preferences, schemas, streams
from events.facts import EmailClicked, EmailOpened, EmailResubscribed, EmailUnsubscribed, TrackingChanged
from events.preferences import Preference
from events.tokens import Signer

NOW = 1_800_000_000.0
MADE_BY_US = ("spring", NOW, MAIL, "")
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


async def test_one_click_unsubscribes(client, told):
    answer = await client.post(f"/u/{LEAVE}", data=ONE_CLICK)
    assert answer.status_code == 200
    assert await told() == [EmailUnsubscribed(*MADE_BY_US, "all", "", "one-click")]


async def test_one_click_may_come_as_multipart(client, told):
    answer = await client.post(f"/u/{LEAVE}", files={"List-Unsubscribe": (None, "One-Click")})
    assert answer.status_code == 200
    assert [fact.by for fact in await told()] == ["one-click"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_looking_unsubscribes_nobody(client, told, method):
    answer = await client.request(method, f"/u/{LEAVE}?List-Unsubscribe=One-Click")
    assert answer.status_code == 200
    assert await told() == []


async def test_the_page_says_whose_mail_it_is_about_and_has_buttons(client):
    page = (await client.get(f"/u/{LEAVE}")).text
    assert "<strong>The &lt;Letters&gt;</strong>" in page
    assert re.findall(r'name="do" value="(\w+)"', page) == ["all", "untrack", "again"]
    assert "<script" not in page


@pytest.mark.parametrize(
    ("choice", "fact"),
    [
        ("all", EmailUnsubscribed(*MADE_BY_US, "all", "", "page")),
        ("list", EmailUnsubscribed(*MADE_BY_US, "all", "", "page")),
        ("again", EmailResubscribed(*MADE_BY_US, "all", "", "page")),
        ("untrack", TrackingChanged(*MADE_BY_US, False)),
        ("track", TrackingChanged(*MADE_BY_US, True)),
    ],
)
async def test_a_button_says_what_its_label_says(client, told, choice, fact):
    answer = await client.post(f"/u/{LEAVE}", data={"do": choice})
    assert answer.status_code == 200
    assert await told() == [fact]


@pytest.mark.parametrize(
    "body", ["", "do=everything", "do", "List-Unsubscribe=Two-Clicks", "x" * 100, "do=list" + "&a=1" * 40, "\xff"]
)
async def test_what_is_no_wish_changes_nothing(client, told, body):
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post(f"/u/{LEAVE}", content=body.encode("latin-1"), headers=kind)).status_code == 400
    assert (await client.post(f"/u/{LEAVE}", json={"do": "all"})).status_code == 400
    assert await told() == []


async def test_a_body_without_end_is_not_read(client, told):
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert (await client.post(f"/u/{LEAVE}", content=b"do=all&x=" + b"x" * 20_000, headers=kind)).status_code == 413
    assert await told() == []


async def test_a_link_leads_to_what_was_in_the_mail_and_is_counted(client, told):
    answer = await client.get(f"/c/{TRACK}/2")
    assert (answer.status_code, answer.headers["location"]) == (302, LINKS[1])
    assert await told() == [EmailClicked(*MADE_BY_US, 2, LINKS[1])]


@pytest.mark.parametrize("number", ["0", "4", "99999", "-1", "2x", "02", "", "2/3"])
async def test_a_link_that_was_not_in_the_mail_leads_nowhere(client, told, number):
    assert (await client.get(f"/c/{TRACK}/{number}")).status_code == 404
    assert await told() == []


async def test_the_pixel_is_a_picture_of_one_dot_and_is_counted(client, told):
    answer = await client.get(f"/o/{TRACK}")
    assert (answer.headers["content-type"], answer.content) == ("image/gif", PIXEL)
    assert PIXEL.startswith(b"GIF89a\x01\x00\x01\x00")
    assert await told() == [EmailOpened(*MADE_BY_US)]


async def test_machines_are_told_apart(client, told):
    await client.head(f"/c/{TRACK}/1")
    await client.get(f"/o/{TRACK}", headers={"user-agent": "Mozilla/5.0"})
    await client.get(
        f"/o/{TRACK}",
        headers={"user-agent": "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)"},
    )
    click, private, proxied = await told()
    assert (click.machine, private.machine, proxied.machine, proxied.client) == (
        "head",
        "apple-mpp",
        "",
        "google-proxy",
    )


async def test_the_same_click_twice_within_seconds_is_one(client, told, clock):
    for _ in range(2):
        await client.get(f"/c/{TRACK}/1")
    clock.advance(60)
    await client.get(f"/c/{TRACK}/1")
    assert len(await told()) == 2


@pytest.mark.parametrize(
    "path", [f"/u/{TRACK}", f"/c/{LEAVE}/1", f"/o/{LEAVE}", "/u/x", "/u/..", "/", "/api/campaigns", f"/c/{TRACK}"]
)
async def test_every_bad_link_gets_the_same_answer(client, path):
    answers = [await client.get(asked) for asked in (path, f"/u/{LEAVE[:-1]}")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


@given(text=st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
async def test_nobody_is_led_to_what_was_not_in_a_mail(client, text):
    for path in (f"/c/{text}", f"/c/{TRACK}/{text}", f"/c/{text}/1", f"/c/{TRACK}/1?url={text}"):
        answer = await client.get(quote(path, safe="/?="))
        assert answer.headers.get("location", LINKS[0]) in LINKS


async def test_only_the_host_of_the_links_is_answered(client, told):
    for host in ("evil.example", "localhost", "127.0.0.1", "", "mail.example.com.evil.example"):
        assert (await client.get(f"/c/{TRACK}/1", headers={"host": host})).status_code == 421
    assert (await client.get(f"/c/{TRACK}/1", headers={"host": "MAIL.example.com:443"})).status_code == 302
    assert len(await told()) == 1


async def test_answers_have_strict_headers(client):
    for answer in (await client.get(f"/u/{LEAVE}"), await client.get(f"/c/{TRACK}/1"), await client.get("/u/x")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "max-age" in answer.headers["strict-transport-security"]


async def test_nothing_is_posted_to_a_link(client, told):
    assert (await client.post(f"/c/{TRACK}/1", data=ONE_CLICK)).status_code == 405
    assert (await client.put(f"/u/{LEAVE}")).status_code == 405
    assert await told() == []


async def test_who_does_not_want_to_be_counted_is_not(client, told):
    await client.post(f"/u/{LEAVE}", data={"do": "untrack"})
    assert (await client.get(f"/c/{TRACK}/1")).headers["location"] == LINKS[0]
    assert (await client.get(f"/o/{TRACK}")).content == PIXEL
    assert [type(fact) for fact in await told()] == [TrackingChanged]


async def test_a_preference_holds_for_the_mails_of_every_campaign(client, bus, told, door):
    await preferences.say(bus, Preference("Ada@example.com", NOW))
    await bus.wait_for_change(0.05)
    while not door._refusals._addresses:
        await bus.wait_for_change(0.01)
    await client.get(f"/o/{TRACK}")
    assert await told() == []
    other = Signer(SECRET, "track").token("spring", "a" * 16)
    await client.get(f"/o/{other}")
    assert len(await told()) == 1


async def test_a_list_can_be_left_alone(bus, client, told):
    listed = msgspec.structs.replace(CAMPAIGN, list="weekly")
    await (await bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(listed))
    page = (await client.get(f"/u/{LEAVE}")).text
    assert re.findall(r'name="do" value="(\w+)"', page) == ["list", "all", "untrack", "again"]
    await client.post(f"/u/{LEAVE}", data=ONE_CLICK)
    await client.post(f"/u/{LEAVE}", data={"do": "again"})
    assert await told() == [
        EmailUnsubscribed(*MADE_BY_US, "list", "weekly", "one-click"),
        EmailResubscribed(*MADE_BY_US, "list", "weekly", "page"),
        EmailResubscribed(*MADE_BY_US, "all", "", "page"),
    ]


async def test_while_nats_is_away_links_lead_on_and_clicks_are_kept(client, bus, told):
    await client.get(f"/c/{TRACK}/1")
    bus.unavailable = True
    assert (await client.get(f"/c/{TRACK}/2")).headers["location"] == LINKS[1]
    assert (await client.get(f"/o/{TRACK}")).status_code == 200
    bus.unavailable = False
    assert len(await told()) == 1
    while len(found := await told()) < 3:
        await bus.wait_for_change(0.05)
    assert [type(fact) for fact in found] == [EmailClicked, EmailClicked, EmailOpened]


async def test_while_nats_is_away_nobody_is_told_to_be_unsubscribed(client, bus):
    bus.unavailable = True
    answer = await client.post(f"/u/{LEAVE}", data=ONE_CLICK)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert (await client.get(f"/u/{LEAVE}")).status_code == 200
    assert (await client.get(f"/c/{TRACK}/1")).status_code == 503  # where it leads has not been asked yet


async def test_links_of_before_a_secret_was_replaced_go_on_working(bus, clock, told):
    newer = WebSettings(
        links_url="https://mail.example.com", link_secret="a newer secret, longer", old_link_secrets=(SECRET,)
    )
    door = Door(bus, newer, clock=clock)
    async with (
        door.running(),
        httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="https://mail.example.com") as client,
    ):
        assert (await client.get(f"/c/{TRACK}/1")).status_code == 302


def test_without_a_secret_there_is_no_door(bus, clock):
    with pytest.raises(ValueError, match="link_secret"):
        Door(bus, WebSettings(links_url="https://mail.example.com"), clock=clock)
