"""
The registry of known secret values, and what it makes of texts and JSON data.

Scopes form a tree. A process has one root; a run opens a scope, adds what it decrypts or evaluates, and closes it. A
scope redacts what it, its ancestors and its open descendants know: the process log knows every open run's secrets, a
run is not slowed down by those of its neighbours.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from runtime.counters import count
from runtime.sanitize.encodings import (
    MASK,
    SHORTEST_PART,
    Needle,
    Span,
    find_spans,
    masked,
    needles_of,
    occurring,
)
from runtime.values import UNDEFINED, Buffer, date_text, number_text

#: Deeper data than any real document holds; what lies below is withheld.
MAX_DEPTH: Final = 250
#: One clock for all scopes: a changed number tells a scope that its collected needles are out of date.
_changes: Final = itertools.count(1)
_lock = threading.RLock()


def _unlock() -> None:
    """In a forked child: another thread of the parent may have held the lock."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_unlock)


class _Version:
    """Number of the last change to any scope; a cell, since scopes compare it without taking the lock."""

    number = 0


@dataclass(frozen=True, slots=True)
class _Matcher:
    version: int
    needles: tuple[Needle, ...]
    #: Values that are masked only as whole values.
    short: frozenset[str]
    #: Whether a `+` may stand for a space of some secret.
    spaces: bool
    #: How many characters of an encoded text one secret may take.
    reach: int


