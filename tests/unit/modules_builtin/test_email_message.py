"""Messages as they are built: nothing in a value can become a header, an address or a part of its own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.builtin.email_message import MAX_MESSAGE, Letter, addresses, composed
from runtime.errors import BundleValidationError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN, BOB = ("Ann", "ann@example.com"), ("", "bob@example.com")
USUAL = {
    "from", "to", "subject", "date", "message-id", "content-type", "content-transfer-encoding", "mime-version",
    "x-own", "in-reply-to", "references",
}  # fmt: skip


def read(letter: Letter) -> EmailMessage:
    """The message, built and read back."""
    found = message_from_bytes(composed(letter, NOW)[1], policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("ann@example.com", (("", "ann@example.com"),)),
        ("Ann Lee <ann@example.com>, bob@example.com", (("Ann Lee", "ann@example.com"), BOB)),
        ('"Lee, Ann \\"A\\"" <ann@example.com>; bob@example.com', (('Lee, Ann "A"', "ann@example.com"), BOB)),
        ("<bob@example.com>", (BOB,)),
        ("bob@bücher.example", (("", "bob@xn--bcher-kva.example"),)),
        (["bob@example.com", "", None, "Ann <ann@example.com>"], (BOB, ANN)),
        ("", ()),
        (None, ()),
    ],
)
def test_addresses(text: object, people: object) -> None:
    """One, several in a text, an array; names in quotes; names of hosts beyond ASCII."""
    assert addresses(text, "to") == people


@pytest.mark.parametrize(
    "text",
    [
        "ann", "@example.com", "ann@", "a b@example.com", "a@b@c", "x@y <ann@example.com>", "ann@example.com bob@b.c",
        "<ann@example.com", '"Ann <ann@example.com>', "ann@exa mple.com", "ann@example.com\r\nRCPT TO:<x@y>",
        "a@b\x00.c", "ann@-x-.c-", "ann@" + "x" * 300, "x" * 65 + "@example.com", "ann@example.com>",
    ],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    """Refused whole: mail must not go to somebody whom nobody has named."""
    with pytest.raises(BundleValidationError, match="'to'"):
        addresses(text, "to")


@given(
    st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.text(max_size=200), st.text(max_size=30),
    st.booleans(),
)  # fmt: skip
def test_no_text_leaves_its_place(name: str, subject: str, value: str, body: str, file: str, html: bool) -> None:
    """Whatever the texts are: these headers and no other, these recipients, one attachment."""
    letter = Letter(
        sender=ANN, to=((name, "bob@example.com"),), subject=subject, body=body, html=html, in_reply_to=value,
        references=(value,), headers=(("X-Own", value),), attachments=((file, b"\x00\r\n.\r\n--data", ""),),
    )  # fmt: skip

    message = read(letter)

    assert {key.lower() for key in message} <= USUAL
    assert message["subject"].split() == re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", subject).split()
    content = message.get_body(("html", "plain"))
    assert content is not None
    assert content.get_content().split() == body.split()
    assert [address.addr_spec for address in message["to"].addresses] == ["bob@example.com"]
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert len(parts) == 2
    assert parts[1].get_payload(decode=True) == b"\x00\r\n.\r\n--data"


ENCODED = "=?utf-8?q?a=0d=0aBcc:_x=40y.z=0d=0a=0d=0abody?="


def test_encoded_words_in_values_mean_nothing() -> None:
    """What looks like an encoded word is shown as it is: decoded, it would begin a header."""
    letter = Letter(
        sender=(ENCODED, "ann@example.com"), to=((ENCODED, "bob@example.com"),), subject=ENCODED, in_reply_to=ENCODED,
        references=(ENCODED,), headers=(("X-Own", ENCODED),), attachments=((ENCODED, b"x", ENCODED),), body="b",
    )  # fmt: skip

    message = read(letter)

    assert b"\nBcc" not in composed(letter, NOW)[1]
    assert message["subject"] == message["x-own"] == ENCODED
    # The parser of the standard library puts a blank between the words of a name.
    assert message["from"].addresses[0].display_name.replace(" ", "") == ENCODED
    assert next(message.iter_attachments()).get_filename() == ENCODED


def test_lines_are_short_and_end_as_mail_wants_it() -> None:
    """7-bit, CRLF, no line over the limit of RFC 5321, whatever the text."""
    data = composed(Letter(ANN, (BOB,), body="ä" * 5000 + "\n" + "x" * 5000, subject="ü" * 500), NOW)[1]

    assert data.isascii()
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert max(map(len, data.split(b"\r\n"))) <= 998


@pytest.mark.parametrize("name", ["report.csv", "mail.eml", "x.tar.gz", "none", "../../etc/passwd.png", "a\r\nb.pdf"])
def test_attachments_stay_what_they_are(name: str) -> None:
    """An attached message is bytes and no part of this one; text files keep their bytes."""
    content = b"From: x\n\n\xff\x00"
    message = read(Letter(ANN, (BOB,), attachments=((name, content, ""),)))

    part = next(message.iter_attachments())
    assert part.get_payload(decode=True) == content
    assert part.get_content_maintype() not in ("message", "multipart")


def test_limits() -> None:
    """Size and number of headers are bounded."""
    with pytest.raises(BundleValidationError, match="bytes"):
        composed(Letter(ANN, (BOB,), attachments=(("a", b"x" * (MAX_MESSAGE + 1), ""),)), NOW)
    with pytest.raises(BundleValidationError, match="headers"):
        composed(Letter(ANN, (BOB,), headers=(("X-A", "b"),) * 101), NOW)
