"""The record of one exchange: masked by declared paths, by names and by known values; never shown unmasked."""

import base64
import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.effects import ExchangeLog, HttpRequest, HttpResponse
from runtime.errors import ServiceConnectionError
from runtime.sanitize import MASK, Secrets, exchange_record
from runtime.sanitize.exchange import MAX_BODY, MAX_PARSED
from runtime.values import Buffer

URL = "https://api.example.com/v1/users?key=hidden1&a=visible1"


def request(
    *,
    sanitize: tuple[str, ...] | None = (),
    url: str = URL,
    headers: tuple[tuple[str, str], ...] = (),
    body: Any = None,
    raw: bytes | None = None,
    **log: Any,
) -> HttpRequest:
    if raw is None and body is not None:
        raw = body.encode() if isinstance(body, str) else json.dumps(body, default=str).encode()
    qs = tuple(part.partition("=")[::2] for part in url.partition("?")[2].split("&") if part)
    return HttpRequest(
        "POST", url, headers, raw, log=ExchangeLog(sanitize=sanitize, qs=qs, body=body, component="module x", **log)
    )


def response(body: bytes | Any = b"", *, url: str = "", status: int = 200, **headers: str) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpResponse(status, (("Content-Type", "application/json"), *named), data, url, timedelta(milliseconds=12.5))


def record(sent: HttpRequest, got: HttpResponse | None = None, *known: str, **options: Any) -> Any:
    secrets = Secrets()
    secrets.add_all(known)
    made = exchange_record(sent, got, None, secrets, **options)
    assert "withheld" not in made, made
    json.dumps(made)
    return made


def test_record_has_all_parts() -> None:
    """Everything that an author needs to see is there, under the names of the specification."""
    sent = request(headers=(("Accept", "a"), ("X-Many", "1"), ("x-many", "2")), body={"b": 1}, page=2, repeat=3)

    expected = {
        "component": "module x", "page": 2, "repeat": 3, "number": 1,
        "request": {
            "method": "POST", "url": URL, "headers": {"Accept": "a", "X-Many": ["1", "2"]},
            "qs": {"key": "hidden1", "a": "visible1"}, "type": "json", "body": {"b": 1},
        },
        "response": {"statusCode": 201, "headers": {"Content-Type": "application/json"}, "body": {"ok": True}},
        "ms": 12.5,
    }  # fmt: skip
    assert record(sent, response({"ok": True}, status=201)) == expected


def test_no_list_shows_only_the_outside() -> None:
    """Without any list of paths: method, host, path, status and timing, whatever the exchange held."""
    sent = request(sanitize=None, url="https://u:p@api.example.com/v1?key=hidden1#f", body={"a": "hidden2"})

    expected = {
        "component": "module x", "page": 1, "repeat": 0, "number": 1,
        "request": {"method": "POST", "url": "https://api.example.com/v1"},
        "response": {"statusCode": 200}, "ms": 12.5,
    }  # fmt: skip
    assert record(sent, response({"token": "hidden3"})) == expected


@pytest.mark.parametrize("name", ["x-api-key", "X-Custom"])
@pytest.mark.parametrize("spelled", ["X-API-KEY", "`X-Api-Key`", "x-custom", "`X-CUSTOM`"])
def test_header_path_has_no_case(name: str, spelled: str) -> None:
    """Acceptance vector 38: a header is masked however its name is spelled, and its value occurs nowhere."""
    sent = request(sanitize=(f"request.headers.{spelled}",), headers=((name, "hidden2"),), url="https://a.b/c")
    made = record(sent, response({"a": 1}))

    if name.lower() in spelled.lower():
        assert made["request"]["headers"] == {name: MASK}
        assert "hidden2" not in json.dumps(made)


def test_query_path_masks_the_url_and_redirects_too() -> None:
    """Acceptance vector 39: the parameter is masked in `qs`, in the URL, in `location` and in the final URL."""
    got = response(b"", url=URL + "&page=2", Location="/next?Key=hidden1&b=2", Link='<https://x/?key=hidden1>; rel="n"')
    made = record(request(sanitize=("request.qs.key",)), got)

    assert made["request"]["qs"] == {"key": MASK, "a": "visible1"}
    assert made["request"]["url"] == f"https://api.example.com/v1/users?key={MASK}&a=visible1"
    assert made["response"]["url"] == f"https://api.example.com/v1/users?key={MASK}&a=visible1&page=2"
    assert made["response"]["headers"]["Location"] == f"/next?Key={MASK}&b=2"
    assert "hidden1" not in json.dumps(made)


