import asyncio
import json
import logging
import random

import esps
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.callbacks.registry import ESPS
from analytics.web.webhooks import keeper
from analytics.web.webhooks.fetching import FetchFailed
from analytics.web.webhooks.reception import Reception
from events import callbacks, subjects
from events.bus import Storage
from events.errors import BusUnavailable

BODY = b'[{"event": "processed"}]\r\n'
ALL = sorted(ESPS)


def body_of(esp):
    if esp == "sparkpost":
        return b'[{"msys": {}}]'
    made = esps.event(esp, "delivered", "abcdefghijklmnop.spring", "ada@example.com", 1_800_000_000.0)
    return json.dumps([made] if esp == "sendgrid" else made).encode()


@pytest.mark.parametrize("esp", ALL)
async def test_what_an_esp_proves_to_have_sent_is_stored_as_it_came(client, clock, kept, esp):
    headers, body = esps.signed(esp, body_of(esp), clock())
    answer = await client.post(esps.path(esp), content=body, headers=headers)
    assert (answer.status_code, answer.text) == (200, "stored\n")
    (stored,) = await kept()
    assert (stored.esp, stored.endpoint, stored.received_at) == (esp, f"main-{esp}", clock())
    assert callbacks.body_of(stored, stored.body) == body
    assert "authorization" not in stored.headers