class Secrets:
    """
    Known secret values; thread-safe. Use as a context manager, or call `close` when the values may be forgotten.

    Values of at least `SHORTEST_PART` characters are found anywhere in a text and in their usual encodings; shorter
    ones only where they are a whole value.
    """

    def __init__(self, parent: Secrets | None = None) -> None:
        self._parent = parent
        self._children: weakref.WeakSet[Secrets] = weakref.WeakSet()
        self._own: dict[str, tuple[Needle, ...]] = {}
        self._matcher = _Matcher(-1, (), frozenset(), False, 0)
        if parent is not None:
            with _lock:
                parent._children.add(self)

    def scope(self) -> Secrets:
        """A child whose values are known here as well until it is closed."""
        return Secrets(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget this scope's values."""
        with _lock:
            self._own.clear()
            if self._parent is not None:
                self._parent._children.discard(self)
            _Version.number = next(_changes)

    def add(self, value: object) -> None:
        """
        Register one secret. Texts, numbers and buffers count; lists and collections give their members; dates, booleans
        and empty values are no secrets.
        """
        self.add_all([value])

    def add_all(self, values: Iterable[object]) -> None:
        """Register several secrets at once."""
        new = {text for value in values for text in _texts_of(value, 0)}
        forms = {text: needles_of(text) if len(text) >= SHORTEST_PART else () for text in new - self._own.keys()}
        if forms:
            with _lock:
                self._own.update(forms)
                _Version.number = next(_changes)

    def redact_text(
        self, text: str, *, limit: int | None = None, also: Callable[[str], list[Span]] | None = None
    ) -> str:
        """
        The text with each known secret masked; with `limit`, cut to what its first `limit` characters give. `also`
        finds more spans that must not be seen.
        """
        matcher = self._current()
        if text in matcher.short:
            count("secrets_masked")
            return MASK
        # A secret that the cut would split starts before it; what comes later need not be searched.
        window = text if limit is None else text[: limit + matcher.reach]
        spans = also(window) if also is not None else []
        needles = occurring(window, matcher.needles, spaces=matcher.spaces) if matcher.needles else []
        if needles:
            spans = spans + find_spans(window, needles, spaces=matcher.spaces)
        if not spans:
            return window if limit is None else window[:limit]
        count("secrets_masked")
        return masked(window, spans, limit=limit)

    def may_know(self, text: str) -> bool:
        """Whether a known value stands in the text, or could without being found: as a short value that is whole."""
        matcher = self._current()
        return bool(matcher.short) or bool(occurring(text, matcher.needles, spaces=matcher.spaces))

    def redact(self, value: Any) -> Any:
        """
        JSON data with each known secret masked, in keys too. The result is plain JSON and shares nothing that is
        changed with `value`; dates become ISO text, buffers and unknown objects their redacted description.
        """
        matcher = self._current()
        texts: list[str] = []
        _collect(value, texts, 0)
        needles = occurring("\n".join(texts), matcher.needles, spaces=matcher.spaces) if matcher.needles else []
        return _Redaction(tuple(dict.fromkeys(needles)), matcher, self).value(value, 0)

    def _current(self) -> _Matcher:
        matcher = self._matcher
        if matcher.version == _Version.number:
            return matcher
        with _lock:
            known: dict[str, tuple[Needle, ...]] = {}
            node: Secrets | None = self._parent
            while node is not None:
                known.update(node._own)
                node = node._parent
            self._gather(known)
            needles = dict.fromkeys(needle for forms in known.values() for needle in forms)
            matcher = _Matcher(
                version=_Version.number,
                needles=tuple(needles),
                short=frozenset(text for text, forms in known.items() if not forms),
                spaces=any(" " in needle.text for needle in needles),
                # Encoded twice, a character of a value takes up to 20 (`%25XX` for four bytes); the longer needles are
                # ASCII without much to encode.
                reach=max(
                    20 * max((len(text) for text in known), default=0),
                    3 * max((len(needle.text) for needle in needles), default=0),
                ),
            )
            self._matcher = matcher
            return matcher

    def _gather(self, known: dict[str, tuple[Needle, ...]]) -> None:
        known.update(self._own)
        for child in list(self._children):
            child._gather(known)

    def __repr__(self) -> str:
        return f"Secrets({len(self._own)} values)"


def _texts_of(value: object, depth: int) -> Iterable[str]:
    if isinstance(value, bool) or value is None or value is UNDEFINED or depth > MAX_DEPTH:
        return
    if isinstance(value, str):
        if value:
            yield str(value)
    elif isinstance(value, (int, float)):
        yield number_text(value)
    elif isinstance(value, Buffer):
        yield from _texts_of(value.data, depth)
    elif isinstance(value, bytes):
        if value:
            yield value.decode("utf-8", "surrogateescape")
    elif isinstance(value, dict):
        for member in value.values():
            yield from _texts_of(member, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _texts_of(item, depth + 1)


def _collect(value: object, texts: list[str], depth: int) -> None:
    if isinstance(value, str):
        texts.append(value)
    elif depth > MAX_DEPTH or value is None or isinstance(value, bool):
        return
    elif isinstance(value, dict):
        for key, member in value.items():
            texts.append(str(key))
            _collect(member, texts, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            _collect(item, texts, depth + 1)
    else:
        texts.append(_described(value))


def _described(value: object) -> str:
    """A scalar or an unknown object as text, for searching and, if it is no number, for showing."""
    if isinstance(value, (int, float)):
        return number_text(value)
    if isinstance(value, datetime):
        return date_text(value) if value.tzinfo is not None else value.isoformat()
    return repr(value)


@dataclass(frozen=True, slots=True)
class _Redaction:
    """One pass over JSON data with the few needles that occur in it."""

    needles: tuple[Needle, ...]
    matcher: _Matcher
    secrets: Secrets

    def text(self, text: str) -> str:
        if text in self.matcher.short:
            count("secrets_masked")
            return MASK
        spans = find_spans(text, self.needles, spaces=self.matcher.spaces) if self.needles else []
        if not spans:
            return str(text)
        count("secrets_masked")
        return masked(text, spans)

    def value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if depth > MAX_DEPTH:
            return MASK
        if isinstance(value, dict):
            return self.members(value, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(item, depth + 1) for item in value]
        if value is UNDEFINED:
            return None
        text = _described(value)
        if not isinstance(value, (int, float)):
            # `repr` of an unknown object may give another text than the one that was searched.
            return self.secrets.redact_text(text)
        shown = self.text(text)
        if shown != text:
            return MASK
        return value if value - value == 0 else None

    def members(self, value: dict[Any, Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, member in value.items():
            name = plain = self.text(str(key))
            for number in itertools.count(2):
                if name not in result:
                    break
                name = f"{plain} {number}"
            result[name] = self.value(member, depth + 1)
        return result
