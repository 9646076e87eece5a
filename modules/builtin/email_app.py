"""The app `email`: its blueprints are imported; sending mail says that it is not there yet (spec/scenarios.md 4.10)."""

from __future__ import annotations

from typing import Final

from modules.builtin.job import Builtin, BuiltinJob, field
from runtime.effects import Steps
from runtime.errors import InvalidConfigurationError


def refuse(job: BuiltinJob) -> Steps[None]:  # noqa: ARG001  it does not get so far
    """Say that no mail can be sent yet."""
    raise InvalidConfigurationError(
        "The built-in email app cannot send mail yet. Use a custom app of your mail service, or its HTTP interface."
    )
    yield  # pyright: ignore[reportUnreachable]  makes it a generator like every other module


_TEXTS: Final = ("subject", "contentType", "html", "text", "from", "sender", "replyTo", "inReplyTo", "priority")
_LISTS: Final = ("to", "cc", "bcc", "attachments", "references", "headers")

ENTRIES: Final = (
    Builtin(
        "email:ActionSendEmail",
        versions=(7,),
        run=refuse,
        static=[field("account", "any"), field("saveAfterSent", "any")],
        mappable=[*(field(name) for name in _TEXTS), *(field(name, "any") for name in _LISTS)],
    ),
)
