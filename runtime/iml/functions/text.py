"""Text functions (spec/iml.md 7.2). Lengths and positions count UTF-16 units."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any, Final
from urllib.parse import quote, unquote_to_bytes

import regex

from runtime.coercion import SPACES, utf8
from runtime.iml import regexps
from runtime.iml.evaluation import Evaluation, FunctionFailed
from runtime.iml.functions.array import identity
from runtime.iml.operators import print_text
from runtime.iml.registry import Example, Family
from runtime.values import UNDEFINED, Buffer

TEXT: Final = Family("text")

_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_WORD: Final = re.compile(rf"[^{re.escape(SPACES)}]+")
_MARKDOWN: Final = {ord(c): f"&#{ord(c)};" for c in "\\`*_{}[]()#+-.!|~><"}
_HTML: Final = {
    ord(c): entity for c, entity in zip("&<>\"'", ("&amp;", "&lt;", "&gt;", "&quot;", "&#39;"), strict=True)
}
_PICTOGRAPH: Final = r"\p{Extended_Pictographic}(?:\uFE0F|\p{Emoji_Modifier})?[\U000E0020-\U000E007F]*"
#: Flags, key caps, and pictographs with modifiers and joiners; the signs of `_PLAIN` only in their emoji form.
_EMOJI: Final = regex.compile(
    r"\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3|(?![\u00A9\u00AE\u2122](?!\uFE0F))"
    rf"{_PICTOGRAPH}(?:\u200D{_PICTOGRAPH})*"
)


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text) if text.isascii() else len(text) + len(_ASTRAL.findall(text))


def _encode(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


@TEXT.function(
    "ascii",
    "text: text; [removeDiacritics: boolean]",
    "The text without characters beyond ASCII; `true` keeps the base letters of accented ones.",
    Example('{{ascii("ěščřž"; true)}}', "escrz"),
    gives="text",
)
def ascii_(text: str, remove_diacritics: bool) -> str:
    if text.isascii():
        return text
    if remove_diacritics:
        text = unicodedata.normalize("NFD", text)
    return _NOT_ASCII.sub("", text)


@TEXT.function(
    "capitalize",
    "text: text",
    "The first character in upper case.",
    Example('{{capitalize("ab")}}', "Ab"),
    gives="text",
)
def capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


@TEXT.function(
    "contains",
    "source; value",
    "Whether a text contains another, or an array an equal item.",
    Example('{{contains("Hello"; "ell")}}', True),
    Example('{{contains(a; "1")}}', False, {"a": [1]}),
    gives="boolean",
    needs_evaluation=True,
)
def contains(evaluation: Evaluation, source: Any, value: Any) -> bool:
    if type(source) is str and type(value) is str:
        return value in source
    if isinstance(source, list):
        evaluation.charge(len(source))
        wanted = identity(value)
        return any(identity(item) == wanted for item in source)
    if source is None or source is UNDEFINED:
        return False
    return print_text(evaluation, value) in print_text(evaluation, source)


@TEXT.function(
    "decodeURL", "text: text", "Percent escapes decoded.", Example('{{decodeURL("a%20b")}}', "a b"), gives="text"
)
def decode_url(text: str) -> str:
    if "%" not in text:
        return text
    try:
        if _BROKEN_ESCAPE.search(text):
            raise ValueError
        return unquote_to_bytes(utf8(text)).decode()
    except ValueError:
        raise FunctionFailed("URI malformed") from None


@TEXT.function(
    "encodeURL",
    "text: text",
    "Everything but letters, digits and - _ . ! ~ * ' ( ) as percent escapes.",
    Example('{{encodeURL("a b&ž")}}', "a%20b%26%C5%BE"),
    gives="text",
    needs_evaluation=True,
)
def encode_url(evaluation: Evaluation, text: str) -> str:
    return evaluation.text(quote(utf8(text), safe="-_.!~*'()"))


@TEXT.function(
    "escapeHTML",
    "text: text",
    "The characters & < > \" ' as entities.",
    Example('{{escapeHTML("<a>")}}', "&lt;a&gt;"),
    gives="text",
    needs_evaluation=True,
)
def escape_html(evaluation: Evaluation, text: str) -> str:
    return evaluation.text(text.translate(_HTML))


@TEXT.function(
    "escapeMarkdown",
    "text: text",
    "Characters with a meaning in Markdown as character references.",
    Example('{{escapeMarkdown("*b*")}}', "&#42;b&#42;"),
    gives="text",
    needs_evaluation=True,
)
def escape_markdown(evaluation: Evaluation, text: str) -> str:
    return evaluation.text(text.translate(_MARKDOWN))


def _clamped(number: Any, missing: int, length: int) -> int:
    if number is UNDEFINED:
        return missing
    if number != number:
        return 0
    return int(number) if math.isfinite(number) and 0 <= number <= length else (0 if number < 0 else length)


@TEXT.function(
    "indexOf",
    "text: text; value: text; [start: number]",
    "The 0-based position of a text in another, -1 when it is not there.",
    Example('{{indexOf("abc"; "c")}}', 2),
    gives="number",
)
def index_of(text: str, value: str, start: Any) -> int:
    if text.isascii() or not _ASTRAL.search(text):
        return text.find(value, _clamped(start, 0, len(text)))
    source, wanted = _encode(text), _encode(value)
    position = 2 * _clamped(start, 0, len(source) // 2) - 1
    while True:
        position = source.find(wanted, position + 1)
        if position < 0 or position % 2 == 0:
            return position // 2 if position >= 0 else -1


@TEXT.function(
    "length",
    "value",
    "Characters of a text, bytes of a buffer, items of an array, keys of a collection.",
    Example('{{length("abc")}}', 3),
    Example("{{length(a)}}", 2, {"a": [1, 2]}),
    gives="number",
    needs_evaluation=True,
)
def length(evaluation: Evaluation, value: Any) -> int:
    if isinstance(value, str):
        return units(value)
    if isinstance(value, (list, dict, Buffer)):
        return len(value)
    return units(print_text(evaluation, value))


@TEXT.function("lower", "text: text", "The text in lower case.", Example('{{lower("AB")}}', "ab"), gives="text")
def lower(text: str) -> str:
    return text.lower()


@TEXT.function(
    "upper",
    "text: text",
    "The text in upper case.",
    Example('{{upper("straße")}}', "STRASSE"),
    gives="text",
    needs_evaluation=True,
)
def upper(evaluation: Evaluation, text: str) -> str:
    return evaluation.text(text.upper())


@TEXT.function(
    "replace",
    "text: text; search: text; replacement",
    "Every occurrence of a text, or the matches of a regular expression `/pattern/flags`, replaced.",
    Example('{{replace("a,b"; ","; ";")}}', "a;b"),
    Example('{{replace("a1b2"; "/([a-z])([0-9])/g"; "$2$1")}}', "1a2b"),
    gives="text",
    needs_evaluation=True,
)
def replace(evaluation: Evaluation, text: str, search: str, replacement: Any) -> str:
    if replacement is UNDEFINED or replacement is None or not search:
        return text
    new = print_text(evaluation, replacement)
    if search[0] == "/":
        literal = regexps.as_literal(search)
        if literal is not None:
            return regexps.replace(evaluation, text, *literal, new)
    if len(text) + len(new) > 200:
        count = text.count(search)
        evaluation.room(len(text) + count * (len(new) - len(search)))
    return text.replace(search, new)


@TEXT.function(
    "replaceEmojiCharacters",
    "text: text; [replacement: text]",
    "Every emoji replaced.",
    Example('{{replaceEmojiCharacters("a😀"; "!")}}', "a!"),
    gives="text",
    needs_evaluation=True,
)
def replace_emoji(evaluation: Evaluation, text: str, replacement: str) -> str:
    if text.isascii() and "\u20e3" not in text:
        return text
    evaluation.room(len(text) * max(1, len(replacement)))
    return _EMOJI.sub(lambda _: replacement, text)


@TEXT.function(
    "split",
    "text; separator",
    "The parts of a text between separators.",
    Example('{{split("a,b"; ",")}}', ["a", "b"]),
    gives="array",
    needs_evaluation=True,
)
def split(evaluation: Evaluation, text: Any, separator: Any) -> list[Any]:
    if text is None or text is UNDEFINED:
        return []
    source = print_text(evaluation, text)
    if separator is UNDEFINED or separator is None:
        return [source]
    by = print_text(evaluation, separator)
    if not by:
        evaluation.charge(len(source))
        return list(source)
    if len(source) > 200:
        evaluation.charge(source.count(by))
        evaluation.room(len(source))
    return source.split(by)


@TEXT.function(
    "startcase",
    "text: text",
    "Every word with its first character in upper case and the others in lower case.",
    Example('{{startcase("hello WORLD")}}', "Hello World"),
    gives="text",
)
def startcase(text: str) -> str:
    return _WORD.sub(lambda match: match[0][:1].upper() + match[0][1:].lower(), text)


@TEXT.function(
    "stripHTML",
    "text: text",
    "The text without HTML tags and comments.",
    Example('{{stripHTML("<b>a</b> < b")}}', "a < b"),
    gives="text",
)
def strip_html(text: str) -> str:
    kept: list[str] = []
    position = 0
    while True:
        opening = text.find("<", position)
        if opening < 0:
            break
        following = text[opening + 1 : opening + 2]
        if text.startswith("<!--", opening) and (end := text.find("-->", opening + 4)) >= 0:
            kept.append(text[position:opening])
            position = end + 3
        elif (following.isascii() and following.isalpha()) or following in ("/", "!"):
            end = text.find(">", opening)
            if end < 0:
                break
            kept.append(text[position:opening])
            position = end + 1
        else:
            kept.append(text[position : opening + 1])
            position = opening + 1
    return "".join([*kept, text[position:]])


@TEXT.function(
    "substring",
    "text: text; start: number; [end: number]",
    "The characters from a 0-based position up to another.",
    Example('{{substring("Hello"; 1; 3)}}', "el"),
    gives="text",
)
def substring(text: str, start: Any, end: Any) -> str:
    astral = not text.isascii() and _ASTRAL.search(text)
    size = units(text) if astral else len(text)
    first, last = sorted((_clamped(start, 0, size), _clamped(end, size, size)))
    if not astral:
        return text[first:last]
    return _encode(text)[2 * first : 2 * last].decode("utf-16-le", "surrogatepass")


@TEXT.function(
    "trim", "text: text", "The text without white space at its ends.", Example('{{trim(" a ")}}', "a"), gives="text"
)
def trim(text: str) -> str:
    return text.strip(SPACES)


__all__ = ["TEXT", "units"]
