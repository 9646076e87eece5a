"""The app `regexp`: the text parser (spec/scenarios.md 4.9). Patterns are ECMAScript."""

from __future__ import annotations

from typing import Any, Final

from modules.builtin.html_text import elements, html_to_text
from modules.builtin.job import Builtin, BuiltinJob, field, pure
from modules.builtin.patterns import MARKER, flags, matches, replaced
from runtime.values import UNDEFINED, Bundle, to_text

_NEWLINES: Final = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
#: Ready-made patterns of `GetElementsFromText`.
_READY: Final = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "url": r"https?:\/\/[^\s<>\"']+",
    "phone": r"\+?\d[\d\s().-]{5,}\d",
    "number": r"-?\d+(?:\.\d+)?",
}


def parse(job: BuiltinJob) -> list[Bundle]:
    """Match pattern: one bundle per match with `i`, `$1`, ..., named groups and the whole match."""
    found = matches(_text(job, "text"), to_text(job.config["pattern"]), flags(job.config))
    bundles: list[Bundle] = []
    for number, match in enumerate(found, 1):
        bundle: Bundle = {"i": number}
        bundle |= {f"${index}": text for index, text in enumerate(match["groups"], 1) if text is not None}
        bundle |= {name: text for name, text in match["named"].items() if text is not None}
        bundles.append({**bundle, "__IMTMATCH__": match["match"]})
    return bundles or _nothing(job)


def replace(job: BuiltinJob) -> list[Bundle]:
    """Replace: `$1`, `$&` and `$<name>` work in the new value."""
    pattern = to_text(job.config["pattern"])
    return [{"text": replaced(_text(job, "text"), pattern, flags(job.config), _text(job, "value"))}]


def to_plain_text(job: BuiltinJob) -> list[Bundle]:
    """HTML to text."""
    upper = job.config.get("uppercaseHeadings", UNDEFINED) is True
    text = html_to_text(_text(job, "html"), uppercase_headings=upper)
    return [{"text": text.replace("\n", _NEWLINES.get(to_text(job.config.get("newline", "")), "\n"))}]


def elements_of_html(job: BuiltinJob) -> list[Bundle]:
    """The attributes of each image, link or inline frame."""
    kind = to_text(job.config.get("type", "")) or to_text(job.config.get("elementType", "")) or "link"
    return _unique(job, elements(_text(job, "html") or _text(job, "text"), kind)) or _nothing(job)


def elements_of_text(job: BuiltinJob) -> list[Bundle]:
    """What a ready-made pattern, or one of one's own, finds in a text: `{match}` each."""
    kind = to_text(job.config.get("type", "")) or to_text(job.config.get("patternType", "")) or "email"
    pattern = _READY.get(kind) or _text(job, "pattern") or _READY["email"]
    found: list[Bundle] = [{"match": match["match"]} for match in matches(_text(job, "text"), pattern, "gi")]
    return _unique(job, found) or _nothing(job)


def _text(job: BuiltinJob, name: str) -> str:
    return to_text(job.config.get(name, ""))


def _nothing(job: BuiltinJob) -> list[Bundle]:
    return [MARKER] if job.config.get("continueWhenNoRes", UNDEFINED) is True else []


def _unique(job: BuiltinJob, bundles: list[Bundle]) -> list[Bundle]:
    if job.config.get("ignoreDuplicates", UNDEFINED) is not True:
        return bundles
    kept: list[Bundle] = []
    seen: set[str] = set()
    for bundle in bundles:
        mark = repr(sorted(bundle.items()))
        if mark not in seen:
            seen.add(mark)
            kept.append(bundle)
    return kept


_SWITCHES: Final[list[dict[str, Any]]] = [
    field(name, "boolean") for name in ("global", "sensitive", "multiline", "singleline")
]
_CONTINUE: Final = field("continueWhenNoRes", "boolean")
_PATTERN: Final = field("pattern", required=True)
_ENDLESS: Final = field("ignoreInfiniteLoopsWhenGlobal", "boolean")

ENTRIES: Final = (
    Builtin(
        "regexp:Parser",
        run=pure(parse),
        static=[_PATTERN, *_SWITCHES, _CONTINUE, _ENDLESS],
        mappable=[field("text")],
        multi_bundle=True,
    ),
    Builtin(
        "regexp:AdvancedParser",
        run=pure(parse),
        static=[*_SWITCHES, _CONTINUE, _ENDLESS],
        mappable=[_PATTERN, field("text", required=True)],
        multi_bundle=True,
    ),
    Builtin("regexp:Replace", run=pure(replace), mappable=[_PATTERN, field("value"), *_SWITCHES, field("text")]),
    Builtin(
        "regexp:HTMLToText",
        run=pure(to_plain_text),
        mappable=[field("html"), field("newline"), field("uppercaseHeadings", "boolean")],
    ),
    Builtin(
        "regexp:GetElementsFromHTML",
        run=pure(elements_of_html),
        static=[field("type"), field("elementType"), field("ignoreDuplicates", "boolean"), _CONTINUE],
        mappable=[field("html"), field("text")],
        multi_bundle=True,
    ),
    Builtin(
        "regexp:GetElementsFromText",
        run=pure(elements_of_text),
        static=[
            field("type"),
            field("patternType"),
            field("pattern"),
            field("ignoreDuplicates", "boolean"),
            _CONTINUE,
        ],
        mappable=[field("text")],
        multi_bundle=True,
    ),
)
