"""What tests of the chart share: helm, and the manifests of every example, rendered once."""

import pytest
from manifests import parse
from tools import EXAMPLES, NEWEST, Helm, find


class Rendered:
    """Manifests by example and version of Kubernetes."""

    def __init__(self, helm: Helm) -> None:
        self._helm = helm
        self._known: dict[tuple[str, str], list[dict]] = {}

    def documents(self, example: str, version: str = NEWEST) -> list[dict]:
        """For reading alone: the next test gets the same."""
        key = (example, version)
        if key not in self._known:
            values = Helm.chart / "examples" / f"{example}.yaml"
            self._known[key] = parse(self._helm.template("-f", values, "--kube-version", version))
        return self._known[key]


@pytest.fixture(scope="session")
def helm():
    return Helm(find("helm"))


@pytest.fixture(scope="session")
def rendered(helm):
    return Rendered(helm)


@pytest.fixture(params=EXAMPLES)
def example(request):
    return request.param


@pytest.fixture
def documents(rendered, example):
    """The manifests of each example in turn."""
    return rendered.documents(example)
