import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.web.public import forms

ENCODED = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("kind", "body", "wish"),
    [
        (ENCODED, b"List-Unsubscribe=One-Click", "one-click"),
        (f"{ENCODED}; charset=UTF-8", b"List-Unsubscribe=One-Click", "one-click"),
        (ENCODED.upper(), b"List%2DUnsubscribe=One%2DClick", "one-click"),
        (ENCODED, b"do=list", "list"),
        (ENCODED, b"do=nothing", None),
        (ENCODED, b"list-unsubscribe=one-click", None),
        ("text/plain", b"List-Unsubscribe=One-Click", None),
        ("", b"List-Unsubscribe=One-Click", None),
        (
            'multipart/form-data; boundary="b"',
            b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n',
            "one-click",
        ),
        ("multipart/form-data", b"--b\r\n\r\n--b--", None),
    ],
)
def test_what_a_form_wishes(kind, body, wish):
    assert forms.wish(kind, body) == wish


@given(
    st.sampled_from([ENCODED, "multipart/form-data; boundary=b", "multipart/form-data; boundary=\xe9\r\n"]),
    st.binary(max_size=300),
)
def test_whatever_is_posted_is_a_wish_or_none(kind, body):
    assert forms.wish(kind, body) in {None, "one-click", "list", "all", "again", "untrack", "track"}
