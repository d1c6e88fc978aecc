"""Schemas of Kubernetes by version, as kubernetes-validate ships them. It reads the definitions, megabytes, again for every
manifest; here they are read once."""

import json
import re
from functools import cache
from importlib import resources

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

_FILES = resources.files("kubernetes_validate") / "kubernetes-json-schema"


def validate(document: dict, version: str) -> None:
    """Unknown fields are errors, too. Raises `jsonschema.ValidationError`."""
    _validator(document["apiVersion"], document["kind"], version).validate(document)


@cache
def _validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    group = re.sub(r"^([^./]*)(\.[^/]*)?/", r"\1-", api_version)
    schema = _read(version, f"{kind.lower()}-{group}")
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions(version))


@cache
def _definitions(version: str) -> Registry:
    return Resource.from_contents(_read(version, "_definitions")) @ Registry()


def _read(version: str, name: str) -> dict:
    return json.loads((_FILES / f"v{version}.0-local-strict" / f"{name}.json").read_text())
