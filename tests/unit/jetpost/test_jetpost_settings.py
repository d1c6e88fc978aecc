"""Settings from file and environment."""

import pathlib
import re
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace

from jetpost.errors import SettingsInvalid
from jetpost.settings import Settings, display, load, to_environment
from jetpost.settings_sources import _match_variable, build, from_environment, from_file
from jetpost.settings_tree import NAMES, field_docs, leaves, type_name, variable_of
from sender.settings import DOMAIN_PATTERN, DkimKeys, Relay
from sender.throttle.limits import Limits

DOMAIN = re.compile(DOMAIN_PATTERN)
SECRET = "tr0ub4dor"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No `jetpost.toml` of the working directory gets into a test."""
    monkeypatch.chdir(tmp_path)


def from_toml(text: str) -> Settings:
    file = pathlib.Path("settings.toml")
    file.write_text(text)
    return load(file, {}).settings


def problems_of(text: str = "", environment: dict[str, str] | None = None) -> list[str]:
    file = pathlib.Path("settings.toml")
    file.write_text(text)
    with pytest.raises(SettingsInvalid) as caught:
        load(file, environment or {})
    return str(caught.value).splitlines()


def test_nothing_set_is_every_default():
    assert load(None, {}).settings == Settings()


def test_the_environment_wins_over_the_file_and_both_are_named_as_origins(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('[web]\nport = 1\nhost = "::1"')
    found = load(file, {"JETPOST_WEB_PORT": "2"})
    assert (found.settings.web.port, found.settings.web.host) == (2, "::1")
    assert found.origins == {("web", "port"): "environment", ("web", "host"): str(file)}


def test_jetpost_toml_in_the_working_directory_is_read():
    pathlib.Path("jetpost.toml").write_text("[web]\nport = 7")
    assert load(None, {}).settings.web.port == 7


def test_the_file_may_be_named_by_the_environment(tmp_path):
    (tmp_path / "other.toml").write_text("[web]\nport = 8")
    assert load(None, {"JETPOST_CONFIG": "other.toml"}).settings.web.port == 8


def test_pools_are_tables_and_replace_the_default_pool():
    pools = from_toml('[sender.pools.bulk]\nhost = "mx"\n[sender.pools.news-2]\nport = 26').sender.pools
    assert pools == {"bulk": Relay(host="mx"), "news-2": Relay(port=26)}


def test_an_empty_table_is_a_pool_with_defaults():
    assert from_toml("[sender.pools.spare]\n[web]").sender.pools == {"spare": Relay()}


def test_a_pool_of_the_file_gets_its_password_from_the_environment():
    pathlib.Path("jetpost.toml").write_text('[sender.pools.my-pool]\nhost = "mx"')
    found = load(None, {"JETPOST_SENDER_POOLS_MY_POOL_PASSWORD": SECRET})
    assert found.settings.sender.pools == {"my-pool": Relay(host="mx", password=SECRET)}


def test_domains_are_names_with_dots():
    pathlib.Path("jetpost.toml").write_text('[sender.dkim."news.my-shop.example"]\nrsa_selector = "s"')
    found = load(None, {"JETPOST_SENDER_DKIM_NEWS___MY_SHOP___EXAMPLE_RSA_PRIVATE_KEY": SECRET})
    keys = DkimKeys(rsa_selector="s", rsa_private_key=SECRET)
    assert found.settings.sender.dkim == {"news.my-shop.example": keys}
    assert SECRET not in repr(keys)


@pytest.mark.parametrize("name", ["Example.com", "com", "a..com", "-a.com", "a---b.com", "bücher.example", "a_b.com"])
def test_a_name_that_is_no_domain_is_refused_where_one_is_wanted(name):
    (problem,) = problems_of(f'[sender.dkim."{name}"]\nrsa_selector = "s"')
    assert f"the name {name!r} must be a domain in lower case" in problem


def test_a_variable_with_too_few_underscores_between_labels_is_explained():
    (problem,) = problems_of(environment={"JETPOST_SENDER_DKIM_EXAMPLE_COM_RSA_SELECTOR": "s"})
    assert problem.endswith("in a variable a dot is ___")


@pytest.mark.parametrize("name", ["My", "a_b", '"a.b"', '"a b"', "x" * 33, '""'])
def test_a_pool_name_that_cannot_be_a_subject_is_refused(name):
    (problem,) = problems_of(f"[sender.pools.{name}]\nport = 1")
    assert "must be 1 to 32 of a-z, 0-9 and -" in problem


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[nats]\nurls = 1", "nats.urls is not a setting; did you mean nats.url?"),
        ('nats = "x"', "nats is not a setting; did you mean nats.url?"),
        ('level = "debug"', "level is not a setting; did you mean log.level?"),
        ("[nat]", "nat is not a setting"),
        ("[sender.pools.main]\nhots = 1", "did you mean sender.pools.main.host?"),
        ("zzzzzz = 1", "`jetpost config --explain` lists them"),
        ('[web]\nport = "80"', "web.port must be integer, not '80'"),
        ("[web]\nport = 70000", "web.port must be a port, up to 65535, not 70000"),
        ("[web]\nport = true", "web.port must be integer, not True"),
        ("[analytics]\nbatch_rows = -1", "analytics.batch_rows must be 0 or more, not -1"),
        ("[analytics]\nbatch_age_seconds = nan", "must be 0 or more, not nan"),
        ('[log]\nlevel = "loud"', "log.level must be one of debug, info, warning, error, not 'loud'"),
        ("[log.level]\nx = 1", "log.level must be one of"),
        ("[web]\nallowed_hosts = [1]", "web.allowed_hosts must be list of text, not [1]"),
        ("= 1", "is not valid TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_remedy(toml, said):
    (problem,) = problems_of(toml)
    assert said in problem
    assert problem.startswith("settings.toml")


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("JETPOST_WEB_PROT", "1", "did you mean JETPOST_WEB_PORT?"),
        ("JETPOST_SENDER_POOLS_A_HOTS", "1", "did you mean JETPOST_SENDER_POOLS_NAME_HOST?"),
        ("JETPOST_WEB_PORT", "", "web.port must be integer"),
        ("JETPOST_WEB_ALLOWED_HOSTS", "[1,", "web.allowed_hosts must be list of text"),
        ("JETPOST_SENDER_POOLS_" + "A" * 33 + "_PORT", "1", "must be 1 to 32 of"),
        ("JETPOST_SENDER_POOLS_A_VERIFY", "maybe", "sender.pools.a.verify must be true or false, not 'maybe'"),
    ],
)
def test_what_is_wrong_in_the_environment_is_said_with_its_remedy(variable, text, said):
    (problem,) = problems_of(environment={variable: text})
    assert said in problem
    assert problem.startswith("environment: ")


def test_everything_wrong_is_reported_at_once():
    problems = problems_of("[web]\nport = -1\nhots = 1", {"JETPOST_NATS_REPLICAS": "x", "JETPOST_NOPE": ""})
    assert len(problems) == 4


def test_variables_of_kubernetes_services_are_explained():
    problems = problems_of(
        environment={"JETPOST_WEB_PORT": "tcp://10.0.0.1:8080", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    )
    assert "enableServiceLinks: false" in problems[-1]


def test_variables_of_others_and_of_supervision_are_left_alone():
    environment = {"JETPOSTX": "1", "PATH": "", "JETPOST_READY_FD": "3", "JETPOST_LIFELINE_FD": "4"}
    assert load(None, environment).settings == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "read"),
    [
        ("WEB_ALLOWED_HOSTS", "a.example, b.example", ("a.example", "b.example")),
        ("WEB_ALLOWED_HOSTS", '["a.example"]', ("a.example",)),
        ("WEB_ALLOWED_HOSTS", "", ()),
    ],
)
def test_lists_in_the_environment(variable, text, read):
    assert load(None, {f"JETPOST_{variable}": text}).settings.web.allowed_hosts == read


@pytest.mark.parametrize(("text", "read"), [("true", True), ("1", True), ("False", False), ("0", False)])
def test_truth_in_the_environment(text, read):
    assert load(None, {"JETPOST_SENDER_POOLS_A_PIPELINING": text}).settings.sender.pools["a"].pipelining is read


def test_an_optional_setting_is_unset_by_nothing_and_knows_home():
    assert load(None, {"JETPOST_PRODUCER_REJECTS_DIR": ""}).settings.producer.rejects_dir is None
    found = load(None, {"JETPOST_PRODUCER_REJECTS_DIR": "~/rejects"}).settings
    assert found.producer.rejects_dir == pathlib.Path.home() / "rejects"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    file = tmp_path / "missing.toml"
    if content:
        file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=r"missing\.toml: (cannot be read|is not valid TOML)"):
        load(file, {})


def test_a_folder_in_place_of_a_file_is_said(tmp_path):
    with pytest.raises(SettingsInvalid, match="cannot be read: Is a directory"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("toml", "environment"),
    [
        (f'[nats]\npassword = ["{SECRET}"]', {}),
        (f'[sender.pools.a]\npassword = {{x = "{SECRET}"}}', {}),
        (f'[nats]\nurl = ["nats://me:{SECRET}@host"]', {}),
        ("", {"JETPOST_ANALYTICS_BATCH_ROWS": f"http://me:{SECRET}@host"}),
    ],
)
def test_no_error_shows_a_secret(toml, environment):
    assert SECRET not in "\n".join(problems_of(toml, environment))


def test_no_representation_shows_a_secret():
    settings = from_toml(
        f'[nats]\nurl = "nats://me:{SECRET}@a,nats://{SECRET}@b"\npassword = "{SECRET}"\n'
        f'[analytics.clickhouse]\nurl = "http://me:{SECRET}@host:8123/db"\n[web]\napi_token = "{SECRET}"\n'
        f'[producer]\nlink_secret = "{SECRET}"\n[sender.pools.a]\npassword = "{SECRET}"'
    )
    assert SECRET not in repr(settings)
    assert SECRET not in repr(load(None, to_environment(settings)))
    assert "host:8123/db" in repr(settings)


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (("nats", "password"), SECRET, "(set, not shown)"),
        (("nats", "password"), "", "(not set)"),
        (("nats", "url"), "nats://u:p@ss@h1:1,nats://tok@h2", "nats://***@h1:1,nats://***@h2"),
        (("analytics", "clickhouse", "url"), "chdb:///home/me@work/x", "chdb:///home/me@work/x"),
        (
            ("producer", "databases", "crm", "url"),
            "postgresql://h/x?password=p&a=b",
            "postgresql://h/x?password=***&a=b",
        ),
        (("data_dir",), pathlib.Path("x"), "x"),
        (("web", "allowed_hosts"), ("a", "b"), ("a", "b")),
    ],
)
def test_values_are_shown_without_secrets(path, value, shown):
    assert display(path, value) == shown


def test_a_child_process_gets_the_same_settings_even_those_equal_to_defaults():
    settings = from_toml("[sender.pools.default]\n[sender.pools.my-pool]\n[web]\nallowed_hosts = ['a,b']")
    assert load(None, to_environment(settings)).settings == settings


_texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)


@hypothesis_settings(deadline=None)
@given(
    names=st.sets(st.from_regex(NAMES, fullmatch=True), min_size=1, max_size=4),
    domains=st.sets(st.from_regex(DOMAIN, fullmatch=True).filter(DOMAIN.fullmatch), max_size=3),
    text=_texts,
    hosts=st.lists(_texts, max_size=3),
    number=st.floats(0, 1e9),
    truth=st.booleans(),
)
def test_settings_survive_the_way_through_an_environment(names, domains, text, hosts, number, truth):
    relay = Relay(host=text, password=text, verify=truth, connect_timeout_seconds=number)
    settings = Settings()
    keys = DkimKeys(rsa_selector=text, ed25519_private_key=text)
    pools, dkim = dict.fromkeys(names, relay), dict.fromkeys(domains, keys)
    settings = replace(settings, sender=replace(settings.sender, pools=pools, dkim=dkim))
    settings = replace(settings, web=replace(settings.web, allowed_hosts=tuple(hosts)))
    assert load(pathlib.Path("/dev/null"), to_environment(settings)).settings == settings


def test_every_setting_is_explained():
    assert [leaf.key for leaf in leaves(Settings) if not leaf.doc] == []


def named(path, pool):
    """A setting's path, with a pool's name, and gmail for a mailbox provider."""
    names = iter([pool, "gmail"])
    return tuple(next(names) if part == "*" else part for part in path)


def test_no_variable_means_two_settings():
    """A pool's name may contain what is another setting's name."""
    pools = ("main", "limits", "main-limits", "lanes-gmail", "main-lanes-gmail", "main-lanes-gmail-limits")
    known = leaves(Settings)
    paths = {named(leaf.path, pool) for leaf in known if "pools" in leaf.path for pool in pools}
    assert {path for path in paths if _match_variable(known, variable_of(path))[1] != path} == set()


class Inner(msgspec.Struct, frozen=True):
    needed: int
    """Said in
    two lines."""
    several: list[int] = []


class Outer(msgspec.Struct, frozen=True):
    inner: Inner


def test_a_setting_without_default_must_be_set():
    with pytest.raises(SettingsInvalid, match=r"inner\.needed must be set"):
        build(Outer, {})
    values = from_environment(Outer, {"JETPOST_INNER_NEEDED": "3", "JETPOST_INNER_SEVERAL": "1, 2"}, ())
    assert build(Outer, values) == Outer(Inner(3, [1, 2]))
    assert from_file(Outer, pathlib.Path("/dev/null")) == {}


def test_explanations_are_the_strings_under_fields():
    assert field_docs(Inner) == {"needed": "Said in two lines."}


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (str, "text"),
        (Annotated[int, msgspec.Meta(ge=1)], "integer"),
        (pathlib.Path | None, "path"),
        (int | str, "integer or text"),
        (Literal["a", "b"], "one of a, b"),
        (tuple[str, ...], "list of text"),
        (bool, "true or false"),
    ],
)
def test_types_are_named_for_people(annotation, name):
    assert type_name(annotation) == name


class Bounded(msgspec.Struct, frozen=True):
    workers: Annotated[int, msgspec.Meta(ge=1)] = 1


def test_bounds_that_a_struct_declares_hold():
    with pytest.raises(SettingsInvalid, match=r"workers must be integer \(Expected `int` >= 1\), not '0'"):
        from_environment(Bounded, {"JETPOST_WORKERS": "0"}, ())


def test_limits_of_a_pool_and_of_its_lanes():
    environment = {
        "JETPOST_SENDER_POOLS_MAIN_LIMITS_DAILY": "50000",
        "JETPOST_SENDER_POOLS_MAIN_LANES_GMAIL_RATE": "20",
    }
    relay = load(None, environment).settings.sender.pools["main"]
    assert relay == Relay(limits=Limits(daily=50_000), lanes={"gmail": Limits(rate=20)})


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("LANES_GOOGLE_RATE", "5", "the name 'google' must be one of gmail, microsoft"),
        ("LANES_GMAIL_RATE", "0", "sender.pools.main.lanes.gmail: rate must be more than 0 mails/s"),
        ("LIMITS_BURST", "5", "burst needs a rate"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(setting, value, problem):
    with pytest.raises(SettingsInvalid, match=re.escape(problem)):
        load(None, {f"JETPOST_SENDER_POOLS_MAIN_{setting}": value})
