"""The app `csv` (spec/scenarios.md 4.10): quoting as in RFC 4180, line ends LF or CRLF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from modules.builtin.builtin import FEEDER
from modules.builtin.job import Builtin, BuiltinJob, field, invalid, pure
from modules.builtin.structures import source_text
from runtime.scenario.aggregate import flush
from runtime.scenario.catalog import Role
from runtime.values import UNDEFINED, Bundle, compact_json, to_text

_DELIMITERS: Final = {"comma": ",", "tab": "\t", "semicolon": ";"}


def _delimiter(job: BuiltinJob) -> str:
    kind = to_text(job.config.get("delimiterType", "")) or "comma"
    delimiter = _DELIMITERS.get(kind) or to_text(job.config.get("delimiter", ""))
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise invalid("The delimiter has to be one character, and no quotation mark or line end.")
    return delimiter


def parse_csv(job: BuiltinJob) -> list[Bundle]:
    """One bundle a row, `col1`, `col2`, ...; `hasHeaders` skips the first row."""
    columns = int(job.config["columns"])
    rows = list(read_rows(source_text(job, "csv"), _delimiter(job), keep=_switch(job, "preserveQuotes")))
    if _switch(job, "hasHeaders"):
        rows = rows[1:]
    return [{f"col{number}": cell for number, cell in enumerate(row[:columns], 1)} for row in rows]


def _switch(job: BuiltinJob, name: str) -> bool:
    return job.config.get(name, UNDEFINED) is True


def read_rows(text: str, delimiter: str, *, keep: bool = False) -> Iterator[list[str]]:
    """The rows of a CSV text; a final line end adds no row. `keep` leaves quotation marks as they stand."""
    row: list[str] = []
    cell: list[str] = []
    quoted = started = False
    position, size = 0, len(text)
    while position < size:
        char = text[position]
        position += 1
        if quoted:
            if char != '"':
                cell.append(char)
            elif text[position : position + 1] == '"':
                cell.append('""' if keep else '"')
                position += 1
            else:
                quoted = False
                cell.append('"' if keep else "")
        elif char == '"' and not started:
            quoted = started = True
            cell.append('"' if keep else "")
        elif char == delimiter:
            row.append("".join(cell))
            cell, started = [], False
        elif char == "\n" or (char == "\r" and text[position : position + 1] == "\n"):
            position += char == "\r"
            yield [*row, "".join(cell)]
            row, cell, started = [], [], False
        else:
            cell.append(char)
            started = True
    if row or cell or started:
        yield [*row, "".join(cell)]


def create_csv(job: BuiltinJob) -> list[Bundle]:
    """Create CSV: each collected item a row, each mapped key a column; every cell quoted."""
    delimiter = _delimiter(job)
    columns = job.collected.fields if job.collected else ()

    def line(cells: list[str]) -> str:
        return delimiter.join(['"' + cell.replace('"', '""') + '"' for cell in cells])

    def make(items: Iterator[dict[str, Any]]) -> Bundle:
        rows = [line(list(columns))] if _switch(job, "includeHeaders") else []
        rows += [line([_cell(item.get(name)) for name in columns]) for item in items]
        text = "\n".join(rows)
        return {"csv": text, "text": text}

    assert job.collected is not None and job.read is not None  # noqa: S101  an aggregator always gets both
    return flush(job.collected, job.read, make)


def _cell(value: Any) -> str:
    return compact_json(value) if isinstance(value, (dict, list)) else to_text(value)


_DELIMITER_FIELDS: Final = [field("delimiterType"), field("delimiter")]

ENTRIES: Final = (
    Builtin(
        "csv:ParseCSV",
        run=pure(parse_csv),
        static=[
            field("columns", "uinteger", required=True, validate={"min": 1, "max": 10_000}),
            field("hasHeaders", "boolean"),
            *_DELIMITER_FIELDS,
            field("preserveQuotes", "boolean"),
        ],
        mappable=[field("csv", "any", required=True)],
        multi_bundle=True,
    ),
    Builtin(
        "csv:CreateCSV",
        role=Role.AGGREGATOR,
        run=pure(create_csv),
        static=[FEEDER, field("includeHeaders", "boolean"), *_DELIMITER_FIELDS],
        multi_bundle=True,
        open_mapper=True,
    ),
)
