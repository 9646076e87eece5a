"""
The key ring: encrypts what lies in the store, and wraps the data keys of runs.

AES-256-GCM. Cipher text is a format byte, the key's id with its length, a random nonce and the sealed data; the record
that it belongs to is associated data, so a cipher text copied to another record is refused. The ring's text holds one
key a line, `id:base64`, the newest first: that one encrypts, all of them decrypt.

Sources: spec/connections.md section 2, design sections 3, 5 and 10.1.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.errors import ScenaristError, SettingsError
from runtime.logs import get_logger

log = get_logger(__name__)

KEY_BYTES: Final = 32
#: The size that AES-GCM is specified for; random ones are safe up to 2^32 messages a key.
NONCE_BYTES: Final = 12
#: Format of a cipher text.
FORMAT: Final = 1
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
_HELP: Final = "one key a line as id:base64 of 32 bytes, newest first; `scenarist keys rotate` makes one"


class CipherError(ScenaristError):
    """A cipher text cannot be opened: its key is not in the ring, or it was changed or belongs to another record."""

    name = "CipherError"


@dataclass(frozen=True, slots=True)
class Key:
    """One key with the name that cipher texts carry."""

    id: str
    data: bytes = field(repr=False)

    def line(self) -> str:
        """The key as a line of a ring's text."""
        return f"{self.id}:{base64.b64encode(self.data).decode('ascii')}"


def generate_key() -> Key:
    """A new random key with a new random id."""
    return Key(f"k{secrets.token_hex(6)}", secrets.token_bytes(KEY_BYTES))


class DataKey:
    """
    A key for the data of one run or one queue; stored only in wrapped form. Deleting that deletes the data.
    """

    __slots__ = ("_cipher", "raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a data key has {KEY_BYTES} bytes, not {len(raw)}")
        self.raw = raw
        self._cipher = AESGCM(raw)

    @classmethod
    def generate(cls) -> DataKey:
        """A new random data key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def encrypt(self, plain: bytes, *, aad: str) -> bytes:
        """Seal bytes; `aad` names the place that they belong to."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, aad.encode())

    def decrypt(self, cipher: bytes, *, aad: str) -> bytes:
        """
        The bytes that `encrypt` sealed.

        Raises:
            CipherError: Another key, another place, or changed bytes.
        """
        try:
            return self._cipher.decrypt(cipher[:NONCE_BYTES], cipher[NONCE_BYTES:], aad.encode())
        except (InvalidTag, ValueError):
            raise _changed(aad) from None

    def __repr__(self) -> str:
        return "DataKey()"


class _Held(NamedTuple):
    """The keys of a ring, newest first, and their ciphers by id."""

    keys: tuple[Key, ...]
    ciphers: dict[str, AESGCM]


class KeyRing:
    """Keys, newest first. Immutable and thread-safe; `repr` shows ids only."""

    __slots__ = ("_held",)

    def __init__(self, keys: Iterable[Key]) -> None:
        """
        Raises:
            SettingsError: No key, a malformed one, or two of one id.
        """
        held = _Held(tuple(keys), {})
        if not held.keys:
            raise SettingsError(f"The key ring is empty. It needs {_HELP}.")
        for key in held.keys:
            if not _KEY_ID.fullmatch(key.id) or len(key.data) != KEY_BYTES:
                raise SettingsError(f"The key ring holds a key that cannot be used. It needs {_HELP}.")
            if key.id in held.ciphers:
                raise SettingsError(f'The key ring holds two keys of the id "{key.id}". Ids must differ.')
            held.ciphers[key.id] = AESGCM(key.data)
        self._held = held

    def _now(self) -> _Held:
        """The keys to work with now; asked once for each operation."""
        return self._held

    @classmethod
    def load(cls, text: str, *, source: str = "SCENARIST_KEYS") -> KeyRing:
        """
        The ring in a text. Lines that are empty or begin with `#` do not count; commas part keys as lines do.

        Raises:
            SettingsError: The text is no ring. The message names `source` and the line, never a key.
        """
        keys: list[Key] = []
        for number, line in enumerate(text.replace(",", "\n").splitlines(), start=1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            name, colon, encoded = entry.partition(":")
            try:
                data = base64.b64decode(encoded.strip(), validate=True)
            except (binascii.Error, ValueError):
                data = b""
            if not colon or not _KEY_ID.fullmatch(name.strip()) or len(data) != KEY_BYTES:
                raise SettingsError(f"{source}: key {number} cannot be read. It needs {_HELP}.")
            keys.append(Key(name.strip(), data))
        if not keys:
            raise SettingsError(f"{source}: holds no key. It needs {_HELP}.")
        try:
            return cls(keys)
        except SettingsError as error:
            raise SettingsError(f"{source}: {error.message}") from None

    def text(self) -> str:
        """The ring as text, for its file only."""
        return "".join(key.line() + "\n" for key in self._now().keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """Key ids, newest first."""
        return tuple(key.id for key in self._now().keys)

    def with_new_key(self) -> KeyRing:
        """This ring with a new key in front."""
        return KeyRing((generate_key(), *self._now().keys))

    def encrypt(self, plain: bytes, *, aad: str) -> bytes:
        """Seal bytes with the newest key; `aad` names the record that they belong to."""
        keys, ciphers = self._now()
        newest = keys[0].id
        head = bytes((FORMAT, len(newest))) + newest.encode("ascii")
        nonce = secrets.token_bytes(NONCE_BYTES)
        return head + nonce + ciphers[newest].encrypt(nonce, plain, head + aad.encode())

    def decrypt(self, cipher: bytes, *, aad: str) -> bytes:
        """
        The bytes that `encrypt` sealed.

        Raises:
            CipherError: The key is not in this ring, the record is another one, or the bytes were changed.
        """
        name = _key_id(cipher)
        keys, ciphers = self._now()
        known = ciphers.get(name)
        if known is None:
            ids = ", ".join(key.id for key in keys)
            raise CipherError(
                f'"{aad}" is encrypted with the key "{name}", which is not in the key ring ({ids}). '
                "Add that key to the ring, behind the newest one."
            )
        head = cipher[: 2 + len(name)]
        body = cipher[len(head) :]
        try:
            return known.decrypt(body[:NONCE_BYTES], body[NONCE_BYTES:], head + aad.encode())
        except (InvalidTag, ValueError):
            raise _changed(aad) from None

    def all(self) -> tuple[Key, ...]:
        """The keys, newest first: for another ring of the same ones."""
        return self._now().keys

    @staticmethod
    def id_of(cipher: bytes) -> str:
        """
        The id of the key that a cipher text was sealed with.

        Raises:
            CipherError: It is none of this release.
        """
        return _key_id(cipher)

    def needs_rotation(self, cipher: bytes) -> bool:
        """True when it was not sealed with the newest key."""
        return _key_id(cipher) != self._now().keys[0].id

    def wrap(self, key: DataKey, *, aad: str) -> bytes:
        """A run's data key in the form that is stored; `aad` names the run."""
        return self.encrypt(key.raw, aad=aad)

    def unwrap(self, wrapped: bytes, *, aad: str) -> DataKey:
        """
        The data key that `wrap` sealed.

        Raises:
            CipherError: As `decrypt`.
        """
        return DataKey(self.decrypt(wrapped, aad=aad))

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self.ids)})"


