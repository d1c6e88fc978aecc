"""What we use of resources that Kubernetes does not know by itself, as schemas of their `spec`: from the definitions that KEDA
(keda.sh/docs, ScaledObject and metrics-api), the Gateway API (gateway-api.sigs.k8s.io, HTTPRoute), cert-manager (Certificate)
and the Prometheus operator (PodMonitor, PrometheusRule) publish. What is not here is not used."""

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION: Schema = {"type": "string", "pattern": r"^\d+(ms|s|m|h)$"}


def struct(required: dict[str, Schema], **optional: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def whole(minimum: int = 0) -> Schema:
    return {"type": "integer", "minimum": minimum}


def many(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


SCALED_OBJECT = struct(
    {
        "scaleTargetRef": struct({"name": TEXT}),
        "triggers": many(
            struct(
                {
                    "type": {"const": "metrics-api"},
                    "metricType": {"enum": ["AverageValue", "Value"]},
                    "metadata": struct(
                        {
                            "url": {"type": "string", "pattern": "^https?://"},
                            "valueLocation": TEXT,
                            "targetValue": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
                        },
                        format={"enum": ["json", "xml", "yaml", "prometheus"]},
                    ),
                }
            )
        ),
    },
    minReplicaCount=whole(),
    maxReplicaCount=whole(1),
    pollingInterval=whole(1),
    cooldownPeriod=whole(),
    advanced=struct(
        {
            "horizontalPodAutoscalerConfig": struct(
                {"behavior": struct({"scaleDown": struct({"stabilizationWindowSeconds": whole()})})}
            )
        }
    ),
)
HTTP_ROUTE = struct(
    {
        "parentRefs": many(struct({"name": TEXT}, namespace=TEXT, sectionName=TEXT)),
        "rules": many(
            struct(
                {
                    "matches": many(
                        struct({"path": struct({"type": {"const": "PathPrefix"}, "value": {"const": "/"}})})
                    ),
                    "backendRefs": many(struct({"name": TEXT, "port": whole(1)})),
                }
            )
        ),
    },
    hostnames=many({"type": "string", "pattern": r"^(\*\.)?[a-z0-9.-]+$"}),
)
CERTIFICATE = struct(
    {
        "secretName": TEXT,
        "issuerRef": struct({"name": TEXT}, kind=TEXT, group=TEXT),
        "dnsNames": many(TEXT),
    },
    duration=DURATION,
    usages=many({"enum": ["server auth", "client auth"]}),
    privateKey=struct(
        {"algorithm": {"const": "ECDSA"}, "size": {"enum": [256, 384, 521]}},
        rotationPolicy={"enum": ["Never", "Always"]},
    ),
)
POD_MONITOR = struct(
    {
        "selector": struct({"matchLabels": LABELS}, matchExpressions=many({"type": "object"})),
        "podMetricsEndpoints": many(struct({"port": TEXT}, path=TEXT, interval=DURATION)),
    }
)
RULE = struct(
    {"expr": TEXT},
    alert=TEXT,
    record=TEXT,
    **{"for": DURATION, "keep_firing_for": DURATION},
    labels=LABELS,
    annotations=LABELS,
)
PROMETHEUS_RULE = struct({"groups": many(struct({"name": TEXT, "rules": many(RULE)}, interval=DURATION))})

SCHEMAS: dict[tuple[str, str], Schema] = {
    ("keda.sh/v1alpha1", "ScaledObject"): SCALED_OBJECT,
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): HTTP_ROUTE,
    ("cert-manager.io/v1", "Certificate"): CERTIFICATE,
    ("monitoring.coreos.com/v1", "PodMonitor"): POD_MONITOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PROMETHEUS_RULE,
}
