"""What the `token` commands do: make, list and remove tokens of the HTTP API."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from workers.commands.context import Context
from workers.ledger.tokens import TokenRow, Tokens


@dataclass(frozen=True, slots=True)
class TokenCommands:
    """The commands."""

    context: Context

    @property
    def _tokens(self) -> Tokens:
        return Tokens(self.context.runner.runs.client, self.context.runner.runs.keys)

    def add(self, name: str, scopes: Collection[str], *, expires: timedelta | None) -> tuple[TokenRow, str]:
        """Make a token; gives its row and the token, which is shown once. Raises UsageError."""
        return self._tokens.add(name, scopes, expires=expires)

    def list(self) -> list[TokenRow]:
        """All tokens by name, without themselves."""
        return self._tokens.list()

    def remove(self, name: str) -> None:
        """Take a token away. Raises NotFoundError."""
        self._tokens.remove(name)
