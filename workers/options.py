"""
Names of all settings that are no fields of `Settings`: what a specification names, and what an operator may tune.

`scenarist doctor` warns about others, since a mistyped setting does nothing. A test keeps this list complete.
"""

from __future__ import annotations

OPTIONS = (
    "allow_insecure_tls",
    "compat.qs_replaces_url_query",
    "connection_lease_seconds",
    "connections.pause_seconds",
    "connections.retry_on_401",
    "dlq_classes",
    "function_memory_bytes",
    "function_result_characters",
    "function_timeout_seconds",
    "gateway_host",
    "gateway_port",
    "hook_bodies_bytes",
    "hook_body_bytes",
    "hook_body_seconds",
    "hook_held",
    "hook_inactive",
    "hook_queue_max",
    "hook_rate",
    "hook_rate_seconds",
    "hook_wait_seconds",
    "hook_working",
    "incomplete_max_bytes",
    "incomplete_max_records",
    "leader_lease_seconds",
    "lease_seconds",
    "lost_after_seconds",
    "max_pagination_request_count",
    "max_past_records",
    "max_request_bytes",
    "max_request_count",
    "max_response_bytes",
    "metrics_host",
    "metrics_port",
    "notify_url",
    "oauth_loopback_port",
    "repeat_max",
    "run_time_seconds",
    "scenario_slots",
    "schedule_grace_seconds",
    "step_grace_seconds",
    "store_bytes",
    "tracing",
    "universal_same_host_only",
    "webhook_batch",
)
