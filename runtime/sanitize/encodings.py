"""
How a secret looks in text: the forms to search for (needles), and decoded views of a text to search in.

Encodings that keep the text's characters one by one (URL, JSON, HTML) come in too many mixtures to be listed: which
characters a service escapes is its own choice. So the *text* is decoded, with a map back to its own offsets. Encodings
that mix neighbouring characters (base64) or depend on nothing else (hexadecimal) are listed as needles.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote, quote_plus

#: What stands in place of a secret; neither type nor length of the value shows (spec/communication.md 21).
MASK: Final = "[sanitized]"
#: Shorter values are masked only where they are a whole value: as part of a text, `1` or `abc` would shred every log
#: and, by its pattern of masks, tell more than it hides.
SHORTEST_PART: Final = 4
#: A line of a longer secret (a PEM key) is a secret of its own from this length on.
SHORTEST_LINE: Final = 16
#: How often encodings may be nested around a needle: URL in URL, JSON text in a JSON body, URL in JSON, ...
VIEW_DEPTH: Final = 2
#: Base64 pieces shorter than this would match by chance.
SHORTEST_BASE64: Final = 4

Span: TypeAlias = "tuple[int, int]"


@dataclass(frozen=True, slots=True)
class Needle:
    """
    A text that gives a secret away.

    `before` and `after` are characters around it that hold some of the secret's bits as well: base64 that does not
    start or end at a group's edge.
    """

    text: str
    before: int = 0
    after: int = 0


def needles_of(value: str) -> tuple[Needle, ...]:
    """All forms of one secret of at least `SHORTEST_PART` characters, without those that views of a text uncover."""
    found: dict[str, Needle] = {}
    for text in _texts(value):
        found.setdefault(text, Needle(text))
        for data in _bytes(text):
            for needle in _base64(data):
                found.setdefault(needle.text, needle)
            for digits in (data.hex(), data.hex().upper()):
                found.setdefault(digits, Needle(digits))
    return tuple(found.values())


def _texts(value: str) -> Iterator[str]:
    yield value
    stripped = value.strip()
    if len(stripped) >= SHORTEST_PART:
        yield stripped
    if not value.isascii():
        with contextlib.suppress(UnicodeEncodeError):
            # How the view of a percent-encoded Latin-1 text shows it.
            yield value.encode("latin-1").decode("utf-8", "surrogateescape")
    lines = value.split("\n")
    if len(lines) > 1:
        for line in map(str.strip, lines):
            # The armour lines of a PEM text are the same for everybody.
            if len(line) >= SHORTEST_LINE and not line.startswith("-----"):
                yield line


def _bytes(text: str) -> set[bytes]:
    """The byte strings that an encoder may have been given: UTF-8, Latin-1, and the text inside JSON or a form."""
    data = {text.encode("utf-8", "surrogatepass")}
    for inner in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], _quoted(text), _plus(text)):
        data.add(inner.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(UnicodeEncodeError):
        data.add(text.encode("latin-1"))
    return data


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def _plus(text: str) -> str:
    return quote_plus(text, safe="", errors="surrogatepass")


def _base64(data: bytes) -> Iterator[Needle]:
    """
    The base64 of `data` wherever it stands inside longer data, in both alphabets.

    Behind `shift` other bytes of a group of three, the first characters mix with those; so do the last ones with what
    follows. They are left out of the needle and covered by `before` and `after`.
    """
    for shift in range(3):
        length = shift + len(data)
        start, end = -(-shift * 8 // 6), length * 8 // 6
        if end - start < SHORTEST_BASE64:
            continue
        padded = b"\0" * shift + data
        for encoder in (base64.b64encode, base64.urlsafe_b64encode):
            text = encoder(padded).decode("ascii")[start:end]
            yield Needle(text, before=1 if shift else 0, after=1 if length % 3 else 0)


# --- views ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decoder:
    """One character-wise encoding: `token` matches what it writes, `decode` gives the characters with their lengths."""

    mark: str
    token: re.Pattern[str]
    decode: Callable[[str], str]
    #: The encoded lengths of the decoded characters, in order.
    lengths: Callable[[str], list[int]]


def _percent(token: str) -> str:
    return bytes.fromhex(token.replace("%", "")).decode("utf-8", "surrogateescape")


def _percent_lengths(token: str) -> list[int]:
    return [3 * len(char.encode("utf-8", "surrogateescape")) for char in _percent(token)]


_JSON_SHORT: Final = {
    "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0", "a": "\a",
}  # fmt: skip


def _backslash(token: str) -> str:
    if token[1] in "uUx":
        units = [int(part[1:], 16) for part in token[1:].split("\\")]
        if len(units) == 2:
            return chr(0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00))
        return chr(units[0]) if units[0] <= 0x10FFFF else "\ufffd"
    return _JSON_SHORT.get(token[1], token[1])


def _entity(token: str) -> str:
    return html.unescape(token)


def _whole(decode: Callable[[str], str]) -> Callable[[str], list[int]]:
    """Lengths for tokens that stand for one character, or for several that cannot be told apart."""

    def lengths(token: str) -> list[int]:
        rest = len(decode(token)) - 1
        return [len(token)] + [0] * rest

    return lengths


_HIGH = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
DECODERS: Final = (
    Decoder("%", re.compile(r"(?:%[0-9a-fA-F]{2})+"), _percent, _percent_lengths),
    Decoder(
        "\\",
        # JSON, and what `repr` writes into tracebacks.
        re.compile(rf"{_HIGH}|\\u[0-9a-fA-F]{{4}}|\\U[0-9a-fA-F]{{8}}|\\x[0-9a-fA-F]{{2}}|\\[^uUx]", re.DOTALL),
        _backslash,
        _whole(_backslash),
    ),
    Decoder("&", re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});"), _entity, _whole(_entity)),
    # A form, where `+` is a space; apart from the first, since `+` is often just a plus.
    Decoder(
        "+",
        re.compile(r"\+|(?:%[0-9a-fA-F]{2})+"),
        lambda piece: " " if piece == "+" else _percent(piece),
        lambda piece: [1] if piece == "+" else _percent_lengths(piece),
    ),
)


@dataclass(frozen=True, slots=True)
class View:
    """A decoded text, and how to find a place of it in the text that it was decoded from."""

    text: str
    source: str
    decoder: Decoder

    def origins(self) -> list[int]:
        """For each offset of the decoded text, its end included, the offset in the source."""
        offsets: list[int] = []
        at = 0
        for match in self.decoder.token.finditer(self.source):
            offsets.extend(range(at, match.start()))
            at = match.start()
            for length in self.decoder.lengths(match[0]):
                offsets.append(at)
                at += length
            at = match.end()
        offsets.extend(range(at, len(self.source) + 1))
        return offsets


def views(text: str, *, spaces: bool) -> Iterator[View]:
    """The text with one encoding taken off, for each encoding that occurs. `spaces`: also read `+` as a space."""
    for decoder in DECODERS:
        if decoder.mark not in text or (decoder.mark == "+" and not spaces):
            continue
        decode = decoder.decode
        decoded = decoder.token.sub(lambda match, decode=decode: decode(match[0]), text)
        if decoded != text:
            yield View(decoded, text, decoder)


def occurring(text: str, needles: Sequence[Needle], *, spaces: bool, depth: int = VIEW_DEPTH) -> list[Needle]:
    """The needles that stand in the text, plain or encoded; most texts hold none, and this finds that out fast."""
    found = [needle for needle in needles if needle.text in text]
    if depth:
        for view in views(text, spaces=spaces):
            found += occurring(view.text, needles, spaces=spaces, depth=depth - 1)
    return found


def find_spans(text: str, needles: Sequence[Needle], *, spaces: bool, depth: int = VIEW_DEPTH) -> list[Span]:
    """Where any needle stands in the text, plain or encoded, as unsorted (start, end) offsets."""
    spans: list[Span] = []
    for needle in needles:
        wanted = needle.text
        at = text.find(wanted)
        while at >= 0:
            spans.append((max(0, at - needle.before), at + len(wanted) + needle.after))
            at = text.find(wanted, at + 1)
    if depth:
        for view in views(text, spaces=spaces):
            inner = find_spans(view.text, needles, spaces=spaces, depth=depth - 1)
            if inner:
                origins = view.origins()
                last = len(origins) - 1
                spans.extend((origins[start], origins[min(end, last)]) for start, end in inner)
    return spans


def merged(spans: list[Span]) -> list[Span]:
    """The spans in order, overlapping and touching ones as one."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def masked(text: str, spans: list[Span], *, limit: int | None = None) -> str:
    """
    The text with a mask in place of each span. With `limit`, only what starts before this offset of the *given* text:
    masks are shorter than what they hide, and must not draw unsearched text into sight.
    """
    visible = len(text) if limit is None else min(limit, len(text))
    parts: list[str] = []
    at = 0
    for start, end in merged(spans):
        if start >= visible:
            break
        parts += [text[at:start], MASK]
        at = end
    if at < visible:
        parts.append(text[at:visible])
    return "".join(parts)
