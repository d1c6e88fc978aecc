"""When the books of an end-to-end run count as balanced, and how its figures are made."""

import msgspec
import pytest

from benchmarks.e2e import newsletter, outcome
from benchmarks.e2e.stage import disk
from benchmarks.frame.processes import Cpu, Reading
from events.ledger import Ledger
from jetpost.simulator.stats import SimulatorStats
from producer.recipients import audience
from producer.rendering.renderer import compile_campaign
from producer.settings import ProducerSettings

LEDGER = Ledger(planned=10, accepted=9, failed=1)
TAKEN = SimulatorStats(
    messages=9, unidentified=0, bytes=90, connections=1, open_connections=0, by_provider={}, refused={}, faults={},
    accepted_file="", accepted=9, accepted_more_than_once=0,
)  # fmt: skip


def test_books_that_agree_are_balanced():
    assert outcome.balanced(10, LEDGER, 9, TAKEN)


@pytest.mark.parametrize(
    ("ledger", "in_clickhouse", "taken"),
    [
        pytest.param({"planned": 9, "accepted": 8}, 8, {"accepted": 8}, id="somebody was not planned"),
        pytest.param({"accepted": 8, "queued": 1}, 8, {"accepted": 8}, id="somebody has no outcome"),
        pytest.param({}, 8, {}, id="ClickHouse lacks one"),
        pytest.param({}, 9, {"accepted": 8}, id="the simulator lacks one"),
        pytest.param({}, 9, {"accepted": 10}, id="the simulator has one too many"),
        pytest.param({}, 9, {"accepted_more_than_once": 1}, id="one came twice"),
    ],
)
def test_books_that_do_not_agree_are_not_balanced(ledger, in_clickhouse, taken):
    replaced = msgspec.structs.replace(LEDGER, **ledger), msgspec.structs.replace(TAKEN, **taken)
    assert not outcome.balanced(10, replaced[0], in_clickhouse, replaced[1])


def test_cpu_is_per_mail_and_by_process():
    before = Reading(0, {"sender-1": Cpu(1, 1), "web": Cpu(0, 0)}, 0)
    after = Reading(1, {"sender-1": Cpu(1.5, 1.25), "web": Cpu(0.25, 0)}, 0)
    assert outcome.cpu_per_mail(before, after, 10_000) == {
        "sender-1": {"user": 50, "system": 25, "total": 75},
        "web": {"user": 25, "system": 0, "total": 25},
        "total": {"user": 75, "system": 25, "total": 100},
    }


def test_the_disk_is_counted_as_a_whole_and_by_stream(tmp_path):
    for name in (
        "jetstream/jetpost/streams/MAIL/msgs/1.blk",
        "jetstream/jetpost/streams/EVENTS/msgs/1.blk",
        "nats.log",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * 10_000)
    found = disk(tmp_path)
    assert found["MAIL"] == found["EVENTS"] >= 10_000
    assert found["all"] >= 30_000


@pytest.mark.parametrize("size", [10_240, 4_096])
def test_mails_have_the_size_that_was_asked_for(tmp_path, size):
    settings = ProducerSettings(link_secret="sixteen characters or more")
    checked = newsletter.write(tmp_path / "campaign", 300, size, settings)
    renderer = compile_campaign(checked.campaign, settings)
    recipients = list(audience.read(checked.launchable.audience, checked.launchable.projection))
    sizes = [len(renderer.render(recipient).message) for recipient in recipients]
    assert len(sizes) == 300
    assert sum(sizes) / 300 == pytest.approx(size, rel=0.01)


def test_a_size_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="cannot be made 500 bytes long"):
        newsletter.write(tmp_path / "campaign", 300, 500, ProducerSettings(link_secret="sixteen characters or more"))


def test_every_mailbox_behaves_well(tmp_path):
    newsletter.write(tmp_path / "campaign", 300, 10_240, ProducerSettings(link_secret="sixteen characters or more"))
    assert "+" not in (tmp_path / "campaign" / "audience.csv").read_text("utf-8")
