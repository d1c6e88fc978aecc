"""Streams as the server has them, held against what a release needs."""

import pytest

from events import nats_config, streams

WANTED = nats_config.stream_config(streams.MAIL, 1, streams.Timing())


def test_a_stream_as_we_made_it_suffices():
    assert nats_config.suffices(WANTED, WANTED)


@pytest.mark.parametrize(
    "newer",
    [
        {"subjects": [*WANTED["subjects"], "mail.later.>"]},
        {"num_replicas": 3},
        {"max_bytes": 10_000_000},
        {"duplicate_window": WANTED["duplicate_window"] * 2},
        {"allow_something_new": True},
    ],
)
def test_so_does_one_that_holds_or_promises_more(newer):
    assert nats_config.suffices(WANTED | newer, WANTED)


@pytest.mark.parametrize(
    "older",
    [
        {"subjects": WANTED["subjects"][:1]},
        {"retention": "limits"},
        {"duplicate_window": 120_000_000_000},
        {"allow_atomic": False},
        {"allow_msg_schedules": False},
    ],
)
def test_one_that_holds_or_promises_less_does_not(older):
    assert not nats_config.suffices(WANTED | older, WANTED)


def test_what_the_server_leaves_out_is_its_default():
    there = {key: value for key, value in WANTED.items() if key != "retention"}
    assert not nats_config.suffices(there, WANTED)
    bucket = nats_config.bucket_config("throttle", 1)
    assert nats_config.suffices(bucket, bucket)


def test_what_senders_say_of_themselves_is_forgotten_and_other_values_are_kept():
    assert nats_config.bucket_config("senders", 1)["max_age"] == 60_000_000_000
    assert nats_config.bucket_config("throttle", 1)["max_age"] == 0
