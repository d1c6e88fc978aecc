"""Settings that cannot be meant are refused, and it is said what to do."""

import pytest

from analytics.scaling.settings import ScalingSettings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"min_senders": 5, "max_senders": 2}, "min_senders"),
        ({"max_senders": 0, "min_senders": 0}, "max_senders"),
        ({"min_senders": -1}, "min_senders"),
        ({"within_seconds": 0.0}, "within_seconds"),
        ({"cooldown_seconds": -5.0}, "cooldown_seconds"),
        ({"sender_mails_per_second": -1.0}, "sender_mails_per_second"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        ScalingSettings(**wrong)


def test_none_at_all_may_be_wanted():
    assert ScalingSettings(min_senders=0).min_senders == 0
