"""Encryption of one run's data with the run's own key (design section 10.1); the key ring wraps that key."""

from __future__ import annotations

from typing import Protocol

from connections.keyring import DataKey


class KeyWrap(Protocol):
    """The part of the key ring that the ledger needs."""

    def wrap(self, key: DataKey, *, aad: str) -> bytes:
        """A run's data key in the form that is stored."""
        ...

    def unwrap(self, wrapped: bytes, *, aad: str) -> DataKey:
        """The data key again. Raises `CipherError` when no key of the ring fits."""
        ...


class RunCipher:
    """A run's data key in use. Run and place are bound to each text, so that pieces cannot be swapped."""

    __slots__ = ("_key", "_run")

    def __init__(self, run: str, key: DataKey) -> None:
        self._run = run
        self._key = key

    def encrypt(self, plain: bytes, place: str) -> bytes:
        """The encrypted text; `place` says what it is, such as `chunk 3:0`."""
        return self._key.encrypt(plain, aad=f"run {self._run} {place}")

    def decrypt(self, data: bytes, place: str) -> bytes:
        """
        The plain text that was encrypted for this run and place.

        Raises:
            CipherError: It was changed, or belongs elsewhere.
        """
        return self._key.decrypt(data, aad=f"run {self._run} {place}")
