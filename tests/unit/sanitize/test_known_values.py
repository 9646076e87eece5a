"""Known secret values are masked wherever and however they stand in a text or in data."""

import base64
import html
import json
import string
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime.errors import RateLimitError
from runtime.sanitize import MASK, Secrets, redact_error
from runtime.values import UNDEFINED, Buffer

#: Everything a user may type into a form; no surrogates, which no encoder takes.
ANY = st.text(st.characters(exclude_categories=("Cs",)), min_size=4, max_size=40)
KEYS = st.text(string.ascii_letters + string.digits + "+/=_-.~!*'()&%$# \"\\<>äß漢😀\n", min_size=4, max_size=40)
SECRET = st.one_of(ANY, KEYS)
AROUND = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)


def known(*values: object) -> Secrets:
    secrets = Secrets()
    secrets.add_all(values)
    return secrets


def _lower(text: str) -> str:
    """URL-encoded text with lower-case digits."""
    head, *rest = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _json(text: str) -> str:
    return json.dumps(text)[1:-1]


#: Encodings that keep characters apart: what stands around the secret is encoded with it.
ENCODINGS = {
    "plain": str,
    "JSON, ASCII": _json,
    "JSON, Unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON, slashes escaped": lambda text: _json(text).replace("/", "\\/"),
    "JSON for HTML": lambda text: _json(text).replace("<", "\\u003c").replace("&", "\\u0026"),
    "JSON in JSON": lambda text: _json(json.dumps({"a": text}))[1:-1],
    "URL": lambda text: quote(text, safe=""),
    "URL, lower case": lambda text: _lower(quote(text, safe="")),
    "URL as JavaScript does": lambda text: quote(text, safe="!'()*"),
    "whole URL": lambda text: quote(text, safe=";,/?:@&=+$#!'()*"),
    "form": quote_plus,
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form twice": lambda text: quote_plus(quote_plus(text)),
    "form in JSON": lambda text: _json(urlencode({"a": text})),
    "JSON in a form": lambda text: quote_plus(json.dumps({"a": text})),
    "HTML": html.escape,
    "HTML, only what must be": lambda text: html.escape(text, quote=False),
    "repr": repr,
    "ascii": ascii,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 in a form": lambda text: quote_plus(base64.b64encode(text.encode())),
    "base64 of JSON": lambda text: base64.b64encode(json.dumps({"a": text}).encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
}


def recovered(text: str) -> set[str]:
    """Everything that somebody could read out of a redacted text with the decoders of `ENCODINGS`."""
    return {text, html.unescape(text), text.replace("\\/", "/"), *(_unescaped(text))}


def _unescaped(text: str) -> set[str]:
    try:
        return {json.loads(f'"{text}"')}
    except ValueError:
        return set()


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@given(secret=SECRET, before=AROUND, after=AROUND)
@settings(max_examples=80, deadline=None)
@example(secret="pass word", before="user:", after="")
@example(secret='qu"ote', before="", after="x")
@example(secret="a/b+c==d", before="1", after="23")
@example(secret="MASK", before="[sanitized]", after="[sanitized]")
def test_secret_is_masked_in_every_encoding(encode, secret: str, before: str, after: str) -> None:
    """
    A secret inside a longer text that was encoded as a whole does not survive, neither as it is nor as its encoding.
    """
    text = encode(before + secret + after)

    redacted = known(secret).redact_text(text)

    assert MASK in redacted
    if secret not in MASK:
        rest = redacted.split(MASK)
        assert not any(secret in readable for part in rest for readable in recovered(part))


@pytest.mark.parametrize("prefix", ["", "u", "us", "use", "user:", "x" * 50])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode], ids=["standard", "urlsafe"])
def test_secret_is_masked_inside_longer_base64(prefix: str, encode) -> None:
    """Whatever stands before a secret, its base64 form is found; the characters at its edges hold bits of it too."""
    secret = "s3cr>t?~ü"
    text = "Basic " + encode(f"{prefix}{secret}:tail".encode()).decode()

    redacted = known(secret).redact_text(text)

    first = len("Basic ") + len(prefix.encode()) * 8 // 6
    last = len("Basic ") + -(-len(f"{prefix}{secret}".encode()) * 8 // 6)
    assert text[:first] + MASK + text[last:] == redacted


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Bearer %73%33cret%2Dvalue", id="some characters encoded"),
        pytest.param("s3cret\\u002dvalue", id="one JSON escape"),
        pytest.param("s3cret&#45;value", id="one HTML entity"),
        pytest.param("s3cret&#x2D;value", id="one hexadecimal entity"),
        pytest.param("a=1&b=s3cret%252dvalue", id="one character encoded twice"),
        pytest.param('{\\"b\\":\\"s3cret\\\\u002Dvalue\\"}', id="escape in JSON in JSON"),
    ],
)
def test_mixed_encodings_are_seen_through(text: str) -> None:
    """Which characters a service escapes is its own choice; any mixture is decoded."""
    redacted = known("s3cret-value").redact_text(text)

    assert MASK in redacted
    assert "cret" not in redacted


def test_latin_1_is_known_too() -> None:
    """Old services send Basic authentication and forms in Latin-1."""
    secrets = known("pässwörd")

    assert f"x={MASK}&y" == secrets.redact_text("x=" + quote("pässwörd".encode("latin-1")) + "&y")
    assert MASK in secrets.redact_text(base64.b64encode("user:pässwörd".encode("latin-1")).decode())


