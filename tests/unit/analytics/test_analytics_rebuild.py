from analytics.rebuild import refusal
from events.bus import StreamState


def events(first, last):
    return StreamState(messages=last - first + 1, bytes=0, first_sequence=first, last_sequence=last)


def test_what_events_can_give_back_may_be_emptied():
    assert refusal(100, 1, events(1, 120), ingested=100) == ""
    assert refusal(80, 21, events(1, 120), ingested=100) == ""  # repeated campaign facts count once
    assert refusal(0, 0, events(50, 120), ingested=0) == ""


def test_older_events_are_protected():
    assert "from sequence 1 on" in refusal(100, 1, events(40, 120), ingested=100)


def test_events_of_an_earlier_life_of_the_stream_are_protected():
    assert refusal(100, 7, events(7, 20), ingested=20) != ""
