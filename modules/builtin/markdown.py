"""The app `markdown`, version 2 (spec/scenarios.md 4.10)."""

from __future__ import annotations

from typing import Final

from markdown_it import MarkdownIt

from modules.builtin.job import Builtin, BuiltinJob, field, pure
from runtime.values import UNDEFINED, Bundle, to_text


def compile_markdown(job: BuiltinJob) -> list[Bundle]:
    """Markdown as HTML; `gfm` adds tables and struck-through text, `sanitize` shows HTML instead of passing it on."""
    safe = job.config.get("sanitize", UNDEFINED) is True
    parser = MarkdownIt("commonmark", {"html": not safe})
    if job.config.get("gfm", UNDEFINED) is True:
        parser = parser.enable(["table", "strikethrough"])
    html = parser.render(to_text(job.config.get("data", "")))
    return [{"html": html, "data": html}]


ENTRIES: Final = (
    Builtin(
        "markdown:Compile",
        versions=(1, 2),
        run=pure(compile_markdown),
        mappable=[field("data"), field("gfm", "boolean"), field("sanitize", "boolean")],
    ),
)