@pytest.mark.parametrize("esp", ALL)
async def test_what_proves_nothing_is_refused_and_not_stored(client, clock, kept, esp):
    headers, body = esps.signed(esp, body_of(esp), clock())
    changed = {name: value for name, value in headers.items() if "signature" not in name and name != "authorization"}
    answer = await client.post(
        esps.path(esp), content=body.replace(b"signature", b"other").replace(b"Signature", b"o"), headers=changed
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert await kept() == []


@pytest.mark.parametrize("esp", ALL)
async def test_an_endpoint_that_is_not_there_is_refused_like_a_stranger(client, clock, kept, esp):
    headers, body = esps.signed(esp, body_of(esp), clock())
    missing = await client.post(f"/webhooks/{esp}/other", content=body, headers=headers)
    stranger = await client.post(esps.path(esp), content=b'{"signature": {}}')
    assert missing.status_code == stranger.status_code == 401
    assert missing.content == stranger.content
    assert missing.headers.multi_items() == stranger.headers.multi_items()
    assert await kept() == []


@pytest.mark.parametrize("path", ["/webhooks/nobody/main-sendgrid", "/webhooks/", "/webhooks/a/b/c", "/webhooks/ses/"])
async def test_what_is_no_path_of_an_esp_is_not_found(client, clock, path):
    headers, body = esps.signed("sendgrid", BODY, clock())
    assert (await client.post(path, content=body, headers=headers)).status_code == 404


async def test_the_endpoint_of_one_esp_is_none_of_another(client, clock):
    headers, body = esps.signed("mailjet", BODY, clock())
    assert (await client.post("/webhooks/brevo/main-mailjet", content=body, headers=headers)).status_code == 401


@pytest.mark.parametrize("esp", ALL)
async def test_no_secret_comes_into_a_log(client, reception, clock, caplog, esp):
    caplog.set_level(logging.DEBUG)
    headers, body = esps.signed(esp, body_of(esp), clock())
    for sent in (headers, {**headers, "authorization": "Basic !"}, {}):
        await client.post(esps.path(esp), content=body, headers=sent)
    logged = f"{caplog.text} {reception._endpoints} {reception._decoys}"
    for secret in (esps.SIGNING_SECRET, esps.STANDARD_SECRET, esps.PAIR, headers.get("authorization", "-none-")):
        assert secret not in logged


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_only_post_is_taken(client, method):
    answer = await client.request(method, esps.path("sendgrid"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("body", [b"", b"no json", b"[1, 2]", b'"text"', b"\xff\xfe"])
async def test_junk_of_somebody_who_proves_to_be_known_is_told_so(client, clock, kept, body):
    headers, body = esps.signed("sendgrid", body, clock())
    assert (await client.post(esps.path("sendgrid"), content=body, headers=headers)).status_code == 400
    assert await kept() == []


@pytest.mark.parametrize("body", [b"[]", b'[{"msys": {}}]', b'[{"msys": {"new_event": {"type": "what"}}}]'])
async def test_pings_and_events_of_tomorrow_are_taken(client, clock, body):
    headers, body = esps.signed("sparkpost", body, clock())
    assert (await client.post(esps.path("sparkpost"), content=body, headers=headers)).status_code == 200


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(client, kept):
    assert (await client.post(esps.path("sendgrid"), content=b"x" * (callbacks.MAX_BODY_BYTES + 1))).status_code == 413

    async def parts():
        for _ in range(40):
            yield b"x" * 64 * 1024

    assert (await client.post(esps.path("sendgrid"), content=parts())).status_code == 413
    assert await kept() == []


async def test_a_large_batch_is_compressed_and_stored_in_parts(client, clock, kept, memory_bus):
    """Unlike any real one, it hardly shrinks."""
    events = [
        esps.event("sendgrid", "delivered", f"m{number}.spring", f"{random.randbytes(400).hex()}@example.com", clock())
        for number in range(1_500)
    ]
    headers, body = esps.signed("sendgrid", json.dumps(events).encode(), clock())
    assert (await client.post(esps.path("sendgrid"), content=body, headers=headers)).status_code == 200
    (stored,) = await kept()
    assert stored.compressed
    assert len(await memory_bus.count_by_subject("CALLBACKS", subjects.CALLBACKS_PARTS)) > 1
    assert callbacks.body_of(stored, await callbacks.stored_body(memory_bus, stored)) == body


async def test_a_repetition_is_answered_the_same_and_stored_once(client, clock, kept):
    headers, body = esps.signed("sendgrid", BODY, clock())
    for _ in range(3):
        assert (await client.post(esps.path("sendgrid"), content=body, headers=headers)).status_code == 200
    assert len(await kept()) == 1


async def test_a_replay_that_is_too_old_is_refused(client, clock):
    headers, body = esps.signed("standard", body_of("standard"), clock() - 301)
    assert (await client.post(esps.path("standard"), content=body, headers=headers)).status_code == 401


async def test_callbacks_that_come_together_are_stored_with_few_calls(client, clock, memory_bus, kept, monkeypatch):
    calls = []
    publish = memory_bus.publish

    async def counted(stream, messages):
        calls.append(len(messages))
        return await publish(stream, messages)

    monkeypatch.setattr(memory_bus, "publish", counted)
    made = [esps.signed("sendgrid", b'[{"event": "processed", "n": %d}]' % number, clock()) for number in range(100)]
    answers = await asyncio.gather(
        *(client.post(esps.path("sendgrid"), content=body, headers=headers) for headers, body in made)
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len(await kept()) == sum(calls) == 100
    assert len(calls) < 20


@pytest.mark.parametrize("error", [BusUnavailable("away"), OSError("a surprise")])
async def test_while_nats_is_away_the_esp_is_asked_to_come_again(
    client, clock, memory_bus, kept, monkeypatch, error, caplog
):
    async def away(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(memory_bus, "publish", away)
        headers, body = esps.signed("mailgun", body_of("mailgun"), clock())
        answer = await client.post(esps.path("mailgun"), content=body, headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert await kept() == []
    assert (await client.post(esps.path("mailgun"), content=body, headers=headers)).status_code == 200


async def test_what_does_not_answer_in_time_counts_as_away(client, clock, memory_bus, monkeypatch):
    monkeypatch.setattr(keeper, "STORED_WITHIN_SECONDS", 0.01)

    async def silent(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(memory_bus, "publish", silent)
    headers, body = esps.signed("mailgun", body_of("mailgun"), clock())
    assert (await client.post(esps.path("mailgun"), content=body, headers=headers)).status_code == 503


async def test_a_store_that_is_nearly_full_is_left_to_senders(client, clock, memory_bus, kept, monkeypatch):
    async def full():
        return Storage(95, 100)

    with monkeypatch.context() as patched:
        patched.setattr(memory_bus, "storage", full)
        headers, body = esps.signed("mailgun", body_of("mailgun"), clock())
        assert (await client.post(esps.path("mailgun"), content=body, headers=headers)).status_code == 503
    clock.advance(keeper.LOOKED_EVERY_SECONDS)
    assert (await client.post(esps.path("mailgun"), content=body, headers=headers)).status_code == 200
    assert len(await kept()) == 1


class TestFromWhere:
    @pytest.fixture
    def webhooks(self):
        return esps.webhooks(allow_from=("198.51.100.0/24", "203.0.113.7"))

    async def test_who_is_on_the_list_may_call(self, client, clock):
        headers, body = esps.signed("sendgrid", BODY, clock())
        assert (await client.post(esps.path("sendgrid"), content=body, headers=headers)).status_code == 200

    async def test_others_may_not_whatever_they_sign(self, reception, clock):
        headers, body = esps.signed("sendgrid", BODY, clock())
        for address in ("192.0.2.1", "nonsense", "::1"):
            transport = httpx.ASGITransport(reception, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="https://any.example") as client:
                assert (await client.post(esps.path("sendgrid"), content=body, headers=headers)).status_code == 403


class TestAmazon:
    async def test_its_certificate_is_fetched_once(self, client, clock, amazon):
        for _ in range(3):
            headers, body = esps.signed("ses", body_of("ses"), clock())
            assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code == 200
        assert amazon.asked == [esps.CERTIFICATE_URL]

    async def test_one_that_is_known_waits_for_no_other(self, memory_bus, webhooks, clock):
        """Somebody names certificates that nobody answers for: callbacks go on."""
        asked = asyncio.Event()

        async def fetch(url):
            if url != esps.CERTIFICATE_URL:
                asked.set()
                await asyncio.Event().wait()
            return esps.amazon()[1].encode()

        reception = Reception(memory_bus, webhooks, clock=clock, fetch=fetch)
        transport = httpx.ASGITransport(reception)
        async with reception.running(), httpx.AsyncClient(transport=transport, base_url="https://x.example") as client:
            headers, body = esps.signed("ses", body_of("ses"), clock())
            assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code == 200
            url = "https://sns.eu-central-1.amazonaws.com/slow.pem"
            _, slow = esps.sns("Notification", clock(), Message="{}", SigningCertURL=url)
            waiting = asyncio.create_task(client.post(esps.path("ses"), content=slow))
            await asked.wait()
            headers, body = esps.signed("ses", body_of("ses"), clock())
            async with asyncio.timeout(5):
                assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code == 200
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    async def test_one_that_is_used_is_kept_however_many_others_are_named(self, client, clock, amazon):
        for number in range(19):
            url = f"https://sns.eu-central-1.amazonaws.com/{number}.pem"
            for changes in ({}, {"SigningCertURL": url}):
                headers, body = esps.sns("Notification", clock(), Message="{}", **changes)
                await client.post(esps.path("ses"), content=body, headers=headers)
        assert amazon.asked.count(esps.CERTIFICATE_URL) == 1

    async def test_while_it_cannot_be_fetched_amazon_is_asked_to_come_again(self, client, clock, amazon, kept):
        amazon.error = FetchFailed("no route")
        headers, body = esps.signed("ses", body_of("ses"), clock())
        for _ in range(3):
            assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code == 503
        assert len(amazon.asked) == 1
        amazon.error = None
        clock.advance(10)
        assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code == 200
        assert len(await kept()) == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"TopicArn": "arn:aws:sns:eu-central-1:999:mine"},
            {"SigningCertURL": "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem"},
            {"SigningCertURL": "http://sns.eu-central-1.amazonaws.com/x.pem"},
        ],
    )
    async def test_a_stranger_makes_us_fetch_nothing(self, client, clock, amazon, changes):
        headers, body = esps.sns("Notification", clock(), Message="{}", **changes)
        assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code == 401
        assert amazon.asked == []

    async def test_a_stranger_who_names_ever_new_certificates_is_not_followed_for_long(self, client, clock, amazon):
        for number in range(50):
            url = f"https://sns.eu-central-1.amazonaws.com/{number}.pem"
            headers, body = esps.sns("Notification", clock(), Message="{}", SigningCertURL=url)
            assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code in {401, 503}
        assert len(amazon.asked) == 20

    async def test_a_subscription_is_stored_and_not_confirmed_by_who_answers(self, client, clock, amazon, kept):
        headers, body = esps.subscription(clock())
        assert (await client.post(esps.path("ses"), content=body, headers=headers)).status_code == 200
        assert amazon.asked == [esps.CERTIFICATE_URL]
        assert len(await kept()) == 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=15,
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=300)
NAMES = (
    *("content-type", "content-length", "authorization", "svix-id", "svix-timestamp", "svix-signature", "webhook-id"),
    *("x-signature", "x-timestamp", "x-amz-sns-message-type", "x-twilio-email-event-webhook-signature", "x-other"),
)
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=60)), max_size=6)
PATHS = st.sampled_from([esps.path(esp) for esp in ALL]) | st.text(max_size=30).map(lambda text: f"/webhooks/{text}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.tuples(PATHS, st.sampled_from(["POST", "GET", "X"]), HEADERS, BODIES), proven=st.booleans())
async def test_no_stranger_finds_a_fault(memory_bus, clock, amazon, caplog, asked, proven):
    """Nor does an ESP that signs nonsense."""
    path, method, headers, body = asked
    caplog.set_level(logging.ERROR)
    reception = Reception(memory_bus, esps.webhooks(), clock=clock, fetch=amazon)
    esp = path.split("/")[2]
    if proven and esp in ESPS and (esp not in {"ses", "mailgun"} or _is_json(body)):
        signed, body = (
            esps.signed(esp, body, clock())
            if esp != "ses"
            else esps.sns("Notification", clock(), Message=body.decode())
        )
        headers += [(name, value.encode()) for name, value in signed.items()]
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "client": ("192.0.2.1", 1)}
    scope["headers"] = [(name.encode(), value) for name, value in headers]
    async with reception.running():
        await reception(scope, receive, send)
    assert sent[0]["status"] in {200, 400, 401, 404, 405, 413}
    assert not [record for record in caplog.records if record.name.startswith("analytics")]


def _is_json(body):
    try:
        json.loads(body)
        body.decode()
    except ValueError:
        return False
    return True
