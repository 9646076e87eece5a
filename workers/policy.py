"""The operator's rules as the communication and the HTTP performer take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.errors import SettingsError
from runtime.http import HttpPerformer, NetworkPolicy
from workers.settings import Settings

if TYPE_CHECKING:
    from runtime.communication import Limits
    from runtime.iml.javascript import FunctionLimits

#: A context with less does not open; a child process holds no more (its address space is limited).
MIN_FUNCTION_MEMORY, MAX_FUNCTION_MEMORY = 4 << 20, 256 << 20


def limits_of(settings: Settings) -> Limits:
    """Caps and switches of the communication from the settings."""
    from runtime.communication import Limits

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
        functions=function_limits(settings),
    )


def function_limits(settings: Settings) -> FunctionLimits:
    """
    Time and memory of custom functions from the settings (spec/iml.md 10).

    Raises:
        SettingsError: A value is out of range.
    """
    from runtime.iml.javascript import FunctionLimits

    default = FunctionLimits()
    memory = settings.option("function_memory_bytes", default.memory_bytes)
    if not MIN_FUNCTION_MEMORY <= memory <= MAX_FUNCTION_MEMORY:
        raise SettingsError(
            f"setting function_memory_bytes: {memory} is not between {MIN_FUNCTION_MEMORY} and {MAX_FUNCTION_MEMORY}"
        )
    characters = settings.option("function_result_characters", default.result_characters)
    if characters < 0:
        raise SettingsError(f"setting function_result_characters: {characters} is negative; 0 means no limit")
    return FunctionLimits(settings.duration("function_timeout_seconds", default.timeout), memory, characters)


def http_performer(settings: Settings) -> HttpPerformer:
    """The performer of requests under the operator's rules."""
    policy = NetworkPolicy(
        settings.allow_nets,
        max_response_bytes=settings.option("max_response_bytes", 100 << 20),
        allow_insecure_tls=settings.option("allow_insecure_tls", False),
    )
    return HttpPerformer(policy)
