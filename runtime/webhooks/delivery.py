"""
What tells one delivery of a webhook from the next, where a hook asks for it: an expression over the request.

Services that repeat a delivery send its id, mostly in a header: `{{headers.x-delivery-id}}`. Make has no such option;
the hook's option `dedupe` holds the expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.errors import ScenaristError
from runtime.iml import Environment, Place, compile_path
from runtime.values import UNDEFINED, Buffer, is_empty, to_text
from runtime.webhooks.bodies import read_body
from runtime.webhooks.forms import parse_query
from runtime.webhooks.incoming import BadRequest, Incoming

#: Longest key of a delivery; it is only compared.
MAX_KEY = 1024


def delivery_key(expression: object, incoming: Incoming, environment: Environment) -> str:
    """The key of this delivery, "" when there is none: it is then taken however often it comes. Never raises."""
    if not isinstance(expression, str) or not expression.strip():
        return ""
    template = compile_path(expression.strip(), place=Place(component="webhook", pointer="/dedupe"))
    try:
        value = template.render(_context(incoming, {reference.root for reference in template.references}), environment)
    except (ScenaristError, BadRequest, RecursionError):
        return ""
    if is_empty(value) or isinstance(value, (dict, list, Buffer)):
        return ""
    return to_text(value)[:MAX_KEY]


def _context(incoming: Incoming, roots: set[str]) -> Mapping[str, Any]:
    """Only what the expression reads: a body is parsed once more only for an expression over it."""
    context: dict[str, Any] = {"method": incoming.method}
    if "headers" in roots:
        context["headers"] = incoming.read_headers()
    if "query" in roots:
        context["query"] = parse_query(incoming.query)
    if "body" in roots:
        body = read_body(incoming)
        context |= {} if body is UNDEFINED else {"body": body}
    return context
