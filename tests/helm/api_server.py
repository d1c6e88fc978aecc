"""As much of Kubernetes' API as helm uses, in memory: discovery, and objects that are created, applied, read and deleted.

Manifests are held against the schemas of Kubernetes, unknown fields included, and the template of a Job cannot be changed, as
with a real server. Nothing runs.
"""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import kubernetes_schemas
import yaml
from protobuf_secret import PROTOBUF, secret_of

VERSION = "1.37"
KINDS = {
    "v1": {
        "configmaps": "ConfigMap",
        "pods": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
        "services": "Service",
    },
    "apps/v1": {"deployments": "Deployment", "statefulsets": "StatefulSet"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "batch/v1": {"cronjobs": "CronJob", "jobs": "Job"},
    "networking.k8s.io/v1": {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
}
"""By version and name in paths."""
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
IS_OBJECT = re.compile(r"/(?:api/(v1)|apis/([^/]+/[^/]+))/namespaces/([^/]+)/([a-z]+)(?:/([^/]+))?")
OF_HELM = "sh.helm.release."

Document = dict[str, Any]


class Refused(Exception):
    """The object is not as it must be."""


class Objects:
    """What is there, by kind and name."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], Document] = {}
        self._lock = threading.Lock()
        self._revision = 0

    def all_of(self, kind: str) -> list[Document]:
        return [document for (one, _), document in self._objects.items() if one == kind]

    def names(self, kind: str) -> list[str]:
        """Without those in which helm keeps its releases."""
        return sorted(name for one, name in self._objects if one == kind and not name.startswith(OF_HELM))

    def get(self, kind: str, name: str) -> Document | None:
        return self._objects.get((kind, name))

    def put(self, document: Document, namespace: str) -> Document:
        """Raises `Refused`."""
        name = document["metadata"]["name"]
        key = (document["kind"], name)
        if not name.startswith(OF_HELM):
            self._check(document, self._objects.get(key))
        with self._lock:
            self._revision += 1
            document["metadata"] |= {
                "namespace": namespace,
                "resourceVersion": str(self._revision),
                "uid": name,
                "creationTimestamp": "2027-01-01T00:00:00Z",
            }
            self._objects[key] = document
        return document

    def delete(self, kind: str, name: str) -> Document | None:
        return self._objects.pop((kind, name), None)

    @staticmethod
    def _check(document: Document, before: Document | None) -> None:
        try:
            kubernetes_schemas.validate(document, VERSION)
        except jsonschema.ValidationError as error:
            raise Refused(f"{document['kind']} {document['metadata']['name']}: {error.message}") from error
        if document["kind"] == "Job" and before and before["spec"]["template"] != document["spec"]["template"]:
            raise Refused(f"Job {document['metadata']['name']}: spec.template: field is immutable")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece
    objects: Objects

    def do_GET(self):
        path = urlsplit(self.path).path
        if (found := discovery(path)) is not None:
            self._say(HTTPStatus.OK, found)
            return
        kind, _, name = self._asked()
        if name:
            self._say_found(self.objects.get(kind, name))
        else:
            listed = {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": self.objects.all_of(kind)}
            self._say(HTTPStatus.OK, listed)

    def do_POST(self):
        kind, namespace, _ = self._asked()
        self._keep(kind, namespace)

    def do_PATCH(self):
        self.do_POST()

    def do_PUT(self):
        self.do_POST()

    def do_DELETE(self):
        self._read()
        kind, _, name = self._asked()
        self._say_found(self.objects.delete(kind, name))

    def _asked(self) -> tuple[str, str, str]:
        """Kind, namespace and name."""
        core, group, namespace, resource, name = IS_OBJECT.fullmatch(urlsplit(self.path).path).groups()
        return KINDS[core or group][resource], namespace, name or ""

    def _keep(self, kind: str, namespace: str) -> None:
        raw = self._read()
        document = secret_of(raw) if raw.startswith(PROTOBUF) else yaml.load(raw, yaml.CSafeLoader)
        try:
            self._say(HTTPStatus.CREATED, self.objects.put({"apiVersion": "v1", "kind": kind} | document, namespace))
        except Refused as error:
            self._fail(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", str(error))

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _say_found(self, document: Document | None) -> None:
        if document is None:
            self._fail(HTTPStatus.NOT_FOUND, "NotFound", f"{self.path} not found")
        else:
            self._say(HTTPStatus.OK, document)

    def _fail(self, status: HTTPStatus, reason: str, message: str) -> None:
        told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason}
        self._say(status, {**told, "message": message, "code": status.value})

    def _say(self, status: HTTPStatus, document: Document) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def discovery(path: str) -> Document | None:
    """What says what the server has; None for other paths."""
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if path == "/version":
        return {"major": "1", "minor": VERSION.partition(".")[2], "gitVersion": f"v{VERSION}.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(one) for one in KINDS if "/" in one]}
    if version in KINDS:
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": version,
            "resources": _resources(version),
        }
    return None


def _group(version: str) -> Document:
    name, _, number = version.partition("/")
    known = {"groupVersion": version, "version": number}
    return {"name": name, "versions": [known], "preferredVersion": known}


def _resources(version: str) -> list[Document]:
    kinds = KINDS[version].items()
    return [
        {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": VERBS}
        for name, kind in kinds
    ]


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, Objects]]:
    """The server's address, and what it has."""
    objects = Objects()
    handler = type("Bound", (Handler,), {"objects": objects})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", objects
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
