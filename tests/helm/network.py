"""NetworkPolicies as a cluster would enforce them, for pods of one release and for the world outside."""

from typing import NamedTuple

from manifests import Manifest, of_kind, selects

WORLD = "world"
"""Whoever is no pod of the release: other namespaces and addresses outside."""


class Firewall(NamedTuple):
    policies: list[Manifest]
    labels: dict[str, dict[str, str]]
    """Of the pods, by component."""

    @classmethod
    def of(cls, documents: list[Manifest], labels: dict[str, dict[str, str]]) -> "Firewall":
        return cls(of_kind(documents, "NetworkPolicy"), labels)

    def allows(self, source: str, target: str, port: int) -> bool:
        """Both sides must agree. `port` is that of the target's pod."""
        leaves = source == WORLD or self._passes(source, "Egress", "to", target, port)
        return leaves and (target == WORLD or self._passes(target, "Ingress", "from", source, port))

    def _passes(self, component: str, way: str, key: str, other: str, port: int) -> bool:
        applying = [
            one["spec"]
            for one in self.policies
            if way in one["spec"]["policyTypes"]
            and selects(one["spec"]["podSelector"]["matchLabels"], self.labels[component])
        ]
        if not applying:
            return True
        rules = [rule for spec in applying for rule in spec.get(way.lower(), [])]
        return any(self._rule_lets(rule, key, other, port) for rule in rules)

    def _rule_lets(self, rule: Manifest, key: str, other: str, port: int) -> bool:
        ports = [one["port"] for one in rule.get("ports", [])]
        return (not ports or port in ports) and (key not in rule or any(self._is(peer, other) for peer in rule[key]))

    def _is(self, peer: Manifest, other: str) -> bool:
        if "ipBlock" in peer or "namespaceSelector" in peer:
            return other == WORLD or peer == {"namespaceSelector": {}}
        if other == WORLD:
            return False
        selector = peer["podSelector"]
        labels = self.labels[other]
        return selects(selector.get("matchLabels", {}), labels) and all(
            labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
        )
