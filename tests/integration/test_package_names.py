"""The packages lie at the top level of the environment, under plain names: nothing else there may want the same."""

from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["events", "producer", "sender", "analytics", "jetpost"])
def test_a_package_name_is_ours_alone(name):
    others = set(packages_distributions().get(name, ())) - {"jetpost"}  # an editable installation lists no packages
    assert others == set()
    assert Path(import_module(name).__file__).parent == ROOT / name
