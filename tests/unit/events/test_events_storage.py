from events.bus import Storage


def test_a_store_is_nearly_full_above_the_high_water_mark():
    assert not Storage(used=85, limit=100).nearly_full
    assert Storage(used=86, limit=100).nearly_full


def test_a_store_without_a_limit_is_never_nearly_full():
    assert not Storage(used=10**15, limit=None).nearly_full


def test_a_store_is_told_in_words():
    assert str(Storage(used=1_740_000_000, limit=2_000_000_000)) == "1,740 MB of 2,000 MB (87%)"
    assert str(Storage(used=1_740_000_000, limit=None)) == "1,740 MB"
