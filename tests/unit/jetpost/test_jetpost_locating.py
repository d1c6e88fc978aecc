"""Where NATS is for whoever works beside a stack, and what to do where it cannot be reached."""

import pytest

from events.errors import BusUnavailable
from jetpost import locating, runtime
from jetpost.errors import Fault
from jetpost.settings import Settings, load


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Settings whose `data_dir` is a folder of ours."""
    monkeypatch.chdir(tmp_path)
    return lambda **variables: load(None, {"JETPOST_DATA_DIR": str(tmp_path), **variables})


@pytest.fixture
def up(tmp_path):
    """A stack that says that it runs on that folder."""
    running = runtime.Running(pid=77, version="1", started_at=0.0, nats_url="nats://a:1", web_url="", metrics={})
    with runtime.owned(tmp_path):
        runtime.write(tmp_path, running)
        (tmp_path / "link-secret").write_text("made by the stack\n", "ascii")
        yield running


def test_a_stack_of_the_data_directory_is_found_with_its_link_secret(configured, up):
    found = locating.located(configured())
    assert found.settings.nats.url == up.nats_url
    assert found.settings.producer.link_secret == "made by the stack"
    assert found.origins["nats", "url"] == "running stack 77"


def test_a_stack_that_comes_up_later_is_found_at_the_next_try(configured, request):
    before = configured()
    assert locating.located(before) == before
    up = request.getfixturevalue("up")
    assert locating.located(before).settings.nats.url == up.nats_url


def test_a_server_that_is_named_and_a_secret_that_is_set_win(configured, up):
    named = configured(JETPOST_NATS_URL="nats://b:2")
    assert locating.located(named) == named
    secret = "correct horse battery staple"
    found = locating.located(configured(JETPOST_PRODUCER_LINK_SECRET=secret))
    assert found.settings.producer.link_secret == secret


def test_whoever_cannot_reach_nats_hears_what_to_do(configured, tmp_path, request):
    assert f"no `jetpost up` runs with the data_dir {tmp_path}: start one" in locating.advice(configured())
    request.getfixturevalue("up")
    assert f"process 77): what its NATS says is in {tmp_path / 'nats'}" in locating.advice(configured())
    named = locating.advice(configured(JETPOST_NATS_URL="nats://b:2"))
    assert named == "nats.url is set (environment): check that it is right, and that NATS runs there"


def test_a_data_directory_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / Settings().data_dir) in locating.advice(load(None, {}))


def test_only_a_server_that_cannot_be_reached_is_met_with_advice(configured):
    with pytest.raises(Fault, match="refused; no `jetpost up` runs"), locating.reaching(configured()):
        raise BusUnavailable("refused")
    with pytest.raises(Fault, match=r"^something else$"), locating.reaching(configured()):
        raise Fault("something else")
