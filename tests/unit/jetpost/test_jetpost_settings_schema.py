"""The JSON schema of settings, held against the loader of settings."""

import json
import tomllib

import jsonschema
import pytest
from typer.testing import CliRunner

from jetpost import cli
from jetpost.settings import Settings, load
from jetpost.settings_schema import schema
from jetpost.settings_tree import leaves

GOOD = """
[nats]
replicas = 3
[sender]
stop_seconds = 12.5
[sender.pools.my-pool]
port = 587
tls = "starttls"
[sender.pools.my-pool.lanes.gmail]
rate = 10
[sender.dkim."mail.example.com"]
rsa_selector = "s1"
rsa_key_file = "/keys/rsa.pem"
[web]
allowed_hosts = ["a.example"]
[log]
level = "debug"
"""


def test_the_command_prints_it():
    assert json.loads(CliRunner().invoke(cli.app, ["config", "--schema"]).output) == schema(Settings)


def test_it_is_a_schema_and_names_every_setting():
    jsonschema.Draft202012Validator.check_schema(schema(Settings))
    assert json.dumps(schema(Settings)).count('"description"') == len(leaves(Settings))


def test_what_the_loader_takes_is_valid(tmp_path):
    file = tmp_path / "jetpost.toml"
    file.write_text(GOOD)
    load(file, {})
    jsonschema.validate(tomllib.loads(GOOD), schema(Settings))


@pytest.mark.parametrize(
    "text",
    [
        "[nats]\nreplica = 3",
        '[nats]\nreplicas = "3"',
        "[nats]\nreplicas = -1",
        "[sender.pools.My_Pool]\nport = 25",
        "[sender.pools.main]\nport = 70000",
        '[sender.pools.main]\ntls = "yes"',
        "[sender.pools.main.lanes.hotmail]\nrate = 10",
        '[sender.dkim."example"]\nrsa_selector = "s1"',
        '[web]\nallowed_hosts = "a.example"',
        "colour = 1",
    ],
)
def test_what_the_loader_refuses_is_not(text, tmp_path):
    file = tmp_path / "jetpost.toml"
    file.write_text(text)
    with pytest.raises(Exception, match=str(file)):
        load(file, {})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema(Settings))
