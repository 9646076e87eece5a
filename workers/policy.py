"""The operator's rules as the communication and the HTTP performer take them."""

from __future__ import annotations

from runtime.communication import Limits
from runtime.http import HttpPerformer, NetworkPolicy
from workers.settings import Settings


def limits_of(settings: Settings) -> Limits:
    """Caps and switches of the communication from the settings."""
    option = settings.option
    default = Limits()
    return Limits(
        max_requests=option("max_request_count", default.max_requests),
        max_pagination_requests=option("max_pagination_request_count", default.max_pagination_requests),
        max_records=option("max_past_records", default.max_records),
        max_request_bytes=option("max_request_bytes", default.max_request_bytes),
        repeat_max=option("repeat_max", 1000),
        allow_insecure_tls=option("allow_insecure_tls", False),
        qs_replaces_url_query=option("compat.qs_replaces_url_query", False),
        universal_same_host_only=option("universal_same_host_only", False),
    )


def http_performer(settings: Settings) -> HttpPerformer:
    """The performer of requests under the operator's rules."""
    policy = NetworkPolicy(
        settings.allow_nets,
        max_response_bytes=settings.option("max_response_bytes", 100 << 20),
        allow_insecure_tls=settings.option("allow_insecure_tls", False),
    )
    return HttpPerformer(policy)
