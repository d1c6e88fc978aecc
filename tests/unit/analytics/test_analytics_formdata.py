import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import formdata
from benchmarks.fuzz.running import limited

KIND = "multipart/form-data; boundary=mark"


def part(name: str, value: str, *, end: str = "\r\n") -> bytes:
    return end.join(("--mark", f'Content-Disposition: form-data; name="{name}"', "", value, "")).encode()


def test_the_values_of_a_form():
    body = part("a", "1") + part("b", "zwei, ünd\r\nmehr") + part("a", "3") + b"--mark--\r\n" + part("c", "behind")
    assert formdata.fields(KIND, body, 10) == {"a": "3", "b": "zwei, ünd\r\nmehr"}


@pytest.mark.parametrize(
    ("head", "name"),
    [
        ('Content-Disposition: form-data; name="token"', "token"),
        ("content-disposition:form-data;name=token", "token"),
        ('Content-Type: text/plain\r\nContent-Disposition: form-data; filename="x"; name="token"', "token"),
        ('Content-Disposition: form-data; filename="x"', None),
        ("X-Content-Disposition: form-data; name=token", None),
    ],
)
def test_how_a_part_may_be_named(head, name):
    body = f"--mark\r\n{head}\r\n\r\nvalue\r\n--mark--\r\n".encode()
    assert formdata.fields(KIND, body, 10) == ({name: "value"} if name else {})


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=mark",
        'multipart/form-data; boundary="mark"',
        "multipart/form-data; charset=utf-8; Boundary=mark",
    ],
)
def test_how_a_boundary_may_be_written(kind):
    assert formdata.fields(kind, part("a", "1", end="\n") + b"--mark--", 10) == {"a": "1"}


@pytest.mark.parametrize("kind", ["multipart/form-data", 'multipart/form-data; boundary=""', "", 'x; boundary=" "'])
def test_without_a_boundary_there_is_no_form(kind):
    assert formdata.fields(kind, part("a", "1"), 10) == {}


def test_more_parts_than_are_wanted_are_not_read():
    body = b"".join(part(f"{number}", "x") for number in range(50))
    assert list(formdata.fields(KIND, body, 3)) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ('multipart/form-data; boundarx="mark"' + 'k"k' * 20_000, part("a", "1")),
        ("multipart/form-data; boundary=" + "m" * 60_000, part("a", "1") * 1_000),
        ("multipart/form-data" + "; " * 30_000, part("a", "1")),
        (KIND, b"--mark\r\n" * 200_000),
        (KIND, b"\r\n" * 1_000_000),
        (KIND, b"--mark\r\nContent-Type: multipart/mixed; boundary=mark\r\n\r\n" * 30_000),
        (KIND, b"--mark\r\nContent-Disposition: form-data" + b"; name=" * 200_000),
    ],
    ids=range(7),
)
def test_a_bomb_is_read_in_bounded_time(kind, body):
    with limited(1.0):
        formdata.fields(kind, body, 500)


@given(
    st.text(max_size=30).map(lambda text: f"multipart/form-data; boundary={text}"),
    st.lists(
        st.sampled_from([b"--mark", b"\r\n", b"\n", b"--", b"content-disposition:", b"; name=", b'"', b"\xff", b"a"])
    ),
)
def test_whatever_is_posted_is_texts_or_nothing(kind, words):
    for given_kind in (kind, KIND):
        found = formdata.fields(given_kind, b"".join(words), 5)
        assert len(found) <= 5
        assert all(isinstance(text, str) for pair in found.items() for text in pair)
