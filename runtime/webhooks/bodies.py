"""
The body of an incoming request as a value, by its Content-Type (spec/modules.md 5.4).

JSON, forms, multipart, XML, text; without a known type JSON when it is an object or an array, else bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from runtime.communication.reading import decode, parse_json
from runtime.communication.xml import XmlError, parse_xml
from runtime.values import UNDEFINED, Buffer
from runtime.webhooks.forms import MAX_VALUES, nest, parse_query
from runtime.webhooks.incoming import BadRequest, Incoming

#: Headers of one part of a form, and how long each may be.
MAX_PART_HEADERS: Final = 16
MAX_PART_HEADER: Final = 8192
#: How much of a parser's reason an answer shows.
MAX_REASON: Final = 200


class Form(Enum):
    """How a body is written."""

    NONE = "none"
    JSON = "json"
    URLENCODED = "urlencoded"
    MULTIPART = "multipart"
    XML = "xml"
    TEXT = "text"
    OTHER = "other"


def form_of(content_type: str) -> Form:
    """The form that a Content-Type declares."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("application/json", "text/json") or media.endswith("+json"):
        return Form.JSON
    if media == "application/x-www-form-urlencoded":
        return Form.URLENCODED
    if media == "multipart/form-data":
        return Form.MULTIPART
    if media in ("application/xml", "text/xml") or media.endswith("+xml"):
        return Form.XML
    return Form.TEXT if media.startswith("text/") else Form.OTHER


def content_type_of(incoming: Incoming) -> str:
    """The Content-Type of a request, "" without one."""
    return next((value for name, value in incoming.headers if name == "content-type"), "")


def read_body(incoming: Incoming) -> Any:
    """
    The body as a value; UNDEFINED when it is empty.

    Raises:
        BadRequest: It is malformed by its own declared type.
    """
    data, content_type = incoming.body, content_type_of(incoming)
    if not data:
        return UNDEFINED
    form = form_of(content_type)
    if form is Form.JSON:
        return read_json(data, content_type)
    if form is Form.URLENCODED:
        return parse_query(decode(data, content_type))
    if form is Form.MULTIPART:
        return read_multipart(data, content_type)
    if form is Form.XML:
        return read_xml(data, content_type)
    if form is Form.TEXT:
        return decode(data, content_type)
    found = guess_json(data)
    return Buffer(data) if found is UNDEFINED else found


def read_json(data: bytes, content_type: str) -> Any:
    """A JSON body. Raises BadRequest when it is malformed or nested too deeply."""
    try:
        return parse_json(data, content_type)
    except ValueError as error:
        raise BadRequest(f"The body is not valid JSON: {_reason(error)}") from None


def read_xml(data: bytes, content_type: str) -> Any:
    """An XML body: an object keyed by the root element. Raises BadRequest when it is malformed or has entities."""
    try:
        return parse_xml(decode(data, content_type, xml=True))
    except (XmlError, ValueError) as error:
        raise BadRequest(f"The body is not valid XML: {_reason(error)}") from None


def guess_json(data: bytes) -> Any:
    """The object or array that bytes without a known type hold; UNDEFINED when they are something else."""
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start not in (b"{", b"["):
        return UNDEFINED
    try:
        found = parse_json(data)
    except ValueError:
        return UNDEFINED
    return found if isinstance(found, (dict, list)) else UNDEFINED


def _reason(error: Exception) -> str:
    return str(error).split("\n", 1)[0][:MAX_REASON]


@dataclass(slots=True)
class _Part:
    headers: dict[str, str] = field(default_factory=dict[str, str])
    data: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Reader:
    """Takes the events of the parser; a part is done when the next one begins."""

    parts: list[_Part] = field(default_factory=list[_Part])
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    ended: bool = False

    def begin(self) -> None:
        if len(self.parts) >= MAX_VALUES:
            raise BadRequest(f"The request has more than {MAX_VALUES} values.", 413)
        self.parts.append(_Part())

    def header_begin(self) -> None:
        self.name, self.value = bytearray(), bytearray()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        name = self.name.decode("latin-1").strip().lower()
        self.parts[-1].headers[name] = self.value.decode("utf-8", "replace").strip()

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += data[start:end]

    def end(self) -> None:
        self.ended = True


def read_multipart(data: bytes, content_type: str) -> dict[str, Any]:
    """
    A form in parts: text fields, and files as `{name, mime, data: Buffer}`.

    Raises:
        BadRequest: It is malformed, cut off, or has too many parts.
    """
    boundary = _options(content_type).get("boundary", "")
    if not boundary:
        raise BadRequest("The multipart body has no boundary.")
    reader = _Reader()
    try:
        parser = MultipartParser(
            boundary.encode("utf-8", "replace"),
            {
                "on_part_begin": reader.begin,
                "on_header_begin": reader.header_begin,
                "on_header_field": reader.header_field,
                "on_header_value": reader.header_value,
                "on_header_end": reader.header_end,
                "on_part_data": reader.part_data,
                "on_end": reader.end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER,
        )
        parser.write(data)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest(f"The multipart body is malformed: {_reason(error)}") from None
    if not reader.ended:
        raise BadRequest("The multipart body is cut off.")
    return nest(_named(part) for part in reader.parts)


def _named(part: _Part) -> tuple[str, Any]:
    options = _options(part.headers.get("content-disposition", ""))
    name = options.get("name")
    if name is None:
        raise BadRequest("A part of the multipart body has no name.")
    kind = part.headers.get("content-type", "")
    filename = options.get("filename")
    if filename is None:
        return name, decode(bytes(part.data), kind)
    mime = kind.partition(";")[0].strip() or "application/octet-stream"
    return name, {"name": filename, "mime": mime, "data": Buffer(bytes(part.data), name=filename or None)}


def _options(header: str) -> dict[str, str]:
    """The parameters of a header such as `form-data; name="x"`."""
    try:
        _, options = parse_options_header(header.encode("utf-8", "replace"))
    except (ValueError, LookupError, FormParserError):
        return {}
    return {key.decode("latin-1").lower(): value.decode("utf-8", "replace") for key, value in options.items()}
