"""What the chart's schema says of `config`: all settings, without what the chart decides by itself and without secrets.

`python tests/helm/config_schema.py` writes it into the chart; a test holds that it was.
"""

import json
from pathlib import Path

from jetpost.settings import Settings
from jetpost.settings_schema import schema
from jetpost.settings_tree import ANY, leaves

FILE = Path(__file__).parents[2] / "helm" / "values.schema.json"

DECIDED = {
    "nats.url": "set nats.external.url in place of config.nats.url",
    "nats.user": "set nats.external.auth in place of config.nats.user",
    "nats.credentials_file": "set nats.external.credentialsSecret in place of config.nats.credentials_file",
    "nats.ca_file": "set nats.external.caSecret or nats.tls in place of config.nats.ca_file",
    "analytics.clickhouse.url": "set clickhouse.external in place of config.analytics.clickhouse.url",
    "web.serve": "set public.enabled in place of config.web.serve",
}
"""What the chart decides. A constant is how a schema says a sentence."""
SECRETS = {
    "nats.password": "give it in the Secret of nats.external.passwordSecret or secrets.existingSecret",
    "producer.link_secret": "give it in the Secret of secrets.existingSecret",
    "web.link_secret": "give it in the Secret of secrets.existingSecret",
    "web.api_token": "give it in the Secret of secrets.existingSecret",
}
OTHER_SECRET = "give it in a Secret, named by secrets.settings"


def made() -> dict:
    settings = schema(Settings)
    del settings["$schema"]
    for leaf in leaves(Settings):
        sentence = DECIDED.get(leaf.key) or (SECRETS.get(leaf.key, OTHER_SECRET) if leaf.secret else "")
        if sentence:
            node = settings
            for part in leaf.path[:-1]:
                node = next(iter(node["patternProperties"].values())) if part == ANY else node["properties"][part]
            node["properties"][leaf.path[-1]] = {"const": sentence}
    return settings


def with_config(text: str) -> str:
    """The chart's schema, with what it says of `config` as of now."""
    document = json.loads(text)
    document["definitions"]["config"] = made()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(with_config(FILE.read_text("utf-8")), "utf-8")
