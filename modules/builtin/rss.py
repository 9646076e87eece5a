"""The app `rss`, version 4: reads the articles of an RSS or Atom feed (spec/scenarios.md 4.10)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from modules.builtin.http_request import Draft, basic, exchange, failure, switch, text
from modules.builtin.job import PAGE, Builtin, BuiltinJob, field
from runtime.communication.reading import decode, read_headers
from runtime.communication.xml import XmlError, parse_xml
from runtime.dates import parse_date_text
from runtime.effects import Emit, Steps
from runtime.errors import DataError
from runtime.values import UNDEFINED, Bundle, to_text

_Element = dict[str, Any]


def read_articles(job: BuiltinJob) -> Steps[None]:
    """The articles of a feed, newest as the feed lists them, one bundle each."""
    draft = Draft(text(job, "url"), compressed=switch(job, "gzip", True))
    if text(job, "username"):
        draft.headers.append(("Authorization", basic(text(job, "username"), text(job, "password"))))
    response = yield from exchange(draft)
    error = failure(response, job)
    if error is not None:
        raise error
    header = to_text(read_headers(response.headers).get("content-type") or "")
    try:
        feed = parse_xml(decode(response.body, header, xml=True).strip())
    except XmlError as fault:
        raise DataError(f"The feed is not valid XML: {fault}.") from None
    found = [article for article in articles(feed) if _within(job, article)][: int(job.config["maxResults"])]
    for start in range(0, len(found), PAGE):
        yield Emit(found[start : start + PAGE])


def _within(job: BuiltinJob, article: Bundle) -> bool:
    date = article.get("dateUpdated", article.get("dateCreated"))
    since, until = job.config.get("filterDateFrom", UNDEFINED), job.config.get("filterDateTo", UNDEFINED)
    if isinstance(since, datetime) and (date is None or date < since):
        return False
    return not (isinstance(until, datetime) and (date is None or date > until))


def articles(feed: dict[str, Any]) -> list[Bundle]:
    """
    The articles of a parsed feed: RSS 0.9x, 1.0 (RDF), 2.0 and Atom.

    Raises:
        DataError: It is none of them.
    """
    name, root = next(iter(feed.items()))
    local = name.rpartition(":")[2].lower()
    if not isinstance(root, dict):
        raise DataError("The answer is no RSS or Atom feed.")
    if local == "rss":
        channel = _first(root, "channel")
        return [_article(item) for item in _all(channel if isinstance(channel, dict) else {}, "item")]
    if local == "rdf":
        return [_article(item) for item in _all(root, "item")]
    if local == "feed":
        return [_entry(item) for item in _all(root, "entry")]
    raise DataError("The answer is no RSS or Atom feed.")


def _all(element: _Element, name: str) -> list[_Element]:
    found: Any = element.get(name, [])
    return [item if isinstance(item, dict) else {"_value": item} for item in found] if isinstance(found, list) else []


def _first(element: _Element, *names: str) -> Any:
    for name in names:
        found = element.get(name)
        if isinstance(found, list) and found:
            return found[0]
    return None


def _text(element: _Element, *names: str) -> str | None:
    for name in names:
        value = _first(element, name)
        if isinstance(value, dict):
            value = value.get("_value")
        if isinstance(value, str) and value.strip():
            return value.strip()
    return None


def _attributes(element: Any) -> dict[str, str]:
    found: Any = element.get("_attributes") if isinstance(element, dict) else None
    return found if isinstance(found, dict) else {}


def _date(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return parse_date_text(value, "UTC")
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _article(item: _Element) -> Bundle:
    source, enclosures = _first(item, "source"), _all(item, "enclosure")
    return _filled({
        "title": _text(item, "title"),
        "description": _text(item, "content:encoded", "description"),
        "summary": _text(item, "description"),
        "author": _text(item, "author", "dc:creator"),
        "url": _text(item, "link", "guid"),
        "dateUpdated": _date(_text(item, "pubDate", "dc:date")),
        "dateCreated": _date(_text(item, "pubDate", "dc:date")),
        "comments": _text(item, "comments"),
        "image": _image(item),
        "categories": [text for text in (_text({"c": [each]}, "c") for each in _all(item, "category")) if text],
        "source": None if source is None else _filled({
            "title": source if isinstance(source, str) else source.get("_value"),
            "url": _attributes(source).get("url"),
        }),
        "enclosures": [_enclosure(_attributes(each), "url") for each in enclosures],
        "rssFields": _others(item),
    })  # fmt: skip


def _entry(item: _Element) -> Bundle:
    links = [_attributes(link) for link in _all(item, "link")]
    page = next((link.get("href") for link in links if link.get("rel", "alternate") == "alternate"), None)
    author = _first(item, "author")
    return _filled({
        "title": _text(item, "title"),
        "description": _text(item, "content", "summary"),
        "summary": _text(item, "summary"),
        "author": _text(author, "name") if isinstance(author, dict) else None,
        "url": page or _text(item, "id"),
        "dateUpdated": _date(_text(item, "updated", "published")),
        "dateCreated": _date(_text(item, "published", "updated")),
        "image": _image(item),
        "categories": [_attributes(each).get("term", "") for each in _all(item, "category")],
        "enclosures": [_enclosure(link, "href") for link in links if link.get("rel") == "enclosure"],
        "rssFields": _others(item),
    })  # fmt: skip


def _image(item: _Element) -> Bundle | None:
    for name in ("media:thumbnail", "media:content", "itunes:image"):
        found = _attributes(_first(item, name))
        url = found.get("url") or found.get("href")
        if url:
            return _filled({"title": found.get("title"), "url": url})
    image = _first(item, "image")
    return _filled({"title": _text(image, "title"), "url": _text(image, "url")}) if isinstance(image, dict) else None


def _enclosure(found: dict[str, str], address: str) -> Bundle:
    length = found.get("length", "")
    return _filled({
        "url": found.get(address),
        "type": found.get("type"),
        "length": int(length) if length.isdigit() and len(length) < 16 else None,
    })  # fmt: skip


def _others(item: _Element) -> Bundle:
    """Elements of other name spaces by their name, as text where they have one."""
    return {
        name.replace(":", "_"): value
        for name in item
        if ":" in name and not name.startswith("_") and (value := _text(item, name)) is not None
    }


def _filled(bundle: Bundle) -> Bundle:
    return {name: value for name, value in bundle.items() if value is not None}


ENTRIES: Final = (
    Builtin(
        "rss:ActionReadArticles",
        versions=(4,),
        run=read_articles,
        static=[field("include", "any")],
        mappable=[
            field("url", required=True),
            field("username"),
            field("password"),
            field("filterDateFrom", "date"),
            field("filterDateTo", "date"),
            field("maxResults", "uinteger", required=True, default=10),
            field("gzip", "boolean"),
        ],
        multi_bundle=True,
    ),
)
