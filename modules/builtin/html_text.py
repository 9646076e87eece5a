"""HTML as text for people, and the elements of HTML (spec/scenarios.md 4.9)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, Final

_BLANKS: Final = re.compile(r"[ \t\r\n\f]+")
_HEADINGS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
#: Elements that begin and end a paragraph, with an empty line between; others only a line.
_PARAGRAPHS: Final = _HEADINGS | {"p", "ul", "ol", "blockquote", "pre", "table"}
_LINES: Final = _PARAGRAPHS | frozenset(
    {"div", "section", "article", "header", "footer", "main", "nav", "li", "tr", "dl", "dt", "dd", "form", "address"}
)
_HIDDEN: Final = frozenset({"script", "style", "head", "template", "noscript"})
_TAGS: Final = {"image": "img", "img": "img", "link": "a", "a": "a", "iframe": "iframe"}


class _Text(HTMLParser):
    """Collects text; line ends wait until there is text behind them."""

    def __init__(self, uppercase_headings: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.upper = uppercase_headings
        self.out: list[str] = []
        self.breaks = 0
        self.hidden = 0
        self.heading = 0
        self.pre = 0
        self.links: list[str] = []
        self.lists: list[int | None] = []
        self.blank = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self.hidden += 1
        elif tag == "br":
            self.out.append("\n" if self.out or self.breaks else "")
            self.blank = False
        elif tag == "hr":
            self._line(2)
        elif tag == "a":
            self.links.append(dict(attrs).get("href") or "")
        elif tag == "img":
            self._add(dict(attrs).get("alt") or "")
        if tag in _LINES:
            self._line(2 if tag in _PARAGRAPHS and not (tag in ("ul", "ol") and self.lists) else 1)
        if tag in _HEADINGS:
            self.heading += 1
        elif tag == "pre":
            self.pre += 1
        elif tag in ("ul", "ol"):
            self.lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self._item()
        elif tag in ("td", "th"):
            self.blank = True

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self.hidden = max(0, self.hidden - 1)
        elif tag == "a" and self.links:
            href = self.links.pop()
            if href and not href.startswith("#"):
                self._add(f" [{href}]")
        elif tag in ("ul", "ol") and self.lists:
            self.lists.pop()
        elif tag == "pre":
            self.pre = max(0, self.pre - 1)
        if tag in _LINES:
            self._line(2 if tag in _PARAGRAPHS and not (tag in ("ul", "ol") and self.lists) else 1)
        if tag in _HEADINGS:
            self.heading = max(0, self.heading - 1)

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _item(self) -> None:
        indent = "  " * max(0, len(self.lists) - 1)
        number = self.lists[-1] if self.lists else None
        if number is None:
            self._raw(f"{indent} * ")
        else:
            self.lists[-1] = number + 1
            self._raw(f"{indent} {number + 1}. ")

    def _line(self, count: int) -> None:
        self.blank = False
        if self.out:
            self.breaks = max(self.breaks, count)

    def _raw(self, text: str) -> None:
        self.out.append("\n" * self.breaks + text)
        self.breaks, self.blank = 0, False

    def _add(self, data: str) -> None:
        if self.hidden or not data:
            return
        text = data if self.pre else _BLANKS.sub(" ", data)
        if not self.pre:
            ended = not self.out or self.breaks > 0 or self.out[-1].endswith(("\n", " "))
            lead = (text.startswith(" ") or self.blank) and not ended
            self.blank = text.endswith(" ") and (text != " " or self.blank or not ended)
            text = text.strip(" ")
            if not text:
                self.blank = self.blank or lead
                return
            text = (" " if lead else "") + text
        self._raw_keep(text.upper() if self.upper and self.heading else text)

    def _raw_keep(self, text: str) -> None:
        self.out.append("\n" * self.breaks + text)
        self.breaks = 0


def html_to_text(html: str, *, uppercase_headings: bool = False) -> str:
    """
    HTML as plain text: links as `text [url]`, list items with ` * `, tables flattened, blanks as a browser shows them.
    """
    parser = _Text(uppercase_headings)
    parser.feed(html)
    parser.close()
    return "".join(parser.out).strip("\n")


def elements(html: str, kind: str) -> list[dict[str, Any]]:
    """The attributes of each element of a kind: `image`, `link` or `iframe`."""
    wanted = _TAGS.get(kind.lower(), kind.lower())
    found: list[dict[str, Any]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == wanted:
                found.append({name: value or "" for name, value in attrs})

    reader = Reader(convert_charrefs=True)
    reader.feed(html)
    reader.close()
    return found
