"""
JSON with comments and trailing commas, and where each value stands (spec/app-format.md 4).

Comments and trailing commas are replaced by blanks of the same length, so that the standard parser reads the rest and
every offset stays true. Positions are found by a small scanner, on the first question only: most files never ask.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from runtime.app.findings import Finding, Severity
from runtime.app.positions import Places, scan
from runtime.app.source import MAX_FILE_BYTES

#: Deepest nesting of arrays and objects in a file (spec/app-format.md 4).
MAX_NESTING = 200
#: Keys that stand twice which are reported for one file.
MAX_REPEATS = 20

_STRING = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
#: As above, but a raw line end may stand inside.
_LONG_STRING = r'"[^"\\]*(?:\\[\s\S][^"\\]*)*"'
_COMMENT = r"//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/"
#: The last two alternatives are what is never closed; the first hit ends the search, so any input costs one pass.
_TOKENS: Final = {
    False: re.compile(rf'{_STRING}|{_COMMENT}|"|/\*'),
    True: re.compile(rf'{_LONG_STRING}|{_COMMENT}|"|/\*'),
}
_COMMAS: Final = {
    False: re.compile(rf"{_STRING}|,(?=[ \t\r\n]*[\]}}])"),
    True: re.compile(rf"{_LONG_STRING}|,(?=[ \t\r\n]*[\]}}])"),
}
_BRACKETS: Final = re.compile(rf"{_LONG_STRING}|[\[\]{{}}]")
_LONG_STRINGS: Final = re.compile(_LONG_STRING)
_NOT_NEWLINE: Final = re.compile(r"[^\n]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\t]")
_IGNORE: Final = re.compile(r"check-ignore((?:[ \t,]+[A-Za-z]\d{3})+)")
_CODE: Final = re.compile(r"[A-Za-z]\d{3}")
_UTF16: Final = ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
_WORDS: Final = {
    "Expecting property name enclosed in double quotes": "a key in double quotes expected",
    "Expecting ',' delimiter": "`,` or the end of the object or array expected",
    "Expecting ':' delimiter": "`:` expected after the key",
    "Expecting value": "a value expected",
    "Extra data": "something stands behind the end of the document",
    "Invalid control character at": "raw control character in a string",
    "Invalid \\escape": "unknown escape in a string",
    "Invalid \\uXXXX escape": "`\\u` needs four hexadecimal digits",
    "Unterminated string starting at": "the string is never closed",
}


class Ignore(NamedTuple):
    """A `check-ignore` comment: its last line and the codes; `head` = it stands before the first value."""

    line: int
    codes: frozenset[str]
    head: bool


@dataclass(frozen=True, eq=False)
class Document:
    """
    One parsed file. `value` is None when it could not be parsed (`broken`) or holds nothing but blanks and comments
    (`empty`).
    """

    file: str
    text: str = field(repr=False)
    value: Any = field(default=None, repr=False)
    findings: tuple[Finding, ...] = ()
    empty: bool = False
    #: True when the file needs more than strict JSON: comments or trailing commas.
    lenient: bool = False
    ignores: tuple[Ignore, ...] = ()
    blanked: str = field(default="", repr=False)

    @property
    def broken(self) -> bool:
        """True when the text could not be parsed."""
        return any(finding.severity == "error" for finding in self.findings)

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *[match.end() for match in re.finditer("\n", self.text)]]

    @cached_property
    def places(self) -> Places:
        return scan(self.blanked)

    def line_column(self, offset: int) -> tuple[int, int]:
        """Line and column (1-based) of an offset in the text."""
        line = bisect.bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def locate(self, pointer: str, offset: int = 0) -> tuple[int, int]:
        """
        Line and column (1-based) of the value at a JSON pointer; of the nearest value around it when there is none.

        Args:
            pointer: `""` = the whole document, `/a/0`; `~1` and `~0` as in JSON pointers.
            offset: Characters into a string value, 0 = its start (then the opening quote is meant).
        """
        places = self.places.values
        while pointer and pointer not in places:
            pointer = pointer.rpartition("/")[0]
            offset = 0
        start = places.get(pointer, 0)
        if offset > 0:
            start = self._inside(start, offset)
        return self.line_column(start)

    def locate_key(self, pointer: str) -> tuple[int, int]:
        """Line and column of the key of a member; of the value where there is no key."""
        start = self.places.keys.get(pointer)
        return self.locate(pointer) if start is None else self.line_column(start)

    def _inside(self, start: int, offset: int) -> int:
        """Offset in the file of a character of a string value, its escapes counted."""
        position = start + 1
        for _ in range(offset):
            if self.text[position : position + 1] != "\\":
                position += 1
            elif self.text[position + 1 : position + 2] == "u":
                position += 6
            else:
                position += 2
        return min(position, max(len(self.text) - 1, 0))

    def ignored(self, code: str, line: int) -> bool:
        """True when a `// check-ignore CODE` comment stands on the line, the line before, or above the whole file."""
        return any(code in ignore.codes and (ignore.head or 0 <= line - ignore.line <= 1) for ignore in self.ignores)


class _UnparsableError(Exception):
    """A text is no JSON; carries the place. Never leaves this file."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class _Blanked(NamedTuple):
    text: str
    comments: list[tuple[int, int, str]]


