"""
XML answers as values: an object keyed by the root element, every child an array.

Document types and entities are refused: they can make a small answer huge or read local files.

Source: spec/communication.md section 14.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat  # the parser that xmltodict uses too; our shape needs its events, not its dicts

#: Deeper documents are refused: later steps follow values recursively.
MAX_DEPTH: Final = 200


class XmlError(ValueError):
    """A text is no XML that is accepted. Its text says why and where."""


class _Builder:
    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._stack: list[tuple[str, dict[str, str], dict[str, list[Any]], list[str]]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise XmlError(f"elements are nested more than {MAX_DEPTH} deep")
        self._stack.append((name, attributes, {}, []))

    def text(self, data: str) -> None:
        if self._stack:
            self._stack[-1][3].append(data)

    def end(self, _name: str) -> None:
        name, attributes, children, texts = self._stack.pop()
        value = _element(attributes, children, "".join(texts))
        if self._stack:
            self._stack[-1][2].setdefault(name, []).append(value)
        else:
            self.root = {name: value}

    def refuse(self, *_: Any) -> None:
        raise XmlError("document types and entities are not allowed")


def _element(attributes: dict[str, str], children: dict[str, list[Any]], text: str) -> Any:
    if not attributes and not children:
        return text
    value: dict[str, Any] = {}
    if attributes:
        value["_attributes"] = attributes
    if children:
        value.update(children)
        text = text.strip()
    if text:
        value["_value"] = text
    return value


def parse_xml(text: str) -> dict[str, Any]:
    """
    The value of an XML text.

    Raises:
        XmlError: It is malformed, too deep, or has a document type.
    """
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        parser.Parse(text.encode("utf-8", "replace").decode("utf-8"), True)
    except expat.ExpatError as error:
        raise XmlError(f"{expat.ErrorString(error.code)} at line {error.lineno}, column {error.offset + 1}") from error
    return builder.root
