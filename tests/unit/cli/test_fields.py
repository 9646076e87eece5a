"""What commands know about an app's parameters."""

from __future__ import annotations

import io

import pytest

from runtime.errors import UsageError
from runtime.parameters import parse_fields
from workers.cli.fields import ask_missing, given_parameters, names_of

FIELDS = parse_fields(
    [
        {"name": "url", "type": "url", "required": True},
        {"name": "key", "type": "password"},
        {"name": "tags", "type": "array", "spec": {"type": "text"}},
        {"name": "login", "type": "collection", "spec": [{"name": "pin", "type": "password"}]},
        {
            "name": "mode",
            "type": "select",
            "default": "a",
            "required": True,
            "options": [{"value": "a", "nested": [{"name": "pem", "type": "pkey"}]}],
        },
        {"type": "banner", "text": "hello"},
    ]
)


def test_secrets_are_found_at_every_depth() -> None:
    """Nested fields of an option, and collections that hold a secret, count; a banner has no name."""
    names = names_of(FIELDS)

    assert names.all == {"url", "key", "tags", "login", "mode", "pem"}
    assert names.secret == {"key", "login", "pem"}
    assert names.structured == {"tags", "login"}


def test_pairs_win_over_the_file(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Marked forms of the file are values; a structured pair is JSON."""
    text = io.TextIOWrapper(io.BytesIO(b'{"url": "a", "d": {"$date": "2026-01-01T00:00:00.000Z"}}'))
    monkeypatch.setattr("sys.stdin", text)
    given = given_parameters("-", ["url=b", 'tags=["x"]'], names_of(FIELDS))

    assert given["url"] == "b"
    assert given["tags"] == ["x"]
    assert given["d"].year == 2026


def test_a_secret_pair_is_refused() -> None:
    """Also for a collection that holds one."""
    for pair in ("key=abc", 'login={"pin": "1"}', "pem=x"):
        with pytest.raises(UsageError, match="takes no secret"):
            given_parameters(None, [pair], names_of(FIELDS))


def test_without_a_terminal_only_required_ones_without_default_are_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional secret that is not given is left out; a required parameter is wrong use."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    assert ask_missing(FIELDS, {"url": "x"}) == {"url": "x"}
    with pytest.raises(UsageError, match="url is missing"):
        ask_missing(FIELDS, {})
