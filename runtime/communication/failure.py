"""
Whether an answer is good, and the error that it is otherwise. Pure.

Source: spec/communication.md section 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

from runtime.communication.plan import FailurePlan, ResponsePlan
from runtime.errors import APP_ERROR_NAMES, ModuleError, module_error
from runtime.iml import Environment
from runtime.values import UNDEFINED, to_text, truthy

#: A message of the app longer than this is cut.
MAX_MESSAGE: Final = 4096
INVALID_RESPONSE: Final = "Response marked as invalid."
_RETRY_STATUSES: Final = frozenset({429, 503})


def find_failure(
    plan: ResponsePlan, status: int | None, context: Mapping[str, Any], environment: Environment
) -> ModuleError | None:
    """
    The error of an answer, None for a good one. `status` None means that there was no answer (request-less).

    Raises:
        ModuleError: An expression of `valid` or `error` failed.
    """
    if status is not None and status >= 400:
        return _failure(plan, FailurePlan(), status, _default_message(status), context, environment)
    if plan.valid is not None:
        good = truthy(plan.valid.evaluate(context, environment))
    else:
        good = status is None or status >= 200
    if good:
        return None
    return _failure(plan, plan.valid_failure, status, INVALID_RESPONSE, context, environment)


def _failure(
    plan: ResponsePlan,
    first: FailurePlan,
    status: int | None,
    default: str,
    context: Mapping[str, Any],
    environment: Environment,
) -> ModuleError:
    keyed = plan.failures.get(status, FailurePlan()) if status is not None else FailurePlan()
    sources = (first, keyed, plan.failure)
    message, type_name = "", ""
    for source in sources:
        if source.message is not None and not message:
            message = to_text(source.message.evaluate(context, environment))
    for source in sources:
        if source.type is not None and not type_name:
            type_name = to_text(source.type.evaluate(context, environment))
    if not type_name:
        type_name = _default_type(status)
    elif type_name not in APP_ERROR_NAMES:
        type_name = "RuntimeError"
    delay = retry_after(context.get("headers"), environment.now) if status in _RETRY_STATUSES else None
    return module_error(type_name, (message or default)[:MAX_MESSAGE], status_code=status, delay_ms=delay)


def _default_message(status: int) -> str:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown Status"
    return f"[{status}] {reason}"


def _default_type(status: int | None) -> str:
    if status == 429:
        return "RateLimitError"
    return "ConnectionError" if status is not None and 500 <= status <= 599 else "RuntimeError"


def retry_after(headers: Any, now: datetime) -> int | None:
    """The wait in milliseconds that `Retry-After` asks for, as seconds or as a date; None without a readable one."""
    value = headers.get("retry-after") if isinstance(headers, dict) else None
    if not isinstance(value, str):
        return None
    text = value.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return int(float(text) * 1000)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(int((date - now).total_seconds() * 1000), 0)


def is_nothing(value: object) -> bool:
    """True for outputs that mean "no output": undefined, null and false (spec/communication.md 18)."""
    return value is None or value is UNDEFINED or value is False