def test_overlapping_secrets_leave_nothing_behind() -> None:
    """Where two secrets share characters, the whole stretch is masked."""
    secrets = known("abcdef", "xxabc", "abcd")

    assert f"1{MASK}2" == secrets.redact_text("1xxabcdef2")
    assert f"1{MASK}2" == secrets.redact_text("1abcdef2")
    assert f"1{MASK}2" == secrets.redact_text("1abcdefabcd2")


def test_a_mask_is_not_masked_again() -> None:
    """A secret that occurs in the mask itself does not mangle it."""
    assert known("sanitized").redact_text("sanitized") == MASK


def test_short_values_are_masked_only_as_whole_values() -> None:
    """A secret of one or two characters would shred every log; as a whole value it is masked."""
    secrets = known("1", "abc")

    assert secrets.redact_text("10 alphabets abc") == "10 alphabets abc"
    assert secrets.redact({"a": "1", "b": ["abc", "abcd"], "c": 10}) == {"a": MASK, "b": [MASK, "abcd"], "c": 10}
    assert secrets.redact_text("abc") == MASK


def test_lines_of_a_private_key_are_secrets() -> None:
    """A PEM key is found without its line breaks, and a single line of it too; its armour is no secret."""
    lines = ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"]
    pem = "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"])
    secrets = known(pem)

    assert secrets.redact_text(pem) == MASK
    assert secrets.redact_text("".join(lines)) == MASK
    assert f"-----BEGIN PRIVATE KEY-----\r\n{MASK}\r\n" == secrets.redact_text(
        f"-----BEGIN PRIVATE KEY-----\r\n{lines[0]}\r\n"
    )


def test_data_are_redacted_as_plain_json() -> None:
    """Keys, numbers, dates and unknown objects are searched as well; the given data stay as they are."""

    class Holder:
        def __repr__(self) -> str:
            return "<Holder of hidden-value>"

    data = {"hidden-value": 1, "n": 123456, "x": 1.5, "b": Buffer(b"ab"), "o": Holder(), "t": (True, None, UNDEFINED)}
    before = dict(data)

    redacted = known("hidden-value", 123456).redact(data)

    assert before == data
    assert {
        MASK: 1, "n": MASK, "x": 1.5, "b": "Buffer(2 bytes)", "o": f"<Holder of {MASK}>", "t": [True, None, None]
    } == redacted  # fmt: skip


def test_masked_keys_do_not_swallow_each_other() -> None:
    """Two keys that become the same mask stay two members."""
    assert {MASK: 1, f"{MASK} 2": 2} == known("secret").redact({"secret": 1, "secretsecret": 2})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner)
    )
)
@settings(max_examples=100, deadline=None)
def test_redacted_data_are_json(data: object) -> None:
    """Whatever goes in, what comes out can be written as JSON and holds no secret."""
    text = json.dumps(known("s3cret").redact({"data": data, "s": "a s3cret b"}), ensure_ascii=False)

    assert "s3cret" not in text


def test_deep_data_are_withheld_below_a_depth() -> None:
    """Data nested deeper than any document are not followed, and so not shown."""
    data: object = "secret"
    for _ in range(400):
        data = [data]

    assert "secret" not in json.dumps(known("secret").redact(data))


def test_a_cut_never_shows_a_part_of_a_secret() -> None:
    """A secret that crosses the limit is masked as a whole, and masks pull no unsearched text into sight."""
    secrets = known("0123456789" * 10, "second-secret")
    text = "0123456789" * 10 + "-" * 40 + "second-secret tail" + "x" * 10_000

    assert secrets.redact_text(text, limit=145) == MASK + "-" * 40 + MASK
    assert secrets.redact_text(text, limit=110) == MASK + "-" * 10


def test_a_scope_forgets_when_it_closes() -> None:
    """A run's secrets are known to it and to the process log while it runs, to no other run, and to nobody later."""
    process = known("process-secret")
    text = "process-secret run-secret"
    with process.scope() as run, process.scope() as other:
        run.add("run-secret")

        assert f"{MASK} {MASK}" == run.redact_text(text)
        assert f"{MASK} {MASK}" == process.redact_text(text)
        assert f"{MASK} run-secret" == other.redact_text(text)
    assert f"{MASK} run-secret" == process.redact_text(text)


def test_members_of_collections_are_secrets() -> None:
    """A whole collection can be registered; booleans, null and empty texts in it are no secrets."""
    secrets = known({"a": ["first-one"], "b": {"c": Buffer(b"second-one")}, "d": [True, None, "", UNDEFINED]})

    assert f"{MASK} {MASK} true" == secrets.redact_text("first-one second-one true")


def test_repr_shows_no_value() -> None:
    """The registry itself may end up in a log."""
    assert "hidden" not in repr(known("hidden"))


def test_errors_are_redacted_whole() -> None:
    """Message, suberrors and external data of an error lose their secrets; class, status and delay stay."""
    error = RateLimitError(
        "no s3cret", status_code=429, delay_ms=1234567, suberrors=["a", "s3cret"], external={"k": "czNjcmV0"}
    )
    expected = RateLimitError(
        f"no {MASK}", status_code=429, delay_ms=1234567, suberrors=["a", MASK], external={"k": MASK}
    )

    assert redact_error(error, known("s3cret", 1234567)) == expected
