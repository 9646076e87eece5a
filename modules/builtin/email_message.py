"""
A mail message from its settings: headers that cannot be broken out of, MIME parts, addresses (RFC 5322, 2045, 2047).

Written by hand: the standard library reads encoded words in the values that it is given, so that a subject out of a
form could begin a header of its own.
"""

from __future__ import annotations

import base64
import quopri
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from mimetypes import MimeTypes
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from modules.builtin.job import invalid
from runtime.values import is_empty, to_text

#: (name, address) as in `Ann <ann@example.com>`.
Person: TypeAlias = tuple[str, str]

#: Largest message, with its attachments as they are sent.
MAX_MESSAGE: Final = 50 * 1000 * 1000
MAX_HEADERS: Final = 100
#: Bytes of one encoded word (RFC 2047: 75 characters with its frame), and characters of a line before it is folded.
_WORD: Final = 42
_FOLD: Final = 76
#: Longest word that stands in a line as it is; longest name of a file.
_LONGEST: Final = 400
_FILE_NAME: Final = 200
_LINE_ENDS: Final = re.compile(r"\r\n|\r|\n")
#: Everything that ends a line somewhere, and what no header may hold.
_LINE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,76}")
#: `"Name" <address>`, `Name <address>`, or an address alone.
_PERSON: Final = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"\s*|([^"<>@,;]*))<([^<>\s]+)>|([^<>\s",;]+)""")
_LOCAL: Final = re.compile(r"""[^\x00-\x20\x7f@<>,;:\\"\[\]()]{1,64}""")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
#: Headers that the message itself has; a module cannot give them another value.
_OWN: Final = frozenset(
    {"from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "mime-version", "return-path", "received"}
)
#: As the vendor's mailer writes it.
_PRIORITIES: Final = {
    "high": (("X-Priority", "1 (Highest)"), ("X-MSMail-Priority", "High"), ("Importance", "High")),
    "low": (("X-Priority", "5 (Lowest)"), ("X-MSMail-Priority", "Low"), ("Importance", "Low")),
}
#: The table of the standard library only: that of the system differs from machine to machine.
_TYPES: Final = MimeTypes(filenames=())


@dataclass(frozen=True, slots=True)
class Letter:
    """What a message says, and to whom. `attachments` are (file name, bytes, content id)."""

    sender: Person
    to: tuple[Person, ...]
    cc: tuple[Person, ...] = ()
    bcc: tuple[Person, ...] = ()
    envelope: Person | None = None
    reply_to: tuple[Person, ...] = ()
    subject: str = ""
    body: str = ""
    html: bool = False
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    priority: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[tuple[str, bytes, str], ...] = ()


def addresses(value: Any, field: str) -> tuple[Person, ...]:
    """
    Addresses of a text (`Ann <ann@example.com>, bob@example.com`) or of an array of such texts.

    Raises:
        BundleValidationError: One is no address.
    """
    texts = [to_text(item) for item in (value if isinstance(value, list) else [value]) if not is_empty(item)]
    return tuple(person for text in texts for person in _people(text, field))


def _people(text: str, field: str) -> Iterator[Person]:
    """The addresses of one text. Strict: what is not understood whole is refused, so that mail goes nowhere else."""
    place = 0
    while place < len(text):
        if text[place] in " \t\r\n,;":
            place += 1
            continue
        match = _PERSON.match(text, place)
        if match is None:
            raise invalid(f"Invalid email address in parameter '{field}'.")
        quoted, plain, bracketed, bare = match.groups()
        name = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain or ""
        yield _line(name), _checked(bracketed or bare, field)
        place = match.end()
        rest = text[place:].lstrip(" \t\r\n")
        if rest and rest[0] not in ",;":
            raise invalid(f"Invalid email address in parameter '{field}'.")


def _checked(address: str, field: str) -> str:
    local, _, domain = address.rpartition("@")
    try:
        plain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        plain = ""
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(plain):
        raise invalid(f"Invalid email address in parameter '{field}'.")
    return f"{local}@{plain}"


def composed(letter: Letter, now: datetime) -> tuple[str, bytes]:
    """
    The message id and the message as it goes out: ASCII apart from such addresses, its lines ended by CR LF.

    Raises:
        BundleValidationError: A header is none, or the message is too large.
    """
    size = len(letter.body) + sum(len(data) for _, data, _ in letter.attachments)
    if size > MAX_MESSAGE:
        raise invalid(f"The message has {size:,} bytes; {MAX_MESSAGE:,} are the most.")
    message_id = f"<{uuid.uuid4()}@{letter.sender[1].rpartition('@')[2]}>"
    headers = {"From": _mailboxes([letter.sender])}
    for name, people in (("To", letter.to), ("Cc", letter.cc), ("Reply-To", letter.reply_to)):
        if people:
            headers[name] = _mailboxes(people)
    if letter.envelope is not None:
        headers["Sender"] = _mailboxes([letter.envelope])
    headers |= {"Subject": _value(letter.subject), "Date": format_datetime(now), "Message-ID": message_id}
    if letter.in_reply_to:
        headers["In-Reply-To"] = _value(letter.in_reply_to)
    if letter.references:
        headers["References"] = _value(" ".join(letter.references))
    headers |= dict(_PRIORITIES.get(letter.priority, ()))
    lines = [f"{name}: {value}" for name, value in headers.items()]
    lines += _own_headers(letter, headers)
    return message_id, b"\r\n".join([*(line.encode() for line in lines), b"MIME-Version: 1.0", _content(letter)])


def _own_headers(letter: Letter, present: Mapping[str, str]) -> list[str]:
    if len(letter.headers) > MAX_HEADERS:
        raise invalid(f"The message has {len(letter.headers)} headers; {MAX_HEADERS} are the most.")
    taken = _OWN | {name.lower() for name in present}
    for name, _ in letter.headers:
        if not _NAME.fullmatch(name) or name.lower() in taken or name.lower().startswith("content-"):
            raise invalid(f"Invalid header in parameter 'headers': {_line(name)[:80]}")
    return [f"{name}: {_value(value)}" for name, value in letter.headers]


# -- parts: each is its headers, an empty line and its content ---------------------------------------------------------


def _content(letter: Letter) -> bytes:
    text = _LINE_ENDS.sub("\n", _clean(letter.body)).encode()
    kind = "html" if letter.html else "plain"
    encoded = quopri.encodestring(text).replace(b"\n", b"\r\n")
    part = _part(f"text/{kind}; charset=utf-8", "quoted-printable", encoded + b"\r\n")
    within = [item for item in letter.attachments if letter.html and item[2]]
    behind = [item for item in letter.attachments if not (letter.html and item[2])]
    if within:
        part = _multipart("related", [part, *(_file(item, "inline") for item in within)])
    if behind:
        part = _multipart("mixed", [part, *(_file(item, "attachment") for item in behind)])
    return part


def _part(kind: str, encoding: str, content: bytes, *more: str) -> bytes:
    lines = [f"Content-Type: {kind}", f"Content-Transfer-Encoding: {encoding}", *more, "", ""]
    return "\r\n".join(lines).encode("ascii") + content


def _multipart(kind: str, parts: list[bytes]) -> bytes:
    # Neither base64 nor quoted-printable can give these characters in this order.
    boundary = f"=_{uuid.uuid4().hex}"
    lines = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode()
        + lines
        + f"--{boundary}--\r\n".encode()
    )


def _file(item: tuple[str, bytes, str], disposition: str) -> bytes:
    name, data, cid = item
    name = _line(name)[:_FILE_NAME] or "file"
    if re.fullmatch(r"[A-Za-z0-9 ._-]+", name):
        given = f'filename="{name}"'
    else:
        given = f"filename*=utf-8''{quote(name, safe='')}"
    more = [f"Content-Disposition: {disposition};\r\n {given}"]
    content_id = re.sub(r"[^A-Za-z0-9@._+-]", "", cid)
    if content_id:
        more.append(f"Content-ID: <{content_id}>")
    return _part(_type(name), "base64", base64.encodebytes(data).replace(b"\n", b"\r\n"), *more)


def _type(name: str) -> str:
    kind, encoding = _TYPES.guess_type(name.rpartition("/")[2], strict=False)
    # A message or a multipart would be read as parts of this message.
    if kind is None or encoding is not None or kind.startswith(("message/", "multipart/")):
        return "application/octet-stream"
    return kind


# -- values of headers: printable ASCII, folded ------------------------------------------------------------------------


def _mailboxes(people: Sequence[Person]) -> str:
    return ",\r\n ".join(_mailbox(_line(name), address) for name, address in people)


def _mailbox(name: str, address: str) -> str:
    if not name:
        return address
    if _plain(name) and len(name) < _FOLD:
        quoted = re.sub(r'(["\\])', r"\\\1", name)
        shown = name if re.fullmatch(r"[A-Za-z0-9 ]+", name) else f'"{quoted}"'
    else:
        shown = _words(name)
    return f"{shown} <{address}>"


def _value(text: str) -> str:
    """A text as the value of a header: as it is, folded at its blanks, or in encoded words."""
    text = _line(text)
    words = text.split(" ")
    if not _plain(text) or any(len(word) > _LONGEST for word in words):
        return _words(text)
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) >= _FOLD and word:
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] or len(lines) > 1 else word
    return "\r\n ".join(lines)


def _words(text: str) -> str:
    """RFC 2047 words; each holds whole characters."""
    found: list[bytes] = [b""]
    for letter in text:
        data = letter.encode()
        if len(found[-1]) + len(data) > _WORD:
            found.append(b"")
        found[-1] += data
    return "\r\n ".join(f"=?utf-8?B?{base64.b64encode(word).decode('ascii')}?=" for word in found)


def _plain(text: str) -> bool:
    """Whether a text means itself in a header; one with an encoded word in it would mean something else."""
    return text.isascii() and "=?" not in text


def _line(text: str) -> str:
    """A text that is one line, so that nothing in it can begin another header."""
    return _clean(_LINE.sub(" ", text)).strip()


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
