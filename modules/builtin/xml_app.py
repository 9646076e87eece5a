"""The app `xml` (spec/scenarios.md 4.10): attributes in `_attributes`, text beside them in `_value`."""

from __future__ import annotations

import re
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr  # both only write; nothing is parsed with them

from modules.builtin.job import Builtin, BuiltinJob, field, invalid, pure
from modules.builtin.structures import given, plain, source_text
from runtime.communication.xml import XmlError, parse_xml
from runtime.values import UNDEFINED, Bundle, to_text

_NAME: Final = re.compile(r"[A-Za-z_\u00c0-\uffff][\w.\-:\u00c0-\uffff]*")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def parse(job: BuiltinJob) -> list[Bundle]:
    """Parse XML: `{<root>: ...}`; a repeated element is an array, a single one a value."""
    try:
        value = parse_xml(source_text(job, "xml"))
    except XmlError as error:
        raise invalid(f"Source is not valid XML: {error}.") from None
    if job.config.get("alwaysArray", UNDEFINED) is True:
        return [value]
    # Numbers stay text, unless the setting that preserves them is there and off.
    numbers = job.config.get("preserveNumbersAsText", UNDEFINED) is False
    return [{name: _single(child, numbers) for name, child in value.items()}]


def _single(value: Any, numbers: bool) -> Any:
    if isinstance(value, str):
        return _number(value) if numbers and _NUMBER.fullmatch(value) else value
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for name, member in value.items():
        if isinstance(member, list):
            children = [_single(child, numbers) for child in member]
            found[name] = children[0] if len(children) == 1 else children
        else:
            found[name] = member if name == "_attributes" else _single(member, numbers)
    return found


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def transform(job: BuiltinJob) -> list[Bundle]:
    """Create XML from the mapped fields, below one root element."""
    root = to_text(job.config.get("rootName", "")) or to_text(job.config.get("root", "")) or "root"
    own = {"rootName", "root", "omitDeclaration", "doctypePublicId", "doctypeSystemId", "type"}
    content = {name: plain(value) for name, value in given(job.mapped).items() if name not in own}
    head = "" if job.config.get("omitDeclaration", UNDEFINED) is True else '<?xml version="1.0" encoding="UTF-8"?>'
    return [{"xml": head + _doctype(job, root) + element(root, content)}]


def _doctype(job: BuiltinJob, root: str) -> str:
    public, system = (to_text(job.config.get(name, "")) for name in ("doctypePublicId", "doctypeSystemId"))
    if not public and not system:
        return ""
    kind = f"PUBLIC {quoteattr(public)} " if public else "SYSTEM "
    return f"<!DOCTYPE {root} {kind}{quoteattr(system)}>"


def element(name: str, value: Any) -> str:
    """
    One element as XML text; an array gives the element once for each item.

    Raises:
        BundleValidationError: A key is no XML name.
    """
    if not _NAME.fullmatch(name):
        raise invalid(f"'{name}' cannot be the name of an XML element.")
    if isinstance(value, list):
        return "".join([element(name, item) for item in value])
    if not isinstance(value, dict):
        text = _escaped(value)
        return f"<{name}>{text}</{name}>" if text else f"<{name}/>"
    attributes, inner = "", []
    for key, member in value.items():
        if key == "_attributes" and isinstance(member, dict):
            attributes = "".join([f" {_attribute(key)}={_quoted(text)}" for key, text in member.items()])
        elif key == "_value":
            inner.append(_escaped(member))
        elif member is not UNDEFINED:
            inner.append(element(key, member))
    body = "".join(inner)
    return f"<{name}{attributes}>{body}</{name}>" if body else f"<{name}{attributes}/>"


def _attribute(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise invalid(f"'{name}' cannot be the name of an XML attribute.")
    return name


def _escaped(value: Any) -> str:
    return escape(_UNPRINTABLE.sub("", to_text(value)))


def _quoted(value: Any) -> str:
    return quoteattr(_UNPRINTABLE.sub("", to_text(value)))


ENTRIES: Final = (
    Builtin(
        "xml:ParseXML",
        run=pure(parse),
        static=[field("type", "any"), field("preserveNumbersAsText", "boolean"), field("alwaysArray", "boolean")],
        mappable=[field("xml", "any", required=True)],
    ),
    Builtin(
        "xml:TransformToXML",
        run=pure(transform),
        static=[
            field("type", "any"),
            field("rootName"),
            field("root"),
            field("doctypePublicId"),
            field("doctypeSystemId"),
            field("omitDeclaration", "boolean"),
        ],
    ),
)
