"""The HTTP API answers as it says, and never with a fault of ours, whatever is asked: by schemathesis, on real servers."""

import asyncio
import contextlib
import itertools
import time

import esps
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from ingesting import ingest_all
from msgspec.structs import replace
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from analytics.reports import Reports
from analytics.web import server
from analytics.web.security import COMMAND_HEADER
from analytics.web.settings import WebSettings
from events import facts, links, schemas, streams
from events.bus import Message
from events.schemas import Campaign
from events.tokens import Signer

COMMAND = {COMMAND_HEADER: "1"}
BEGUN = time.time() - 100
SECRET = "s" * 32
SETTINGS = WebSettings(port=0, links_url="http://127.0.0.1", link_secret=SECRET, webhooks=esps.webhooks())
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
QUICKLY = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def history():
    """A campaign of five, of whom each fared in a way of their own."""
    yield facts.CampaignStarted("spring", BEGUN, "Spring", "relay")
    yield facts.BatchPlanned("spring", BEGUN, 1, 5)
    yield facts.CampaignPlanned("spring", BEGUN, 1, 5, 2, 1)
    yield facts.BatchQueued("spring", BEGUN + 1, 1, 5, 0, 0, 50_000, 500)
    for number in range(3):
        to = (f"m{number}", 1, f"{number}@gmail.com", "relay", "gmail")
        yield facts.EmailAccepted("spring", BEGUN + 2 + number, *to, 0.5)
    yield facts.EmailBounced(
        "spring", BEGUN + 3, "m3", 1, "gone@yahoo.com", "relay", "yahoo", "hard", 550, "5.1.1", "No such user"
    )
    yield facts.EmailInDoubt("spring", BEGUN + 4, "m4", 1, "who@example.org", "relay", "other", "a worker died")
    yield facts.EmailOpened("spring", BEGUN + 5, "m0", "0@gmail.com", "", "", "1")


@pytest.fixture
async def stage(nats_bus, store):
    """A running campaign, on the bus and counted."""
    campaign = Campaign("spring", "Spring", "running", "relay", "b@example.com", BEGUN, planned=5, batches=1)
    await (await nats_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    blobs = await nats_bus.blobs(streams.LINKS)
    await blobs.put(links.blob_name("spring"), links.encode(("https://shop.example/",)))
    await nats_bus.publish("EVENTS", [Message(facts.subject_of(fact), facts.encode(fact)) for fact in history()])
    await ingest_all(nats_bus, store, time.time)
    return nats_bus


@contextlib.asynccontextmanager
async def serving(bus, reports, settings):
    """The address of a real server."""
    stop = asyncio.Event()
    with server.listen(settings) as listener:
        running = asyncio.create_task(
            server.run(bus, reports, settings, clock=time.time, listener=listener, stop=stop), name="served"
        )
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stop.set()
        await asyncio.wait_for(running, 20)


def answered_by(media_type, *statuses):
    return {str(status): {"description": "", "content": {media_type: {}} if media_type else {}} for status in statuses}


def path_of(*names):
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for name in names
    ]


HTML, TEXT = "text/html", "text/plain"
PUBLIC = {
    "openapi": "3.1.0",
    "info": {"title": "What strangers may ask of a Jetpost that serves what is public", "version": "1"},
    "paths": {
        "/u/{token}": {
            "parameters": path_of("token"),
            "get": {"responses": answered_by(HTML, 200, 404)},
            "post": {
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "properties": {"List-Unsubscribe": {"const": "One-Click"}},
                                "required": ["List-Unsubscribe"],
                            }
                        },
                        "multipart/form-data": {"schema": {"type": "object", "properties": {"do": {"type": "string"}}}},
                    }
                },
                "responses": answered_by(HTML, 200, 400, 404),
            },
        },
        "/c/{token}/{number}": {
            "parameters": path_of("token", "number"),
            "get": {"responses": answered_by(HTML, 404) | answered_by("", 302)},
        },
        "/o/{token}": {
            "parameters": path_of("token"),
            "get": {"responses": answered_by("image/gif", 200) | answered_by(HTML, 404)},
        },
        "/webhooks/{esp}/{endpoint}": {
            "parameters": path_of("esp", "endpoint"),
            "post": {
                "requestBody": {"content": {"application/json": {"schema": {}}, TEXT: {"schema": {"type": "string"}}}},
                "responses": answered_by(TEXT, 400, 401, 404, 413),
            },
        },
    },
}
"""`web.serve = "public"` describes itself to nobody; this is what its pages promise (docs/unsubscribe.md, docs/webhooks.md)."""
MAIL = ("spring", "abcdefghijklmnop")
KNOWN = {
    "/api": {"id": "spring"},
    "/u": {"token": Signer(SECRET, "unsubscribe").token(*MAIL)},
    "/c": {"token": Signer(SECRET, "track").token(*MAIL), "number": "1"},
    "/o": {"token": Signer(SECRET, "track").token(*MAIL)},
    "/webhooks": {"esp": "mailgun", "endpoint": "main-mailgun"},
}


