"""
Custom webhooks: one request, one bundle (spec/scenarios.md 4.6).

`options` are those of the hook: `headers` and `addMethod` add what the request carried, `method` restricts it,
`stringify` passes the body on as text, `ip` lists the networks that may call.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

from runtime.communication.reading import decode
from runtime.logs import get_logger
from runtime.values import UNDEFINED, Buffer, Bundle
from runtime.webhooks.bodies import Form, content_type_of, form_of, guess_json, read_body
from runtime.webhooks.forms import parse_query
from runtime.webhooks.incoming import BadRequest, Incoming, Verdict, plain, refusal
from runtime.webhooks.structure import Structure, check

HEADERS: Final = "__IMTHEADERS__"
METHOD: Final = "__IMTMETHOD__"

log = get_logger(__name__)


def receive(
    incoming: Incoming, options: Mapping[str, Any], structure: Structure | None = None, *, timezone: str = "UTC"
) -> Verdict:
    """The verdict over one request: one item, or an answer that says why there is none. Never raises."""
    try:
        _allow(incoming, options)
        bundle = bundle_of(incoming, stringify=bool(options.get("stringify")))
        if structure:
            bundle = check(bundle, structure, timezone)
    except BadRequest as error:
        return refusal(error)
    except Exception as error:  # a fault of ours refuses this request, not the server
        log.error("webhook crashed", exc_info=error)
        return Verdict((), plain(500, "The request could not be processed."), f"crashed: {type(error).__name__}")
    if options.get("headers"):
        bundle[HEADERS] = [{"name": name, "value": value} for name, value in incoming.headers]
    if options.get("addMethod") or options.get("method") is True:
        bundle[METHOD] = incoming.method
    return Verdict((bundle,))


def _allow(incoming: Incoming, options: Mapping[str, Any]) -> None:
    networks = options.get("ip")
    if networks and not address_allowed(incoming.remote, networks):
        raise BadRequest("This address may not call the webhook.", 403)
    method = options.get("method")
    if isinstance(method, str) and method and method.lower() != "any" and incoming.method.upper() != method.upper():
        raise BadRequest(f"This webhook takes {method.upper()} requests only.", 405, (("allow", method.upper()),))


def address_allowed(remote: str, networks: Any) -> bool:
    """Whether an address is in one of these networks; one that cannot be read is in none."""
    try:
        address = ipaddress.ip_address(remote.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    for text in networks if isinstance(networks, (list, tuple)) else [networks]:
        try:
            network = ipaddress.ip_network(str(text).strip(), strict=False)
        except ValueError:
            continue
        if address.version == network.version and address in network:
            return True
    return False


def bundle_of(incoming: Incoming, *, stringify: bool = False) -> Bundle:
    """
    Query and body in one collection; the body wins.

    Raises:
        BadRequest: A form or XML is malformed, or there are too many values.
    """
    query = parse_query(incoming.query)
    if stringify:
        text = decode(incoming.body, content_type_of(incoming))
        return {**query, "value": text} if incoming.body else query
    return {**query, **_fields(incoming)}


def _fields(incoming: Incoming) -> Bundle:
    if not incoming.body:
        return {}
    content_type = content_type_of(incoming)
    try:
        value = read_body(incoming)
    except BadRequest as error:
        if form_of(content_type) is not Form.JSON or error.status != 400:
            raise
        # What cannot be parsed is still an event: its text.
        return {"value": decode(incoming.body, content_type)}
    if form_of(content_type) is Form.TEXT:
        found = guess_json(incoming.body)
        value = value if found is UNDEFINED else found
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        return {"array": value, "value": value}
    if isinstance(value, Buffer):
        return {"value": _text_or_bytes(value)}
    return {"value": value if isinstance(value, str) else decode(incoming.body, content_type).strip()}


def _text_or_bytes(buffer: Buffer) -> str | Buffer:
    try:
        return buffer.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return buffer
