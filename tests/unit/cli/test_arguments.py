"""What commands are given: pairs, files, the environment; and that a secret is never an argument."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from runtime.errors import UsageError
from workers.cli import output
from workers.cli.arguments import as_json_values, ask, pairs, read_json, read_object


def test_pairs_keep_everything_behind_the_first_equals_sign() -> None:
    """A value may hold `=`, spaces and nothing at all."""
    assert pairs(["a=1", "b=x=y", "c=", "d= "], option="--param") == {"a": "1", "b": "x=y", "c": "", "d": " "}


@pytest.mark.parametrize("pair", ["a", "=1", ""])
def test_a_pair_without_name_or_equals_sign_is_refused(pair: str) -> None:
    """The message names the option and does not repeat what may be a mistyped secret."""
    with pytest.raises(UsageError, match="--param needs NAME=VALUE"):
        pairs([pair], option="--param")


def test_a_secret_in_the_open_is_refused_without_being_repeated() -> None:
    """`--param apiKey=...` of a secret field is wrong use; the message says what to do instead."""
    with pytest.raises(UsageError) as caught:
        pairs(["apiKey=sk_live_123456"], option="--param", secret={"apiKey"})

    assert "sk_live_123456" not in caught.value.message
    assert "env:VARIABLE" in caught.value.message


def test_a_secret_from_the_environment_is_taken_and_never_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`apiKey=env:NAME` reads the variable; from then on output shows the mask, also of its base64 form."""
    monkeypatch.setenv("MY_KEY", "sk_live_777888")

    assert pairs(["apiKey=env:MY_KEY"], option="--param", secret={"apiKey"}) == {"apiKey": "sk_live_777888"}

    output.say("the key is sk_live_777888")
    output.print_json({"header": "Basic c2tfbGl2ZV83Nzc4ODg="})
    shown = capsys.readouterr().out
    assert "sk_live_777888" not in shown
    assert "c2tfbGl2ZV83Nzc4ODg" not in shown


def test_a_missing_environment_variable_is_named() -> None:
    """The message names parameter and variable."""
    with pytest.raises(UsageError, match="--param a: the environment variable 'NO_SUCH_NAME' is not set"):
        pairs(["a=env:NO_SUCH_NAME"], option="--param")


def test_structured_values_are_json() -> None:
    """A parameter of type array or collection takes JSON; a text that is none is wrong use."""
    assert as_json_values({"tags": '["a"]', "n": "1"}, structured={"tags"}, option="--param") == {
        "tags": ["a"],
        "n": "1",
    }
    with pytest.raises(UsageError, match="takes JSON"):
        as_json_values({"tags": "a"}, structured={"tags"}, option="--param")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b'{"a": 1,\n "b" 2}', ":2:6: not JSON", id="line and column"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="not text"),
        pytest.param(b"[" * 200_000, "nested too deeply", id="deep"),
    ],
)
def test_a_file_that_is_no_json_is_named_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    """Wrong use, never a traceback."""
    file = tmp_path / "x.json"
    file.write_bytes(content)

    with pytest.raises(UsageError) as caught:
        read_json(str(file))

    assert message in caught.value.message
    assert str(file) in caught.value.message


def test_a_missing_file_is_wrong_use(tmp_path: Path) -> None:
    """The message holds the system's reason."""
    with pytest.raises(UsageError, match="No such file"):
        read_json(str(tmp_path / "none.json"))


def test_parameters_must_be_an_object(tmp_path: Path) -> None:
    """A list of parameters makes no sense."""
    file = tmp_path / "x.json"
    file.write_text("[]")

    with pytest.raises(UsageError, match="must hold a JSON object"):
        read_object(str(file))


def test_nothing_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pipe a missing value is wrong use; the message says how to give it."""
    monkeypatch.setattr("sys.stdin", io.StringIO())

    with pytest.raises(UsageError, match="--params FILE"):
        ask("API key", hidden=True)
