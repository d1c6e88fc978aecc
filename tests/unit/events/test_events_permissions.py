"""What users of NATS may do: nothing is forgotten, and nobody may do more than is meant. On a server: test_nats_users*.py."""

import pytest

from events import facts, permissions, streams, subjects
from events.memory_stream import matches
from events.permissions import COMPONENTS, INGESTER, INSIDE, NAMED, OPERATOR, SETUP, WEB

OUTSIDE = [component for component in COMPONENTS if component.account != INSIDE]
WRITTEN_BY_THE_SERVER = {subjects.MAX_DELIVERIES}


def overlap(one, other):
    """Whether two filters have subjects in common; good enough for ours, of which none has wildcards in different places."""
    return matches(one, other.replace("*", "x").replace(">", "x")) or matches(
        other, one.replace("*", "x").replace(">", "x")
    )


def who_publishes(subject):
    return [component.name for component in COMPONENTS if any(overlap(one, subject) for one in component.publish)]


@pytest.mark.parametrize(
    "written",
    [*(subject for stream in streams.STREAMS for subject in stream.subjects if subject not in WRITTEN_BY_THE_SERVER)],
)
def test_every_stream_has_somebody_who_writes_to_it(written):
    assert who_publishes(written)


@pytest.mark.parametrize("stream", [stream.name for stream in streams.STREAMS])
def test_every_stream_has_somebody_who_reads_it_and_it_is_a_component_that_runs(stream):
    ways = (f"$JS.API.DIRECT.GET.{stream}", f"$JS.API.CONSUMER.MSG.NEXT.{stream}.x", *_fetching(stream))
    assert {name for way in ways for name in who_publishes(way)} - {"operator", "setup"}


def _fetching(stream):
    return (
        f"$JS.API.CONSUMER.MSG.NEXT.{spec.stream}.{spec.name}" for spec in streams.CONSUMERS if spec.stream == stream
    )


@pytest.mark.parametrize("bucket", streams.BUCKETS)
def test_every_bucket_has_somebody_who_reads_and_somebody_who_writes(bucket):
    stream = streams.stream_of_bucket(bucket)
    assert who_publishes(subjects.keys_of(bucket))
    assert who_publishes(f"$JS.API.STREAM.MSG.GET.{stream}")


@pytest.mark.parametrize("store", streams.STORES)
def test_every_store_has_somebody_who_reads_and_somebody_who_writes(store):
    assert all(who_publishes(subject) for subject in subjects.contents_of(store))
    assert who_publishes(f"$JS.API.DIRECT.GET.{streams.stream_of_store(store)}")


@pytest.mark.parametrize("spec", streams.CONSUMERS, ids=lambda spec: spec.name)
def test_every_consumer_has_somebody_who_takes_from_it(spec):
    assert who_publishes(f"$JS.API.CONSUMER.INFO.{spec.stream}.{spec.name}")
    fetching = who_publishes(f"$JS.API.CONSUMER.MSG.NEXT.{spec.stream}.{spec.name}")
    assert fetching == who_publishes(f"$JS.ACK.{spec.stream}.{spec.name}.1.1.1.1.0") != []


@pytest.mark.parametrize(
    "name", [name for name, value in vars(subjects).items() if name.isupper() and isinstance(value, str)]
)
def test_every_subject_is_somebodys(name):
    subject = getattr(subjects, name)
    assert who_publishes(subject) or subject in WRITTEN_BY_THE_SERVER


def asking(component, endpoint):
    """The streams that somebody may have this done to."""
    begin = f"$JS.API.{endpoint}."
    return {subject.removeprefix(begin).partition(".")[0] for subject in component.publish if subject.startswith(begin)}


def test_only_setup_makes_streams_and_nobody_deletes_one():
    everything = set(permissions.ALL_STREAMS)
    for component in COMPONENTS:
        made = everything if component is SETUP else set()
        assert (asking(component, "STREAM.CREATE"), asking(component, "STREAM.UPDATE")) == (made, made)
        assert asking(component, "STREAM.DELETE") == set()