@pytest.mark.parametrize("path", ["request.url", "request"])
def test_url_path_masks_all_of_it(path: str) -> None:
    """`request.url` hides the address itself, redirects included."""
    made = record(
        request(sanitize=(path,)), response(b"", url="https://other.example/?x=hidden1", location="https://l/")
    )

    assert made["request"]["url"] == MASK
    assert made["response"]["url"] == MASK
    assert made["response"]["headers"]["location"] == MASK


@pytest.mark.parametrize("path", ["request.qs", "request.headers", "request.body", "response.body", "response.headers"])
def test_whole_parts_are_masked(path: str) -> None:
    """A path that ends at an object masks it as a whole."""
    sent = request(sanitize=(path,), headers=(("x-a", "hidden2"),), body={"b": "hidden3"})
    made = record(sent, response({"c": "hidden4"}, x_b="hidden5"))
    root, _, part = path.partition(".")

    assert made[root][part] == MASK
    if path == "request.qs":
        assert "hidden1" not in json.dumps(made)


def test_value_inside_a_text_is_masked_alone() -> None:
    """Acceptance vector 41: the evaluated value is masked wherever it occurs in the text, the rest stays."""
    text = "There is something s3cret hidden here."
    made = record(request(body=text, within=(("request.body", "s3cret"),)), response())

    assert made["request"]["body"] == f"There is something {MASK} hidden here."


def test_value_inside_nested_texts_is_masked() -> None:
    """The form works below a path, in every text there, encoded too, and for values too short to be searched for."""
    body = {"a": {"note": "x=ab; y=a%20b", "list": ["ab", "cd"]}, "b": "ab"}
    made = record(request(body=body, within=(("request.body.a", "ab"), ("request.body.a.note", "a b"))), response())

    expected = {"a": {"note": f"x={MASK}; y=a%20b", "list": [MASK, "cd"]}, "b": "ab"}
    assert made["request"]["body"] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param('{"secret":"hidden1","a":"visible1"}', f'{{"secret":"{MASK}","a":"visible1"}}', id="JSON"),
        pytest.param("secret=hidden1&a=visible1", f"secret={MASK}&a=visible1", id="form"),
        pytest.param("<secret>hidden1</secret>", MASK, id="neither"),
        pytest.param('"hidden1"', MASK, id="no object"),
        pytest.param("", "", id="empty"),
    ],
)
def test_text_body_is_parsed_or_masked(body: str, expected: str) -> None:
    """A path below a text body is applied to the parsed text; else the whole body is masked."""
    made = record(request(sanitize=("request.body.secret",), body=body, body_type="text"), response())

    assert made["request"]["body"] == expected


def test_answer_is_masked_alike() -> None:
    """Paths of the answer work on its JSON, its form and its headers."""
    paths = ("response.body.rows.token", "response.headers.x-session")
    got = response({"rows": [{"token": "hidden1", "id": 1}]}, X_Session="hidden2")
    made = record(request(sanitize=paths), got)

    assert made["response"]["body"] == {"rows": [{"token": MASK, "id": 1}]}
    assert made["response"]["headers"]["X-Session"] == MASK


def test_credential_headers_are_always_masked() -> None:
    """Some headers are credentials by definition; no list is needed, and an empty one does not open them."""
    names = ("Authorization", "proxy-authorization", "Cookie", "X-Api-Key")
    got = response(b"", Set_Cookie="sid=hidden2")
    made = record(request(headers=tuple((name, "hidden1") for name in names), url="https://a.b/"), got)

    assert made["request"]["headers"] == dict.fromkeys(names, MASK)
    assert made["response"]["headers"]["Set-Cookie"] == MASK


