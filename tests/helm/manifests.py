"""Manifests as tests look at them: what belongs to what."""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

Manifest = dict[str, Any]


class Pod(NamedTuple):
    """A pod as whoever owns it would make it."""

    owner: str
    """Kind and name."""
    name: str
    labels: Mapping[str, str]
    spec: Manifest

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for one in self.spec["containers"] for port in one.get("ports", [])}


def parse(text: str) -> list[Manifest]:
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def of_kind(documents: list[Manifest], *kinds: str) -> list[Manifest]:
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [one for one in of_kind(documents, kind) if one["metadata"]["name"] == name]
    return found


def pods(documents: list[Manifest]) -> Iterator[Pod]:
    """One for each owner, whatever its replicas."""
    for document in documents:
        kind, name, spec = document["kind"], document["metadata"]["name"], document.get("spec", {})
        owner = f"{kind} {name}"
        match kind:
            case "Pod":
                yield Pod(owner, name, document["metadata"]["labels"], spec)
            case "CronJob":
                template = spec["jobTemplate"]["spec"]["template"]
                yield Pod(owner, name, template["metadata"]["labels"], template["spec"])
            case "StatefulSet":
                yield Pod(owner, f"{name}-0", spec["template"]["metadata"]["labels"], spec["template"]["spec"])
            case "Deployment" | "Job":
                yield Pod(owner, name, spec["template"]["metadata"]["labels"], spec["template"]["spec"])


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def data_of(document: Manifest) -> dict[str, str]:
    """Keys and texts of a ConfigMap or Secret."""
    if document["kind"] == "ConfigMap":
        return document["data"]
    return {key: base64.b64decode(value).decode() for key, value in document["data"].items()}


def settings_file(documents: list[Manifest], name: str = "jetpost-config") -> str:
    return named(documents, "ConfigMap", name)["data"]["jetpost.toml"]


def quantity(text: str) -> float:
    """https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/"""
    number, unit = re.fullmatch(r"([\d.]+)(m|Mi|Gi|)", str(text)).groups()
    return float(number) * {"": 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30}[unit]