def _blank(text: str, *, long_strings: bool) -> _Blanked:
    """
    The text with comments and trailing commas as blanks.

    Raises:
        _UnparsableError: A string or comment is never closed.
    """
    comments: list[tuple[int, int, str]] = []
    parts: list[str] = []
    done = 0
    for match in _TOKENS[long_strings].finditer(text):
        piece = match[0]
        if piece == '"':
            raise _UnparsableError("the string is not closed", match.start())
        if piece == "/*":
            raise _UnparsableError("the comment is never closed", match.start())
        if piece[0] == "/":
            comments.append((match.start(), match.end(), piece))
            parts += (text[done : match.start()], _NOT_NEWLINE.sub(" ", piece))
            done = match.end()
    parts.append(text[done:])
    blanked = _COMMAS[long_strings].sub(lambda found: " " if found[0] == "," else found[0], "".join(parts))
    return _Blanked(blanked, comments)


class _ConstantError(Exception):
    """NaN or Infinity was met. Never leaves this file."""


def _refuse_constant(name: str) -> Any:
    raise _ConstantError(name)


def _load(text: str, *, lenient: bool) -> tuple[Any, bool]:
    """The value, and whether some object has a key twice."""
    repeated = False

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        members = dict(pairs)
        if len(members) != len(pairs):
            repeated = True
        return members

    try:
        value = json.loads(text, strict=not lenient, object_pairs_hook=collect, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        message = _WORDS.get(error.msg, error.msg)
        rest = text[error.pos : error.pos + 1]
        if rest == "'" or (error.msg.startswith("Expecting property name") and rest.isidentifier()):
            message = "keys and texts need double quotes"
        raise _UnparsableError(message, error.pos) from None
    except _ConstantError as constant:
        found = re.search(rf"(?<![\w\"])-?{str(constant).lstrip('-')}\b", text)
        raise _UnparsableError(f"{constant} is no JSON value", found.start() if found else 0) from None
    except RecursionError:
        raise _UnparsableError(f"nested deeper than {MAX_NESTING} levels", 0) from None
    except ValueError:
        raise _UnparsableError("a number has too many digits", 0) from None
    return value, repeated


def _too_deep(text: str) -> int | None:
    """Offset of the first bracket deeper than the limit, None when there is none."""
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return None
    depth = 0
    for match in _BRACKETS.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > MAX_NESTING:
                return match.start()
        elif match[0] in "]}":
            depth -= 1
    return None


def _ignores(comments: Sequence[tuple[int, int, str]], document: Document, blanked: str) -> tuple[Ignore, ...]:
    found: list[Ignore] = []
    start = len(blanked) - len(blanked.lstrip())
    for begin, end, comment in comments:
        match = _IGNORE.search(comment)
        if match:
            codes = frozenset(code.upper() for code in _CODE.findall(match[1]))
            found.append(Ignore(document.line_column(max(end - 1, 0))[0], codes, begin < start))
    return tuple(found)


def _decode(data: bytes) -> tuple[str, str, int]:
    """Text, what is wrong with the encoding ("" = nothing), and the offset of the fault."""
    for mark, encoding in _UTF16:
        if data.startswith(mark):
            return "", f"the file is {encoding}; save it as UTF-8", 0
    try:
        return data.decode("utf-8-sig"), "", 0
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        return before, f"byte 0x{data[error.start]:02x} is no UTF-8; save the file as UTF-8", len(before)


def parse_jsonc(text: str | bytes, file: str) -> Document:
    """
    Parse a component file.

    Args:
        text: The file; bytes are decoded as UTF-8 with or without a byte order mark.
        file: Its path, for findings.

    Returns:
        The document. A text that is no JSON, too large or too deep gives `value` None and an error among its
        `findings` (J501 to J503); keys that stand twice (J504) and raw control characters (J505) are warnings.
        Nothing is raised.
    """
    size = len(text)
    if size > MAX_FILE_BYTES or (isinstance(text, str) and len(text.encode("utf-8", "replace")) > MAX_FILE_BYTES):
        return Document(file, "", findings=(Finding("error", "J503", "the file is larger than 5 MiB", file),))
    if isinstance(text, bytes):
        decoded, trouble, offset = _decode(text)
        if trouble:
            return _failed(Document(file, decoded), "J502", trouble, offset)
        text = decoded
    elif text.startswith("\ufeff"):
        text = text[1:]
    return _parse(text, file)


def _failed(document: Document, code: str, message: str, offset: int, *, ignores: tuple[Ignore, ...] = ()) -> Document:
    line, column = document.line_column(offset)
    hint = "write a smaller or flatter document" if code == "J503" else ""
    finding = Finding("error", code, message, document.file, line, column, hint=hint)
    return Document(document.file, document.text, findings=(finding,), ignores=ignores)


def _parse(text: str, file: str) -> Document:
    plain = Document(file, text)
    deep = _too_deep(text)
    if deep is None:
        try:
            value, repeated = _load(text, lenient=False)
        except _UnparsableError:
            pass
        else:
            return _finished(Document(file, text, value, blanked=text), repeated=repeated)
    try:
        blanked, comments = _blank(text, long_strings=False)
    except _UnparsableError as first:
        # A raw line end inside of a string: taken when the file is right otherwise, else the first fault is reported.
        try:
            blanked, comments = _blank(text, long_strings=True)
            _load(blanked, lenient=True)
        except _UnparsableError:
            return _failed(plain, "J501", f"not valid JSON: {first.message}", first.offset)
    ignores = _ignores(comments, plain, blanked)
    if not blanked.strip():
        return Document(file, text, empty=True, ignores=ignores, lenient=bool(comments))
    deep = _too_deep(blanked)
    if deep is not None:
        return _failed(plain, "J503", f"nested deeper than {MAX_NESTING} levels", deep)
    try:
        value, repeated = _load(blanked, lenient=True)
    except _UnparsableError as error:
        return _failed(plain, "J501", f"not valid JSON: {error.message}", min(error.offset, len(text)))
    document = Document(file, text, value, lenient=blanked != text, ignores=ignores, blanked=blanked)
    return _finished(document, repeated=repeated, through_blanker=True)


def _finished(document: Document, *, repeated: bool, through_blanker: bool = False) -> Document:
    """The document with its warnings."""
    findings: list[Finding] = []

    def add(severity: Severity, code: str, message: str, offset: int, hint: str, pointer: str = "") -> None:
        line, column = document.line_column(offset)
        findings.append(Finding(severity, code, message, document.file, line, column, hint=hint, pointer=pointer))

    if repeated:
        for repeat in document.places.repeats[:MAX_REPEATS]:
            first = document.line_column(repeat.first)[0]
            second = document.line_column(repeat.second)[0]
            shown = repeat.key if len(repeat.key) <= 60 else repeat.key[:57] + "..."
            message = f'key "{shown}" stands twice in one object, in lines {first} and {second}; the last one counts'
            add("warning", "J504", message, repeat.second, "remove or rename one of them", repeat.pointer)
    raw = _raw_control(document.blanked) if through_blanker else None
    if raw is not None:
        add("warning", "J505", "raw control character in a string", raw, "write it as an escape such as `\\t` or `\\n`")
    if not findings:
        return document
    return replace(document, findings=tuple(findings))


def _raw_control(text: str) -> int | None:
    """Offset of the first string with a raw control character."""
    if not _CONTROL.search(text) and "\n" not in text:
        return None
    for match in _LONG_STRINGS.finditer(text):
        if any(char < " " for char in match[0]):
            return match.start()
    return None