class FollowedKeyRing(KeyRing):
    """
    The ring in a file that may change while the process runs: `keys rotate` in another process puts a key in front, an
    operator mounts a new secret. Each operation looks whether the file is another one and works with what it holds now,
    so that no process is left behind by a rotation. A file that cannot be read leaves the ring as it is.
    """

    __slots__ = ("_path", "_read", "_seen")

    def __init__(self, path: Path, read: Callable[[Path], KeyRing]) -> None:
        """
        Args:
            path: The file.
            read: Reads it.

        Raises:
            SettingsError: It cannot be read.
        """
        # First the look, then the file: what changes in between is seen by the next look.
        self._seen = _look(path)
        self._path, self._read = path, read
        super().__init__(read(path)._now().keys)

    def _now(self) -> _Held:
        seen = _look(self._path)
        if seen != self._seen:
            try:
                self._held = self._read(self._path)._now()
            except SettingsError as error:
                log.warning("the changed key ring cannot be read; the former one stays in use", reason=error.message)
            self._seen = seen
        return self._held


def _look(path: Path) -> tuple[int, ...] | None:
    """What tells one state of a file from another; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def _key_id(cipher: bytes) -> str:
    if len(cipher) < 2 or cipher[0] != FORMAT:
        raise CipherError("The stored data are no cipher text of this release.")
    return cipher[2 : 2 + cipher[1]].decode("ascii", "replace")


def _changed(aad: str) -> CipherError:
    return CipherError(f'"{aad}" cannot be decrypted: the stored data were changed or belong to another record.')


# --- the key file -----------------------------------------------------------------------------------------------------


def read_key_file(path: Path, *, own: bool = True) -> KeyRing:
    """
    The ring in a key file. `own`: one that we made, which nobody else may read; one that an operator mounts as a secret
    belongs to whom the platform says and is often readable inside its container, so it only may not be written.

    Raises:
        SettingsError: No such file, others may read or write it, or its content is no ring.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SettingsError(f"{path}: the key file does not exist.") from None
    except OSError as error:
        raise SettingsError(f"{path}: the key file cannot be opened: {error.strerror}.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise SettingsError(f"{path}: the key file is no regular file.")
    with os.fdopen(descriptor, "rb") as file:
        if not own and status.st_mode & 0o022:
            raise SettingsError(f"{path}: others may change the key file. Run: chmod go-w {path}")
        if own and status.st_uid not in (0, os.geteuid()):
            raise SettingsError(f"{path}: the key file belongs to another user (uid {status.st_uid}).")
        if own and status.st_mode & 0o077:
            raise SettingsError(f"{path}: others may read or change the key file. Run: chmod 600 {path}")
        try:
            text = file.read().decode("utf-8")
        except UnicodeDecodeError:
            raise SettingsError(f"{path}: the key file is no text. It needs {_HELP}.") from None
    return KeyRing.load(text, source=str(path))


def ensure_key_file(path: Path) -> KeyRing:
    """
    The ring in a key file, which is made with one new key, mode 0600, when it is not there.

    Of processes that start at the same time, one makes it and the others read that one.

    Raises:
        SettingsError: As `read_key_file`, or the folder cannot be written.
    """
    if not os.path.lexists(path):
        with contextlib.suppress(FileExistsError):
            _write(path, KeyRing([generate_key()]).text(), replace=False)
    return read_key_file(path)


def add_key_to_file(path: Path) -> KeyRing:
    """
    Put a new key in front of a key file's ring, in one step: a reader sees the old ring or the new one.

    Raises:
        SettingsError: As `read_key_file`, or the folder cannot be written.
    """
    ring = read_key_file(path).with_new_key()
    _write(path, ring.text(), replace=True)
    return ring


def _write(path: Path, text: str, *, replace: bool) -> None:
    """Write a whole file beside its place, then move it there. Raises FileExistsError without `replace`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                # Unlike a rename, this fails when somebody else was faster.
                path.hardlink_to(temporary)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise
    except OSError as error:
        raise SettingsError(f"{path}: the key file cannot be written: {error.strerror}.") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
