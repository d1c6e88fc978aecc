"""What is said of campaigns of different sizes, and with more senders."""

from benchmarks.campaigns import growth, overtaking, retries, scaling, stalled


def campaign(mails, rate=8_000, sender=70, producer=80, disk=350, senders=1):
    return {
        "mails": mails,
        "mails_per_second": rate,
        "peak_memory_mb": {"sender-1": 60, "sender-2": sender, "producer-1": producer, "web": 900},
        "filling": {"nats_disk_bytes_per_mail": {"all": disk}},
        "options": {"senders": senders},
    }


def test_campaigns_that_cost_the_same_per_mail_miss_nothing():
    assert growth.missed([campaign(1_000), campaign(10_000, rate=7_300)]) == []


def test_everything_that_was_missed_is_named():
    found = growth.missed([campaign(1_000), campaign(10_000, rate=6_000, sender=151, producer=301, disk=401)])
    assert found == [
        "10,000 mails: the rate differs by -25% from that of 1,000",
        "10,000 mails: a sender took 151 MB, more than 150",
        "10,000 mails: a producer took 301 MB, more than 300",
        "10,000 mails: 401 bytes of disk per queued mail, more than 400",
    ]


def test_efficiency_is_the_rate_of_each_sender():
    results = [campaign(1, rate=1_000), campaign(1, rate=1_900, senders=2), campaign(1, rate=4_000, senders=4)]
    assert scaling.efficiency(results) == [1.0, 0.95, 1.0]


def test_what_waits_is_compared_pair_by_pair():
    def pair(rate, cpu):
        return {"mails_per_second": rate, "cpu_us_per_mail": {"total": {"total": cpu}}}

    alone = [pair(8_000, 200), pair(4_000, 400), pair(8_000, 200)]
    beside = [pair(7_920, 204), pair(3_960, 408), pair(4_000, 400)]
    assert retries.compared(alone, beside) == {
        "rate_change": -0.01,
        "cpu_change": 0.02,
        "rate_changes": [-0.01, -0.01, -0.5],
        "cpu_changes": [0.02, 0.02, 1.0],
    }


def test_what_a_lane_that_hangs_changes_is_compared_pair_by_pair():
    assert stalled.compared([1_000.0, 500.0, 800.0], [990.0, 510.0, 400.0]) == {
        "mails_per_second_working": [1_000, 500, 800],
        "mails_per_second_stalled": [990, 510, 400],
        "rate_change": -0.01,
        "rate_changes": [-0.01, 0.02, -0.5],
    }


def test_the_times_of_urgent_campaigns_are_told_by_their_medians():
    assert overtaking.compared([1.0, 2.0, 9.0], [3.0, 2.5, 2.0]) == {
        "idle_seconds": 2.0,
        "urgent_seconds": 2.5,
        "idle_seconds_each": [1.0, 2.0, 9.0],
        "urgent_seconds_each": [3.0, 2.5, 2.0],
    }
