"""Every fault, in the order of the published table."""

from __future__ import annotations

from typing import Final

from benchmarks.chaos import faults, faults_cluster, faults_hosts, faults_smtp
from benchmarks.chaos.fault import Fault

FAULTS: Final[tuple[Fault, ...]] = (
    *faults.FAULTS,
    *faults_smtp.FAULTS,
    *faults_cluster.FAULTS,
    *faults_hosts.FAULTS,
)
