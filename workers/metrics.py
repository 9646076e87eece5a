"""
Prometheus metrics in product words (docs/operating.md has the list).

What has the prefix `scenarist_` is of the whole installation and read from the ledger when it is asked for, so it is
the same at every process; what has `scenarist_process_`, `process_` or `python_` is of the process that answers.
Labels are fixed words: never an id, a name or an address.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from runtime.counters import Place
from workers.ledger.counters import Installation, Measures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: What a label may be, so that nothing that somebody wrote into the ledger by hand breaks the exposition.
_WORD: Final = re.compile(r"[a-z0-9_/-]{1,32}")


@dataclass(frozen=True, slots=True)
class CounterSpec:
    """A counter of the installation: its help, the names of its labels and the values that are shown from the start."""

    help: str
    labels: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


#: Every counter. Its metric is `scenarist_<name>_total`.
COUNTERS: Final[Mapping[str, CounterSpec]] = {
    "runs_accepted": CounterSpec("Runs that were accepted", ("kind",), ("manual",)),
    "runs_ended": CounterSpec("Runs that ended", ("status",), ("success", "warning", "error", "cancelled")),
    "runs_poisoned": CounterSpec("Runs that were given up after three workers in a row came to no checkpoint"),
    "lease_losses": CounterSpec("Leases that ran out: a worker died or was silent for too long"),
    "messages_resent": CounterSpec("Messages sent again for runs that no worker came for"),
    "incomplete_stored": CounterSpec("Incomplete executions that were stored"),
    "retries_started": CounterSpec("Retries of incomplete executions that were started"),
    "hook_events_accepted": CounterSpec("Events of webhooks that were stored"),
    "hook_events_dead": CounterSpec("Events that made their run fail and wait for a person"),
    "hook_events_refused": CounterSpec(
        "Requests to webhooks that were not stored: too many, queue full, seen before, gone",
        ("reason",),
        ("rate", "full", "seen", "gone"),
    ),
    "operations": CounterSpec("Operations of modules", ("status",), ("success", "error", "unknown")),
    "requests": CounterSpec(
        "Requests to services by class of their answer", ("status",), ("2xx", "3xx", "4xx", "5xx", "none")
    ),
    "renewals": CounterSpec("Renewals of connections", ("result",), ("ok", "failed", "unknown")),
    "secrets_masked": CounterSpec("Texts in logs, journals and errors in which a secret was masked"),
    "records_withheld": CounterSpec("Records that could not be redacted and were withheld"),
    "gateway_requests": CounterSpec("Requests to the gateway by class of its answer", ("status",), ("2xx", "4xx")),
}

#: How late the event loop of this process was when it was to wake up.
_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@cache
def loop_lag() -> Histogram:
    """By how much the event loop of this process is late (the gateway's)."""
    return Histogram(
        "scenarist_process_loop_lag_seconds",
        "How late the event loop of this process woke up",
        buckets=_LAG_BUCKETS,
        registry=None,
    )


@dataclass(frozen=True, slots=True)
class Metrics:
    """What `/metrics` of one process says. `role` is `gateway`, `scheduler`, `worker` or `up`."""

    #: Raises RedisError while the server has not been reached.
    installation: Callable[[], Installation]
    role: str
    #: What a caller has to show as `Authorization: Bearer`; empty: nothing.
    token: str = field(default="", repr=False)

    def allowed(self, authorization: str) -> bool:
        """Whether a caller with this header may read the metrics."""
        return not self.token or hmac.compare_digest(authorization.encode(), f"Bearer {self.token}".encode())

    def text(self) -> bytes:
        """The exposition in Prometheus' text format. Never raises: without the server it says `scenarist_up 0`."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self.installation, self.role))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        if self.role == "gateway":
            registry.register(loop_lag())
        GCCollector(registry=registry)
        return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, installation: Callable[[], Installation], role: str) -> None:
        self._installation, self._role = installation, role

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("scenarist_process_info", "This process", labels=["role", "version"])
        info.add_metric([self._role, version("scenarist")], 1)
        yield info
        try:
            installation = self._installation()
            counted, measured = installation.counters(), installation.measures()
        except RedisError:
            yield GaugeMetricFamily("scenarist_up", "Whether the ledger's server is reached", 0)
            return
        yield GaugeMetricFamily("scenarist_up", "Whether the ledger's server is reached", 1)
        yield from _counters(counted)
        yield from _gauges(measured)


def _counters(counted: Mapping[Place, int]) -> Iterator[Metric]:
    for name, spec in COUNTERS.items():
        family = CounterMetricFamily(f"scenarist_{name}", spec.help, labels=spec.labels)
        found: dict[tuple[str, ...], int] = {(value,): 0 for value in spec.values} if spec.labels else {(): 0}
        for place, number in counted.items():
            labels = place[1:]
            if place[0] == name and len(labels) == len(spec.labels) and all(map(_WORD.fullmatch, labels)):
                found[labels] = number
        for labels, number in sorted(found.items()):
            family.add_metric(labels, number)
        yield family


def _gauges(seen: Measures) -> Iterator[Metric]:
    runs = GaugeMetricFamily("scenarist_runs", "Runs that have not ended, by state", labels=["state"])
    for state, number in seen.runs.items():
        runs.add_metric([state], number)
    yield runs
    stored = GaugeMetricFamily("scenarist_incomplete_executions", "Open incomplete executions", labels=["status"])
    for status, number in seen.incompletes.items():
        stored.add_metric([status], number)
    yield stored
    for name, text, value in (
        ("runs_waiting", "Accepted runs that no worker has taken yet", seen.waiting),
        ("oldest_waiting_run_age_seconds", "Age of the oldest run that no worker has taken yet", seen.oldest_waiting),
        ("oldest_ended_lease_age_seconds", "Time since the oldest lease ended without a take-over", seen.oldest_lease),
        ("hooks", "Webhooks", seen.hooks),
        ("hook_events_waiting", "Events of webhooks that no run has taken", seen.events),
        ("oldest_hook_event_age_seconds", "Age of the oldest event that no run has taken", seen.oldest_event),
        ("scheduler_leading", "Whether a scheduler process leads", int(seen.leading)),
        ("scheduler_lateness_seconds", "By how much the oldest wake-up or retry is overdue", seen.lateness),
        ("workers", "Worker processes that gave a sign of life lately", seen.workers),
        ("history_bytes", "What ended runs hold", seen.history_bytes),
        ("server_memory_bytes", "Memory that the ledger's server uses", seen.memory_bytes),
    ):
        yield GaugeMetricFamily(f"scenarist_{name}", text, value)
