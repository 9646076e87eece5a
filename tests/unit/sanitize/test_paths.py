"""The paths of `log.sanitize`: their grammar, and what each masks (spec/communication.md 21)."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.sanitize import MASK, SanitizePath, apply_path, parse_path
from runtime.sanitize.paths import EVERY, MAX_PATH, mask_pairs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("request.headers.authorization", ("request", ("headers", "authorization")), id="dots"),
        pytest.param("Request.Headers.X-API-KEY", ("request", ("Headers", "X-API-KEY")), id="a dash is part of a name"),
        pytest.param("request.headers.`X-Api.Key`", ("request", ("headers", "X-Api.Key")), id="back ticks"),
        pytest.param("`response`.`body`", ("response", ("body",)), id="back ticks everywhere"),
        pytest.param(
            "response.body.items[].token", ("response", ("body", "items", EVERY, "token")), id="every element"
        ),
        pytest.param("response.body[2].token", ("response", ("body", 2, "token")), id="one element"),
        pytest.param("response.body.a[ 1 ][]", ("response", ("body", "a", 1, EVERY)), id="nested arrays"),
        pytest.param("request.body.`a[b]`[3]", ("request", ("body", "a[b]", 3)), id="brackets inside back ticks"),
        pytest.param("  request.url ", ("request", ("url",)), id="blanks around"),
        pytest.param("request", ("request", ()), id="root alone"),
        pytest.param("headers.authorization", None, id="another root"),
        pytest.param("requests.headers", None, id="nearly a root"),
        pytest.param("", None, id="empty"),
        pytest.param("..", None, id="dots only"),
    ],
)
def test_path_is_read(text: str, expected: tuple[str, tuple[Any, ...]] | None) -> None:
    """Each form of the grammar gives its parts; a path with another root has no effect."""
    path = parse_path(text)

    assert (path and (path.root, path.parts)) == expected
    assert path is None or path.exact


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("request.headers.`X-Key", ("headers",)),
        ("request.body.a b", ("body", "a")),
        ("request.body.", ("body",)),
        ("response.body[x].y", ("body",)),
    ],
)
def test_unreadable_rest_masks_more(text: str, parts: tuple[str, ...]) -> None:
    """A path that cannot be read to its end masks all from where it stopped: it was written to hide something."""
    path = parse_path(text)

    assert path is not None
    assert (path.parts, path.exact) == (parts, False)


@pytest.mark.parametrize("text", ["request.body" + ".a" * 5000, "request.body" + "[ " * 5000, "request.`" + "a" * 5000])
def test_endless_path_masks_more(text: str) -> None:
    """A path longer than anybody writes is read to a limit only, where it ends and masks all that follows."""
    path = parse_path(text)

    assert path is not None
    assert not path.exact
    assert len(path.parts) <= MAX_PATH


def test_inner_expression_is_kept_apart() -> None:
    """The form with `<...>` names a value inside the text at the path."""
    assert parse_path("request.body<parameters.secret>") == SanitizePath("request", ("body",), "parameters.secret")


BODY = {
    "Token": "t",
    "user": {"name": "n", "keys": [{"key": "k1"}, {"key": "k2"}, "text"]},
    "rows": [[{"key": 1}], [{"key": 2}]],
    "json": '{"a":{"key":"k"},"b":1}',
    "form": "key=k&a%5Bb%5D=c&d=e",
    "xml": "<key>k</key>",
    "number": 5,
    "nothing": None,
}


@pytest.mark.parametrize(
    ("path", "changed"),
    [
        pytest.param("token", {"Token": MASK}, id="any case"),
        pytest.param("user", {"user": MASK}, id="a whole object"),
        pytest.param("nothing", {"nothing": MASK}, id="null shows nothing either"),
        pytest.param("absent.key", {}, id="no such member"),
        pytest.param("number.key", {}, id="nothing below a number"),
        pytest.param(
            "user.keys.key",
            {"user": {"name": "n", "keys": [{"key": MASK}, {"key": MASK}, MASK]}},
            id="arrays are crossed",
        ),
        pytest.param(
            "user.keys[2].key",
            {"user": {"name": "n", "keys": [{"key": "k1"}, {"key": MASK}, "text"]}},
            id="one element",
        ),
        pytest.param("user.keys[]", {"user": {"name": "n", "keys": [MASK, MASK, MASK]}}, id="all as a whole"),
        pytest.param("rows.key", {"rows": [[{"key": MASK}], [{"key": MASK}]]}, id="arrays of arrays"),
        pytest.param("user[].name", {"user": {"name": MASK, "keys": BODY["user"]["keys"]}}, id="an object as element"),
        pytest.param("json.a.key", {"json": f'{{"a":{{"key":"{MASK}"}},"b":1}}'}, id="inside JSON text"),
        pytest.param("json.x", {}, id="JSON text without it"),
        pytest.param("form.key", {"form": f"key={MASK}&a%5Bb%5D=c&d=e"}, id="inside a form"),
        pytest.param("form.a.b", {"form": f"key=k&a%5Bb%5D={MASK}&d=e"}, id="nested name of a form"),
        pytest.param("form.a", {"form": f"key=k&a%5Bb%5D={MASK}&d=e"}, id="all below a name of a form"),
        pytest.param("xml.key", {"xml": MASK}, id="another text as a whole"),
    ],
)
def test_path_masks(path: str, changed: dict[str, Any]) -> None:
    """A path masks exactly what it names, or more when it cannot be followed; the data given are not changed."""
    parsed = parse_path(f"request.body.{path}")
    assert parsed is not None
    before = repr(BODY)

    assert apply_path(BODY, parsed.parts[1:]) == BODY | changed
    assert repr(BODY) == before


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("request.qs.KEY", {"key": MASK, "a[b]": "1", "a[c][0]": "2", "l": ["x", "y"]}),
        ("request.qs.a.b", {"key": "k", "a[b]": MASK, "a[c][0]": "2", "l": ["x", "y"]}),
        ("request.qs.a", {"key": "k", "a[b]": MASK, "a[c][0]": MASK, "l": ["x", "y"]}),
        ("request.qs.`a[b]`", {"key": "k", "a[b]": MASK, "a[c][0]": "2", "l": ["x", "y"]}),
        ("request.qs.l", {"key": "k", "a[b]": "1", "a[c][0]": "2", "l": MASK}),
        ("request.qs.l[2]", {"key": "k", "a[b]": "1", "a[c][0]": "2", "l": ["x", MASK]}),
        ("request.qs", MASK),
    ],
)
def test_query_names_may_be_nested(path: str, expected: Any) -> None:
    """A flat name such as `a[b]` is addressed by `a.b`, by `a` and as it is written."""
    parsed = parse_path(path)
    assert parsed is not None

    assert mask_pairs({"key": "k", "a[b]": "1", "a[c][0]": "2", "l": ["x", "y"]}, parsed.parts[1:]) == expected


@given(st.text(max_size=40).map(lambda text: "request" + text))
def test_any_text_can_be_a_path(text: str) -> None:
    """App authors write anything; no text breaks the record."""
    path = parse_path(text)
    if path is not None:
        apply_path({"headers": {"a": ["b"]}, "body": "x"}, path.parts)


def test_paths_of_real_apps_are_read(shared: Path) -> None:
    """Every path that real apps have in `log.sanitize` is read to its end."""
    paths: set[str] = set()
    for file in (shared / "corpus" / "apps").rglob("*json"):
        text = file.read_text("utf-8", "replace")
        for block in re.findall(r'"sanitize"\s*:\s*\[(.*?)\]', text, re.DOTALL):
            paths.update(re.findall(r'"((?:request|response)\.[^"]*)"', block))

    assert len(paths) > 10
    for text in paths:
        path = parse_path(text)
        assert path is not None, text
        assert path.exact, text
        assert len(path.parts) == text.replace("`", "").count("."), text
