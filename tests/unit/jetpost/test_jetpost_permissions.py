"""`jetpost permissions`: what nats-server is to include, and the same for programs."""

import json
import re

import pytest
from typer.testing import CliRunner

from events.permissions import COMPONENTS
from jetpost import cli, nats_accounts
from jetpost.errors import Fault


def printed(*arguments):
    result = CliRunner().invoke(cli.app, ["permissions", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_every_user_has_a_password_from_the_environment():
    text = printed()
    named = dict(re.findall(r"user: (\w+), password: \$(\w+)", text))
    assert named == {name: f"NATS_PASSWORD_{name.upper()}" for name in (*(one.name for one in COMPONENTS), "sys")}
    assert all(f"{variable}" in text.splitlines()[1] for variable in named.values())
    assert "max_file: $NATS_MAX_FILE" in text
    assert "no_auth_user" not in text


def test_the_size_of_the_store_may_be_said():
    text = printed("--max-file", "200G")
    assert "max_file: 200G" in text
    assert "NATS_MAX_FILE" not in text


@pytest.mark.parametrize("size", ["lots", "20 GB", "-1", "1.5T", "$HOME"])
def test_a_size_that_nats_server_does_not_know_is_refused(size):
    result = CliRunner().invoke(cli.app, ["permissions", "--max-file", size])
    assert isinstance(result.exception, Fault)
    assert f"--max-file {size!r} is no size" in str(result.exception)


def test_programs_get_the_same():
    found = json.loads(printed("--format", "json"))
    assert list(found["users"]) == [one.name for one in COMPONENTS]
    sender, public = found["users"]["sender"], found["users"]["public"]
    assert (sender["account"], sender["password_variable"]) == ("jetpost", "NATS_PASSWORD_SENDER")
    assert f"{sender['inbox_prefix']}.>" in sender["subscribe"]
    (exported,) = [one for one in found["exports"] if one["to"] == public["account"]]
    assert exported["services"] == public["publish"]
    assert exported["account"] == "jetpost"


def test_what_is_asked_for_with_many_answers_is_exported_so():
    lines = [line for line in printed().splitlines() if "service:" in line and "accounts:" in line]
    marked = {re.search(r'"(.+)"', line)[1] for line in lines if "response_type: stream" in line}
    assert marked == {f"$JS.API.DIRECT.GET.{name}" for name in ("KV_campaigns", "KV_preferences", "OBJ_links")}


def test_a_web_app_that_ingests_is_one_user():
    users = json.loads(printed("--format", "json", "--with-ingester"))["users"]
    assert "ingester" not in users
    assert "$JS.API.CONSUMER.MSG.NEXT.EVENTS.ingester" in users["web"]["publish"]


def test_subjects_with_a_dollar_are_quoted():
    """Without quotes nats-server would look for a variable of that name."""
    bare = re.sub(r'"[^"]*"', "", nats_accounts.configuration())
    assert set(re.findall(r"\$\w+", bare)) == {f"${name}" for name in re.findall(r"\bNATS_\w+", bare)}
