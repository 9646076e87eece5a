"""
The address of a request: joining with `baseUrl`, encoding of path and query, merging of `qs` into the query.

Pure functions over text. Source: spec/communication.md sections 7 and 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, unquote

from runtime.errors import DataError, InvalidConfigurationError
from runtime.values import UNDEFINED, Buffer, number_text, to_text

#: What `encodeURI` leaves alone besides letters, digits and `-_.~`; `?` and `#` never reach it here.
_PATH_SAFE: Final = ";,/:@&=+$!*'()"
#: What may stand in a path or query unescaped, a percent sign included.
_TARGET_SAFE: Final = "%!$&'()*+,;=:@/?[]-._~"
_ABSOLUTE: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.\-]*://")
_AUTHORITY: Final = re.compile(r"\A[A-Za-z0-9._~%:\[\]\-\u0080-\U0010ffff]+\Z")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BREAKS: Final = re.compile(r"[\r\n\0]")
_SLASHES: Final = re.compile(r"/{2,}")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Address:
    """
    An address split into `scheme://host:port`, encoded path, and the encoded pieces of its own query with the
    decoded name and value of each. `user` is the part before `@`, which is never sent as part of the address.
    """

    origin: str
    path: str
    pieces: tuple[str, ...] = ()
    user: str = ""

    def named_pieces(self) -> list[tuple[str, str, str]]:
        """(decoded name, decoded value, piece as sent) for every piece."""
        named: list[tuple[str, str, str]] = []
        for piece in self.pieces:
            name, _, value = piece.partition("=")
            named.append((unquote(name), unquote(value), piece))
        return named


def is_absolute(url: str) -> bool:
    """True when the text begins like `scheme://`."""
    return _ABSOLUTE.match(url) is not None


def parse_address(url: str, base_url: str, *, encode: bool = True, link: bool = False) -> Address:
    """
    The address that `url` means over `base_url` (empty = none).

    `link` marks a link that the service gave (`pagination.url`): a second `?` stays what it is.

    Raises:
        InvalidConfigurationError: The url is empty, relative without a base, or not http(s).
    """
    if not url:
        raise InvalidConfigurationError("url is empty")
    if not encode and _BREAKS.search(url):
        raise InvalidConfigurationError("url holds a line break or NUL character")
    path_and_query, _, _ = url.partition("#")
    path, _, query = path_and_query.partition("?")
    if is_absolute(url):
        head, path = _split_origin(path)
    else:
        if not base_url:
            raise InvalidConfigurationError("url is relative, no baseUrl")
        base_path_and_query, _, _ = base_url.strip().partition("#")
        base, _, base_query = base_path_and_query.partition("?")
        head, base_path = _split_origin(base)
        path = base_path.rstrip("/") + "/" + path.lstrip("/")
        query = "&".join(part for part in (base_query, query) if part)
    origin, user = head
    if encode:
        path = _SLASHES.sub("/", quote(path, safe=_PATH_SAFE, errors="replace"))
    else:
        path = quote(path, safe=_TARGET_SAFE, errors="replace")
    return Address(origin, path or "/", _pieces(query, link=link), user)


def _split_origin(text: str) -> tuple[tuple[str, str], str]:
    """((origin, user), path) of an absolute address without query."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise InvalidConfigurationError("url is not an http or https address")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    # A backslash in front of the host is read as a slash by some and as part of the user by others.
    if "\\" in authority or not _AUTHORITY.match(host):
        raise InvalidConfigurationError("url has no valid host name")
    return (f"{scheme.lower()}://{host}", user if at else ""), slash + path


def _pieces(query: str, *, link: bool) -> tuple[str, ...]:
    if not query:
        return ()
    if not link:
        query = query.replace("?", "&")
    escaped = _BAD_PERCENT.sub("%25", quote(query, safe=_TARGET_SAFE, errors="replace"))
    return tuple(piece for piece in escaped.split("&") if piece)


def scalar_text(value: Any, where: str) -> str:
    """
    A scalar as it stands in a query, a form or a header: numbers without exponent where that is exact.

    Raises:
        DataError: A buffer, which has no text form here.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and value - value == 0:
        if value.is_integer():
            return str(int(value))
        text = number_text(value)
        return format(Decimal(text), "f") if "e" in text else text
    if isinstance(value, Buffer):
        raise DataError(f"a buffer cannot be sent in {where}")
    return to_text(value)


def flatten(values: Any, where: str, *, indexed: bool = False) -> list[tuple[str, str]]:
    """
    The (name, value) pairs of a collection: null and undefined left out, arrays as repeated names (`list[0]` when
    `indexed`), collections as `a[b]`, arrays of collections as `a[0][b]` (spec/communication.md 8.6 to 8.8, 10).

    Raises:
        DataError: A buffer is among the values.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        _flatten_into(pairs, str(name), value, where, indexed=indexed)
    return pairs


def _flatten_into(pairs: list[tuple[str, str]], name: str, value: Any, where: str, *, indexed: bool) -> None:
    if value is None or value is UNDEFINED:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            numbered = indexed or isinstance(item, (dict, list))
            _flatten_into(pairs, f"{name}[{index}]" if numbered else name, item, where, indexed=indexed)
    elif isinstance(value, dict):
        for key, member in value.items():
            _flatten_into(pairs, f"{name}[{key}]", member, where, indexed=indexed)
    elif isinstance(value, (datetime, str, int, float, bool, Buffer)):
        pairs.append((name, scalar_text(value, where)))


def encode_component(text: str) -> str:
    """RFC 3986 percent-encoding of a name or value; a blank is `%20`."""
    return quote(text, safe="", errors="replace")


def encode_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """Pairs as `a=b&c=d`."""
    return "&".join([f"{encode_component(name)}={encode_component(value)}" for name, value in pairs])


def fields_of(value: Any, where: str) -> dict[str, Any]:
    """
    The collection that a `qs` or `headers` directive gave; nothing gives an empty one.

    Raises:
        DataError: It is no collection.
    """
    if value is None or value is UNDEFINED or value == "":
        return {}
    if not isinstance(value, dict):
        raise DataError(f"{where} must be a collection")
    return value


def build_target(address: Address, *layers: list[tuple[str, str]], url_over_layers: int = 0) -> tuple[str, Pairs]:
    """
    The request target and the decoded query.

    Each layer of pairs overrides the names of what stands before it. The query of the address stands before all
    layers, or, with `url_over_layers` n, over the first n of them; it is always written first.
    """
    own = address.named_pieces()
    own_names = {name for name, _, _ in own}
    pairs: list[tuple[str, str]] = []
    for number, layer in enumerate(layers):
        if number < url_over_layers:
            layer = [pair for pair in layer if pair[0] not in own_names]
        else:
            names = {name for name, _ in layer}
            own = [piece for piece in own if piece[0] not in names]
        pairs = override_pairs(pairs, layer) if pairs else layer
    text = "&".join([piece for _, _, piece in own] + ([encode_pairs(pairs)] if pairs else []))
    merged = tuple([(name, value) for name, value, _ in own] + pairs)
    return (f"{address.path}?{text}" if text else address.path), merged


def override_pairs(pairs: list[tuple[str, str]], newer: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`pairs` with the names of `newer` replaced at the place of their first occurrence, the rest at the end."""
    names = {name for name, _ in newer}
    merged: list[tuple[str, str]] = []
    placed: set[str] = set()
    for name, value in pairs:
        if name not in names:
            merged.append((name, value))
        elif name not in placed:
            placed.add(name)
            merged.extend(pair for pair in newer if pair[0] == name)
    merged.extend(pair for pair in newer if pair[0] not in placed)
    return merged