def ask_all(url, document, cases):
    """Statuses by operation."""
    described = schemathesis.openapi.from_dict(_without_tuples(document))
    described.config.update(base_url=url)
    return {found.ok().label: ask(found.ok(), url, cases) for found in described.get_all_operations()}


def ask(operation, url, cases):
    """Some cases of an operation, half of them about what there is."""
    known = KNOWN.get(f"/{operation.path.split('/')[1]}", {})
    said, turns = set(), itertools.count()

    @settings(QUICKLY, max_examples=cases)
    @given(case=operation.as_strategy())
    def asked(case):
        if next(turns) % 2 == 0:
            case.path_parameters.update(known)
            case.headers.update(COMMAND if operation.path.startswith("/api") else {})
        if operation.path.endswith("/stream"):
            said.add(begin_of_stream(case, url))
            return
        answer = case.call(timeout=20, allow_redirects=False)
        said.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    asked()
    return said


def begin_of_stream(case, url):
    """Its status; the answer itself never ends."""
    asked = case.as_transport_kwargs(base_url=url)
    with httpx.stream("GET", asked["url"], params=asked.get("params"), headers=asked.get("headers")) as answer:
        kind = answer.headers["content-type"].partition(";")[0]
        documented = case.operation.definition.raw["responses"][str(answer.status_code)]["content"]
        assert kind in documented
        assert kind != "text/event-stream" or next(answer.iter_lines()).startswith("retry:")
        return answer.status_code


def _without_tuples(document):
    """The checker reads `prefixItems` as drafts before 2020-12 had it, and finds it invalid."""
    match document:
        case {"prefixItems": _}:
            return {"type": "array"}
        case dict():
            return {name: _without_tuples(one) for name, one in document.items()}
        case list():
            return [_without_tuples(one) for one in document]
        case _:
            return document


async def test_the_api_answers_as_it_says(stage, store):
    async with serving(stage, Reports(store, time.time), SETTINGS) as url, httpx.AsyncClient() as client:
        document = (await client.get(f"{url}/openapi.json")).json()
        said = await asyncio.to_thread(ask_all, url, document, 5)
    assert len(said) >= 20
    assert all(200 in statuses or 409 in statuses for statuses in said.values()), said
    assert set().union(*said.values()) >= {200, 403, 404}, said


async def test_whoever_has_no_token_is_told_so_as_it_says(stage, store):
    settings = replace(SETTINGS, api_token="t" * 32)
    async with serving(stage, Reports(store, time.time), settings) as url, httpx.AsyncClient() as client:
        document = (await client.get(f"{url}/openapi.json")).json()
        assert set().union(*(await asyncio.to_thread(ask_all, url, document, 1)).values()) == {401}
        headers = {"Authorization": f"Bearer {settings.api_token}"}
        assert (await client.get(f"{url}/api/campaigns", headers=headers)).status_code == 200


@pytest.mark.parametrize("serve", ["public", "all"])
async def test_what_is_public_answers_as_its_pages_say(stage, store, serve):
    settings = replace(SETTINGS, serve=serve)
    reports = Reports(store, time.time) if serve == "all" else None
    async with serving(stage, reports, settings) as url, httpx.AsyncClient() as client:
        said = await asyncio.to_thread(ask_all, url, PUBLIC, 15)
        inside = (await client.get(f"{url}/openapi.json")).status_code
    assert inside == (200 if serve == "all" else 404)
    assert said["GET /c/{token}/{number}"] == {302, 404}
    assert said["GET /u/{token}"] == said["GET /o/{token}"] == {200, 404}
    assert {404} < said["POST /u/{token}"] <= {200, 400, 404}
    assert said["POST /webhooks/{esp}/{endpoint}"] == {401, 404}
