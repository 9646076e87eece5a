"""
How commands print: text and tables for people, JSON for programs, progress on a terminal only.

Everything passes the redactor with the secrets that this process has read (prompts, parameter files, environment), and
text from apps and services loses control characters, so that data can neither show a secret nor drive the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO, cast

from runtime.values import compact_json, jsonable

if TYPE_CHECKING:
    from runtime.sanitize import Secrets

#: A table cell longer than this is cut: the full value is in the JSON form.
CELL_WIDTH = 72

_secrets: Secrets | None = None


def secrets() -> Secrets:
    """The secrets that this process knows; made on first use, since most commands know none."""
    global _secrets
    if _secrets is None:
        from runtime.sanitize import Secrets

        _secrets = Secrets()
    return _secrets


def forget_secrets() -> None:
    """Know nothing any more, as at the start of a process; for programs that call several commands."""
    global _secrets
    _secrets = None


def keep_secret(value: str) -> None:
    """From now on this value never appears in what the process prints."""
    if value:
        secrets().add(value)


def prepare_streams() -> None:
    """Print any text whatever the locale: characters that the stream cannot encode are written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            cast("Any", stream).reconfigure(errors="backslashreplace")


def redacted_text(text: str) -> str:
    """The text without known secrets."""
    return text if _secrets is None else _secrets.redact_text(text)


def printable(text: str) -> str:
    """The text for a terminal: control characters except line feed and tab become visible escapes."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() or char in "\n\t" else _escape(char) for char in text])


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def say(text: str = "") -> None:
    """One line for a person on standard output."""
    _write(sys.stdout, printable(redacted_text(text)))


def show_address(text: str) -> None:
    """
    An address that a person has to open, on standard error and unredacted: it holds values, such as the id of the app
    and the state of this one authorization, that no log may show.
    """
    _write(sys.stderr, printable(text))


def say_data(text: str) -> None:
    """Data of the user that are redacted already, for a person on standard output."""
    _write(sys.stdout, printable(text))


def complain(text: str) -> None:
    """One line on standard error."""
    _write(sys.stderr, printable(redacted_text(text)))


def progress(text: str) -> None:
    """One line on standard error when that is a terminal; nothing in a pipe."""
    if sys.stderr.isatty():
        complain(text)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def write_bytes(data: bytes) -> None:
    """A file as it is, byte for byte."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def print_json(value: Any, *, stream: TextIO | None = None, clean: Collection[str] = ()) -> None:
    """
    One JSON value without known secrets: indented on a terminal, on one line in a pipe. `clean` are members of an
    object whose values were redacted before and are printed as they are.
    """
    target = sys.stdout if stream is None else stream
    plain = jsonable(value)
    if _secrets is not None:
        plain = {**_secrets.redact(_without(plain, clean)), **_only(plain, clean)} if clean else _secrets.redact(plain)
    _write(target, pretty(plain) if target.isatty() else compact_json(plain))


def _without(value: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    # The place of each member stays.
    return {name: None if name in names else member for name, member in value.items()}


def _only(value: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: member for name, member in value.items() if name in names}


def pretty(value: Any) -> str:
    """Indented JSON; half pairs of UTF-16 are written as escapes."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return "".join([char if not "\ud800" <= char <= "\udfff" else f"\\u{ord(char):04x}" for char in text])


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str, clean: bool = False) -> None:
    """
    A table: drawn on a terminal, aligned columns in a pipe. `empty` is printed instead when there are no rows; `clean`
    rows were redacted before.
    """
    cells = [[cell(value, clean=clean) for value in row] for row in rows]
    if not cells:
        say(empty)
        return
    if sys.stdout.isatty():
        _draw(columns, cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        say_data("  ".join([text.ljust(width) for text, width in zip(row, widths, strict=True)]).rstrip())


def _draw(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in cells:
        # `Text`, not markup: square brackets of data are data.
        drawn.add_row(*[Text(text) for text in row])
    Console().print(drawn)


def cell(value: Any, *, clean: bool = False) -> str:
    """One value of a table on one line: redacted unless it is `clean`, printable, cut at `CELL_WIDTH`."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else compact_json(value)
    text = printable(text if clean else redacted_text(text)).replace("\n", " ").replace("\t", " ")
    return text if len(text) <= CELL_WIDTH else text[: CELL_WIDTH - 1] + "…"


def facts(pairs: Mapping[str, Any]) -> None:
    """Names and values, one a line, aligned."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        say(f"{name.ljust(width)}  {cell(value)}")


def instant(milliseconds: int | None) -> str:
    """UTC milliseconds as `2026-11-25 01:28:16Z`; `-` for none."""
    if milliseconds is None:
        return "-"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"