def test_telling_names_are_always_masked() -> None:
    """Members and parameters that mean a credential in every service are masked without a path."""
    sent = request(
        url="https://user:hidden1@a.b/?access_token=hidden2&q=1",
        body={"client-secret": "hidden3", "password": ["hidden4"]},
    )
    made = record(sent, response({"a": {"refreshToken": "hidden5", "apiKey": None}, "t": '{"id_token":"hidden6"}'}))

    assert "hidden" not in json.dumps(made)
    assert made["request"]["url"] == f"https://{MASK}@a.b/?access_token={MASK}&q=1"
    assert made["response"]["body"]["a"] == {"refreshToken": MASK, "apiKey": None}


def test_connection_phase_masks_more_names() -> None:
    """While a connection authorizes, codes, states, verifiers and all tokens are masked (connections.md 12)."""
    sent = HttpRequest(
        "POST",
        "https://a.b/token?code=hidden1&state=hidden2&x=visible1",
        body=b"code_verifier=hidden3&oauth_nonce=hidden4&grant_type=visible2",
        log=ExchangeLog(
            sanitize=(), qs=(("code", "hidden1"),), component='connection "x"', body_type="text",
            body="code_verifier=hidden3&oauth_nonce=hidden4&grant_type=visible2",
        ),
    )  # fmt: skip
    made = record(sent, response({"session_token": {"v": "hidden5"}, "id": "visible3"}, X_Auth_Token="hidden6"))

    text = json.dumps(made)
    assert "hidden" not in text
    assert all(f"visible{number}" in text for number in (1, 2, 3))


def test_known_values_are_masked_everywhere() -> None:
    """A known secret is masked in the path, in headers, in bodies, encoded or not, and in the error's text."""
    secret = "kn0wn+secret"
    secrets = Secrets()
    secrets.add(secret)
    sent = request(
        url="https://a.b/kn0wn%2Bsecret/x?y=kn0wn%2Bsecret",
        headers=(("x-a", "a kn0wn+secret"), ("x-b", "dXNlcjprbjB3bitzZWNyZXQ=")),
        body={"kn0wn+secret": "kn0wn\\u002bsecret"},
    )
    error = ServiceConnectionError("Connection failed: https://a.b/kn0wn%2Bsecret")
    made = exchange_record(sent, None, error, secrets, elapsed=timedelta(seconds=1))

    text = json.dumps(made)
    assert "withheld" not in made
    assert "secret" not in text
    assert "ZWNyZX" not in text
    assert made["error"] == {"type": "ConnectionError", "message": f"Connection failed: https://a.b/{MASK}"}
    assert (made["response"], made["ms"]) == (None, 1000.0)


def test_buffers_are_described() -> None:
    """Bytes are shown by size and hash, in the answer and inside a form."""
    summary = {"buffer": True, "size": 3, "sha256": "f90a3a67af8224cc2bb20cd0bc78abf3bba79a71a41a4c25d1a8c7f36eb90bd2"}
    got = HttpResponse(200, (("content-type", "image/png"),), b"\xff\x00\xfe", URL)
    made = record(request(body={"file": Buffer(b"\xff\x00\xfe"), "b": b"\xff\x00\xfe"}, raw=b"--x"), got)

    assert made["response"]["body"]["size"] == 3
    assert made["request"]["body"]["file"] == made["request"]["body"]["b"] == made["response"]["body"]
    assert summary.keys() == made["response"]["body"].keys()


def test_long_bodies_are_cut() -> None:
    """A long text is cut at 16 KiB; a secret at the cut is not shown in part."""
    secret = "s3cret" * 20
    text = "x" * (MAX_BODY - 30) + secret + "y" * 1000
    got = HttpResponse(200, (("content-type", "text/plain"),), text.encode(), URL)
    shown = record(request(), got, secret)["response"]["body"]

    assert shown == "x" * (MAX_BODY - 30) + MASK + f"… (cut; {len(text)} bytes in all)"


def test_long_json_is_cut_as_text_and_still_masked() -> None:
    """A long JSON answer is shown as the beginning of its text; members of telling names are masked in it."""
    rows = [{"id": number, "apiKey": f"hidden{number}", "name": "n" * 50} for number in range(400)]
    shown = record(request(), response(rows))["response"]["body"]

    assert isinstance(shown, str)
    assert len(shown) < MAX_BODY + 50
    assert "hidden" not in shown
    assert '"id": 1,' in shown


