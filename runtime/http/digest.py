"""
Digest access authentication: reading a challenge and answering it.

`Digests` remembers the challenge of each account and origin, so that later requests carry an answer at once, with a
growing count. Sources: RFC 7616, spec/communication.md section 17.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from runtime.effects import DigestCredentials, HttpRequest

#: Algorithms that are answered, the best one first.
ALGORITHMS: Final[dict[str, Callable[[bytes], str]]] = {
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
#: Challenges that are remembered, the longest unused one leaves first.
KEPT: Final = 256
_SCHEME: Final = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9_.-]*)\s+(?=[A-Za-z*]+\s*=)")
_PARAMETER: Final = re.compile(r'([A-Za-z*]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One `Digest` challenge that can be answered."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    #: Hash of user, realm and password once a session instead of once an answer.
    session: bool = False
    #: False for a service of the older RFC 2069, which knows no `qop`.
    qop: bool = False
    opaque: str | None = None
    userhash: bool = False


def challenge_of(headers: Iterable[tuple[str, str]]) -> Challenge | None:
    """The strongest challenge among the `WWW-Authenticate` headers that can be answered; None when there is none."""
    found: list[Challenge] = []
    for name, value in headers:
        if name.lower() != "www-authenticate":
            continue
        starts = list(_SCHEME.finditer(value))
        for index, start in enumerate(starts):
            end = starts[index + 1].start() if index + 1 < len(starts) else len(value)
            if start[1].lower() == "digest" and (challenge := _read(value[start.end() : end])) is not None:
                found.append(challenge)
    order = list(ALGORITHMS)
    return min(found, key=lambda challenge: order.index(challenge.algorithm), default=None)


def _read(text: str) -> Challenge | None:
    fields = {
        match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(text)
    }
    name = fields.get("algorithm", "MD5").upper()
    session = name.endswith("-SESS")
    algorithm = name.removesuffix("-SESS")
    offered = [part.strip().lower() for part in fields.get("qop", "").split(",") if part.strip()]
    if algorithm not in ALGORITHMS or "nonce" not in fields or (offered and "auth" not in offered):
        return None
    return Challenge(
        realm=fields.get("realm", ""),
        nonce=fields["nonce"],
        algorithm=algorithm,
        session=session,
        qop=bool(offered),
        opaque=fields.get("opaque"),
        userhash=fields.get("userhash", "").lower() == "true",
    )


def authorization(
    challenge: Challenge, credentials: DigestCredentials, *, method: str, target: str, count: int, cnonce: str
) -> str:
    """The `Authorization` header that answers a challenge for the `count`th time; `target` is the request target."""
    digest = ALGORITHMS[challenge.algorithm]

    def hashed(text: str) -> str:
        return digest(text.encode("utf-8"))

    first = hashed(f"{credentials.username}:{challenge.realm}:{credentials.password}")
    if challenge.session:
        first = hashed(f"{first}:{challenge.nonce}:{cnonce}")
    second = hashed(f"{method}:{target}")
    number = f"{count:08x}"
    middle = f"{challenge.nonce}:{number}:{cnonce}:auth" if challenge.qop else challenge.nonce
    response = hashed(f"{first}:{middle}:{second}")
    user = hashed(f"{credentials.username}:{challenge.realm}") if challenge.userhash else credentials.username
    fields = [("realm", challenge.realm), ("nonce", challenge.nonce), ("uri", target), ("response", response)]
    if challenge.opaque is not None:
        fields.append(("opaque", challenge.opaque))
    if challenge.qop or challenge.session:
        fields.append(("cnonce", cnonce))
    quoted = [f"{name}={_quoted(value)}" for name, value in fields]
    plain = [f"algorithm={challenge.algorithm}{'-sess' if challenge.session else ''}"]
    if challenge.qop:
        plain += ["qop=auth", f"nc={number}"]
    if challenge.userhash:
        plain.append("userhash=true")
    return "Digest " + ", ".join([_user(user), *quoted, *plain])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _user(name: str) -> str:
    if name.isascii() and name.isprintable():
        return f"username={_quoted(name)}"
    return "username*=UTF-8''" + "".join(f"%{byte:02X}" for byte in name.encode("utf-8"))


@dataclass(slots=True)
class _Session:
    challenge: Challenge
    #: RFC 7616 3.4: with `-sess` the first client nonce belongs to the session.
    cnonce: str
    count: int = 0


class Digests:
    """Challenges by origin and account, for all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[tuple[str, DigestCredentials], _Session] = OrderedDict()

    def answered(self, request: HttpRequest, origin: str) -> HttpRequest:
        """The request with an answer to the challenge that this origin has given this account, if it has."""
        credentials = request.digest
        if credentials is None:
            return request
        with self._lock:
            session = self._sessions.get((origin, credentials))
            if session is None:
                return request
            self._sessions.move_to_end((origin, credentials))
            session.count += 1
            count, cnonce, challenge = session.count, session.cnonce, session.challenge
        if not challenge.session:
            cnonce = secrets.token_hex(16)
        target = request.url[len(origin) :] or "/"
        value = authorization(challenge, credentials, method=request.method, target=target, count=count, cnonce=cnonce)
        kept = tuple(pair for pair in request.headers if pair[0].lower() != "authorization")
        return replace(request, headers=(*kept, ("Authorization", value)))

    def challenged(self, credentials: DigestCredentials, origin: str, headers: Iterable[tuple[str, str]]) -> bool:
        """Read the challenge of a 401; True when there is one that can be answered, a new nonce (`stale`) included."""
        challenge = challenge_of(headers)
        if challenge is None:
            return False
        with self._lock:
            self._sessions[origin, credentials] = _Session(challenge, secrets.token_hex(16))
            while len(self._sessions) > KEPT:
                self._sessions.popitem(last=False)
        return True