def test_consumers_come_and_go_on_mail_alone_and_by_few():
    makers = {one.name: asking(one, "CONSUMER.DURABLE.CREATE") for one in COMPONENTS if one is not SETUP}
    assert {name: made for name, made in makers.items() if made} == {"ingester": {"MAIL"}, "operator": {"MAIL"}}
    assert all(asking(one, "CONSUMER.DELETE") == asking(one, "CONSUMER.DURABLE.CREATE") for one in COMPONENTS)
    assert not any(
        asking(one, "CONSUMER.CREATE") for one in COMPONENTS
    )  # it makes consumers that send where they are told


@pytest.mark.parametrize(
    ("endpoint", "allowed"),
    [
        (
            "STREAM.PURGE",
            {
                "producer": {"MAIL"},
                "ingester": {"CALLBACKS"},
                "web": {"MAIL"},
                "operator": {"MAIL", "SUPPRESSION"},
            },
        ),
        (
            "STREAM.MSG.DELETE",
            {
                "sender": {"MAIL"},
                "ingester": {"MAIL", "DLQ", "CALLBACKS"},
                "operator": {"BATCHES", "MAIL", "DLQ"},
            },
        ),
    ],
)
def test_messages_are_deleted_by_those_who_must(endpoint, allowed):
    objects = {streams.stream_of_store(store) for store in streams.STORES}
    deleting = {one.name: asking(one, endpoint) - objects for one in COMPONENTS}
    assert {name: emptied for name, emptied in deleting.items() if emptied} == allowed


def test_mails_are_queued_by_producers_and_persons_and_claimed_by_senders():
    assert who_publishes("mail.send.main.gmail.spring") == ["producer", "operator"]
    assert who_publishes("claims") == ["sender"]
    assert who_publishes("$JS.API.CONSUMER.MSG.NEXT.MAIL.spring--main--gmail") == ["sender"]


@pytest.mark.parametrize("component", OUTSIDE, ids=lambda component: component.name)
def test_who_faces_strangers_has_an_account_alone_and_knows_nothing_of_mails(component):
    assert [one.name for one in COMPONENTS if one.account == component.account] == [component.name]
    assert "$JS.API.INFO" in component.publish  # or the server answers in the place of the account with the streams
    may = " ".join([*component.publish, *component.subscribe])
    for word in (
        "MAIL",
        "mail.",
        "DLQ",
        "SUPPRESSION",
        "OBJ_blobs",
        "PURGE",
        "DELETE",
        "CREATE",
        "CONSUMER",
        "$JS.ACK",
    ):
        assert word not in may
    assert all(one.partition(".")[0] not in {"*", ">"} for one in (*component.publish, *component.subscribe))


def test_what_recipients_do_are_facts():
    kinds = {fact.__struct_config__.tag for fact in facts.Reaction.__args__}
    assert set(permissions.REACTIONS) < kinds


def test_everybody_inside_may_look_at_every_stream_and_others_at_those_that_they_need():
    assert all(one.looks_at == set(permissions.ALL_STREAMS) for one in COMPONENTS if one.account == INSIDE)
    assert NAMED["bounces"].looks_at == {"CALLBACKS", "KV_campaigns"}


def test_an_inbox_is_ones_own():
    inboxes = {component.name: component.inbox for component in COMPONENTS}
    assert inboxes["sender"] == "_INBOX_sender.>"
    assert len(set(inboxes.values())) == len(COMPONENTS)
    assert permissions.inbox_prefix("") == "_INBOX"


def test_one_process_may_do_the_work_of_two():
    both, *others = [one for one in permissions.together(WEB, INGESTER) if one.name == "web"]
    assert others == []
    assert set(both.publish) == {*WEB.publish, *INGESTER.publish}
    assert set(both.batched) == {*WEB.batched, *INGESTER.batched}
    assert [one.name for one in permissions.together(WEB, INGESTER) if one in (INGESTER, OPERATOR)] == ["operator"]
