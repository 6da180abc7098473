"""Prometheus metrics of this process: one registry, declared where they are counted, served by every role at /metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def counter(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Counter:
    """A counter in our registry."""
    return Counter(name, help_text, labels, registry=REGISTRY)


def gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> Gauge:
    """A gauge in our registry."""
    return Gauge(name, help_text, labels, registry=REGISTRY)


def histogram(
    name: str, help_text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
) -> Histogram:
    """A histogram in our registry; `buckets` are upper bounds in the unit that `name` ends with."""
    return Histogram(name, help_text, labels, buckets=buckets, registry=REGISTRY)


def counted(metric: Counter, **labels: str) -> float:
    """What a counter of ours has counted, over all of its labels or those that are named."""
    return sum(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and labels.items() <= sample.labels.items()
    )


def summed(metric: Histogram) -> tuple[float, int]:
    """The sum and the number of what a histogram of ours has seen."""
    samples = [sample for family in metric.collect() for sample in family.samples]
    total = sum(sample.value for sample in samples if sample.name.endswith("_sum"))
    return total, int(sum(sample.value for sample in samples if sample.name.endswith("_count")))


def render() -> bytes:
    """The registry in Prometheus' text format."""
    return generate_latest(REGISTRY)
