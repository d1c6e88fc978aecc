"""What was accepted can be told exactly, however much it was."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jetpost.simulator import counts
from jetpost.simulator.counts import Counts

ids = st.text("abc234", min_size=16, max_size=16).map(str.encode)


def test_ids_are_in_the_file_when_flushed(tmp_path):
    current = Counts(tmp_path)
    current.accept(b"a" * 16, "gmail")
    current.accept(b"", "gmail")
    current.flush()
    assert list(counts.read_ids(current.path)) == [b"a" * 16]
    assert (current.messages, current.unidentified) == (2, 1)
    current.close()


@given(st.lists(ids, max_size=30))
def test_repeats_are_told_as_counting_them_all_would(tmp_path_factory, given_ids):
    current = Counts(tmp_path_factory.mktemp("counts"))
    for mail_id in given_ids + given_ids[:3]:
        current.accept(mail_id, "other")
    current.close()
    plain = Counter(given_ids + given_ids[:3])
    repeated = {mail_id.decode(): times for mail_id, times in plain.items() if times > 1}
    assert counts.tally(current.path) == (len(plain), len(repeated))
    assert counts.duplicates(current.path) == repeated
