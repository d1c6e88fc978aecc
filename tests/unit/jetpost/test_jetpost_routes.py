import pytest

from jetpost.cli.routes import parse
from jetpost.errors import Fault

POOLS = {"main", "backup"}


def test_routes_as_they_are_written():
    assert parse([], POOLS) == {}
    assert parse(["gmail=main,backup", "other=backup"], POOLS) == {"gmail": ("main", "backup"), "other": ("backup",)}
    assert set(parse(["all=backup"], POOLS).values()) == {("backup",)}
    assert parse(["all=backup", "gmail=main"], POOLS)["gmail"] == ("main",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("gmail", "write it as gmail=main"),
        ("gmail=", "write it as gmail=main"),
        ("gmial=main", "no mailbox provider"),
        ("gmail=maim", "there is no pool 'maim'; the settings have backup, main"),
    ],
)
def test_what_cannot_be_a_route(change, says):
    with pytest.raises(Fault, match=says):
        parse([change], POOLS)
