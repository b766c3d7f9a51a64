"""What metrics of different services share. A metric itself is declared beside its user, unit as suffix, no call id."""

from prometheus_client import Gauge

VOICE_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Of every latency that a caller can hear, so that stages can be compared."""

_build_info = Gauge("trunkline_build_info", "Always 1; says what runs here", ["service", "version"])


def announce_build(service: str, version: str) -> None:
    _build_info.labels(service=service, version=version).set(1)