def test_long_json_with_a_path_is_parsed() -> None:
    """A path into a long answer is followed before it is cut."""
    rows = [{"id": number, "session": f"hidden{number}", "name": "n" * 50} for number in range(400)]
    shown = record(request(sanitize=("response.body.session",)), response(rows))["response"]["body"]

    assert "hidden" not in shown
    assert '"id":1,' in shown


def test_a_body_too_long_to_parse_is_masked() -> None:
    """A path into a body that is too long to be parsed masks it as a whole."""
    got = response(b'{"session":"hidden1","x":"' + b"x" * MAX_PARSED + b'"}')
    made = record(request(sanitize=("response.body.session",)), got)

    assert made["response"]["body"] == MASK


def test_failed_redaction_withholds_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """When redaction itself fails, method, component and status remain, and nothing is raised."""
    secrets = Secrets()
    monkeypatch.setattr(secrets, "redact", lambda _value: 1 / 0)
    made = exchange_record(request(headers=(("x", "hidden1"),)), response({"a": "hidden2"}), None, secrets)

    assert made == {
        "component": "module x",
        "request": {"method": "POST"},
        "response": {"statusCode": 200},
        "withheld": "The record could not be redacted, so it is not shown.",
    }


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"null", b"[" * 5000, b'"x"', b"{}" * 9000], ids=repr)
@pytest.mark.parametrize("paths", [(), ("response.body.a",), ("response",), ("response.body[]",), ("nothing.at.all",)])
def test_odd_answers_are_recorded(body: bytes, paths: tuple[str, ...]) -> None:
    """No answer of a service breaks the record."""
    record(request(sanitize=paths), HttpResponse(200, (("content-type", "application/json; charset=no"),), body, URL))


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
PLACED = st.sampled_from(
    [
        str,
        lambda text: quote(text, safe=""),
        lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
        json.dumps,
        lambda text: json.dumps({"inner": text}),
        lambda text: f"a=b&inner={quote(text)}",
    ]
)


@st.composite
def documents(draw: Any, secret: str) -> Any:
    """JSON data with a secret somewhere, plain or encoded, in values and keys."""
    leaf = st.one_of(st.integers(), TEXT, PLACED.map(lambda place: f"x {place(secret)} y"), st.just(secret))
    keys = st.one_of(TEXT, st.just(secret))
    return draw(st.recursive(leaf, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20))


@given(data=st.data(), paths=st.lists(TEXT.map(lambda text: "request." + text) | TEXT | st.just("response.body.a")))
@settings(max_examples=150, deadline=None)
def test_no_exchange_shows_a_known_secret(data: Any, paths: list[str]) -> None:
    """Wherever a known secret stands in an exchange, whatever paths an app has: the record is JSON without it."""
    secret = "Xq7-S3cr3t/+Zw"
    sent_body, got_body = data.draw(documents(secret)), data.draw(documents(secret))
    place = data.draw(PLACED)
    sent = request(
        sanitize=tuple(paths),
        url=f"https://a.b/{quote(secret)}/?q={quote(place(secret))}",
        headers=(("x-" + quote(secret), place(secret)),),
        body=sent_body,
    )
    made = record(sent, response(got_body, X_Y=place(secret)), secret)

    text = json.dumps(made)
    assert secret not in text
    assert quote(secret) not in text
    assert quote(secret, safe="") not in text
    assert "S3cr3t" not in text
    assert base64.b64encode(f"user:{secret}".encode()).decode()[8:20] not in text


@given(st.lists(st.tuples(TEXT, TEXT)), st.text(max_size=200))
@example([("a", "b")], "?&=&==&a&%")
@settings(max_examples=100, deadline=None)
def test_any_address_and_header_is_recorded(headers: list[tuple[str, str]], query: str) -> None:
    """No URL and no header breaks the record."""
    record(request(url=f"https://a.b/?{query}", headers=tuple(headers), sanitize=("request.qs.a",)), response())
