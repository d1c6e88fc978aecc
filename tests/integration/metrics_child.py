"""A process that exposes every metric of every component, each label set to its own name, until its standard input ends."""

import asyncio
import sys

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from jetpost import metrics, probes

KNOWN = {"failure_class": "block", "event": "complained", "result": "stated", "kind": "complaint", "reason": "past_due"}
"""What alerts ask for; `answer` and the rest are whatever they are called."""


def show(metric):
    """Give a metric a value, under labels where it has any."""
    names = metric._labelnames
    one = metric.labels(*[KNOWN.get(name, name) for name in names]) if names else metric
    if isinstance(one, Counter):
        one.inc(3)
    elif isinstance(one, Histogram):
        one.observe(0.5)
    elif isinstance(one, Gauge):
        one.set(2)


async def main():
    disable_created_metrics()
    for exposed in (*metrics.EXPOSED.values(), metrics.EVERYWHERE):
        for metric in exposed:
            show(metric)
    with probes.served("127.0.0.1", 0, metrics.registry(*metrics.EXPOSED), probes.Health()) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
