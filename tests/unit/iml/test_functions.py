"""The function table: every example holds, every function of the specification exists, odd inputs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ImlFunctionError
from runtime.iml.environment import Environment
from runtime.iml.functions import FUNCTIONS, reference
from runtime.iml.registry import Example
from runtime.values import UNDEFINED, Buffer
from tests.conformance.iml_cases import same
from tests.unit.iml.helpers import NOW, failure, render

EXAMPLES = [
    pytest.param(example, id=f"{name} {number}")
    for name, function in FUNCTIONS.items()
    for number, example in enumerate(function.examples, 1)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_documented_example(example: Example) -> None:
    """What the reference page shows is true."""
    if example.error:
        assert example.error in str(failure(example.template, example.context, timezone=example.timezone))
    else:
        assert same(example.expect, render(example.template, example.context, timezone=example.timezone))


def test_every_function_is_documented() -> None:
    """Each has a sentence, an example and a signature."""
    for function in reference():
        assert function.doc.endswith("."), function.name
        assert function.examples, function.name
        assert function.signature.startswith(f"{function.name}(")


def test_every_function_of_the_specification_exists(shared: Path) -> None:
    """The tables of section 7 and the table of functions name the same functions."""
    section = (shared / "spec" / "iml.md").read_text().partition("### 7.1")[2].partition("### 7.6")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([A-Za-z0-9]+)(?:\(|`)", row)}

    # PKCE of connections.md 7.9 is written with `base64url`, which the tables lack.
    assert (named - {"text"}) | {"base64url"} == FUNCTIONS.keys()


def test_functions_can_be_called_alone() -> None:
    """Custom JavaScript calls them with an environment; errors carry the function's name."""
    environment = Environment(now=NOW, timezone="Europe/Prague")

    assert FUNCTIONS["formatDate"](environment, datetime(2020, 7, 1, tzinfo=UTC), "HH:mm") == "02:00"
    assert FUNCTIONS["if"](environment, 0, 1) is UNDEFINED
    with pytest.raises(ImlFunctionError, match="Function 'abs' finished with error! 'x' is not a valid number"):
        FUNCTIONS["abs"](environment, "x")


@pytest.mark.parametrize(
    ("source", "expect"),
    [
        pytest.param("{{lower(1; 2; 3)}}", "1", id="surplus arguments"),
        pytest.param('{{length("😀")}}', 2, id="units"),
        pytest.param('{{indexOf("😀a😀"; "😀"; 1)}}', 3, id="position in units"),
        pytest.param('{{substring("a😀b"; 3)}}', "b", id="substring in units"),
        pytest.param('{{split(buf; "-")}}', ["a", "b"], id="a buffer is text"),
        pytest.param("{{base64(buf)}}", "YS1i", id="bytes"),
        pytest.param("{{sum(true; 2)}}", 3, id="booleans count"),
        pytest.param("{{-0}}|{{0 * -1}}", "0|0", id="negative zero prints 0"),
        pytest.param("{{9007199254740993 + 0}}", 9007199254740992, id="doubles"),
        pytest.param("{{big}}", 12345678901234567890, id="numbers passed on keep their digits"),
        pytest.param("{{get(l; '-1')}}", 2, id="negative index as text"),
        pytest.param("{{round(0.49999999999999994)}}", 0, id="just below a half"),
        pytest.param("{{formatNumber(1.005; 2; '.')}}", "1.00", id="binary value decides"),
    ],
)
def test_odd_input(source: str, expect: Any) -> None:
    """Corners that the examples leave out."""
    context = {"buf": Buffer(b"a-b"), "big": 12345678901234567890, "l": [1, 2]}

    assert render(source, context) == expect


def test_lazy_functions_guard_the_other_branch() -> None:
    """What is not needed is not evaluated."""
    assert render("{{if(x; abs('a'); 1)}}") == 1
    assert render("{{ifempty(x; 1)}}", {"x": "v"}) == "v"
    assert render("{{ifempty(x; nope())}}", {"x": "v"}) == "v"
    assert render("{{switch(x; 1; nope(); 2; 'two'; nope())}}", {"x": 2}) == "two"
    assert render("{{x & nope()}}", {"x": 0}) == 0
    assert render("{{x | nope()}}", {"x": 1}) == 1


def test_signed_tokens_verify() -> None:
    """A token of `jwt` verifies with another library; a key is never part of a message."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    options = {"expiresIn": 60, "issuer": "me", "header": {"kid": "k"}}
    token = render('{{jwt(p; key; "RS256"; o)}}', {"p": {"a": 1}, "key": pem, "o": options})
    decoded = jwt.decode(token, RSAKey.import_key(private.public_key()), algorithms=["RS256"])

    second = int(NOW.timestamp())
    assert decoded.claims == {"a": 1, "iat": second, "exp": second + 60, "iss": "me"}
    assert decoded.header == {"alg": "RS256", "typ": "JWT", "kid": "k"}
    assert "topsecret" not in str(failure('{{jwt(p; "topsecret"; "RS256")}}', {"p": {}}))
