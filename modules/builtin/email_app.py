"""The app `email`: sending (spec/scenarios.md 4.10)."""

from __future__ import annotations

from typing import Any, Final, Literal, cast

from modules.builtin.email_message import Letter, addresses, composed
from modules.builtin.job import Builtin, BuiltinJob, field, invalid
from runtime.effects import Delivery, Emit, MailServer, SendMail, Steps, Warn
from runtime.errors import InvalidConfigurationError
from runtime.values import UNDEFINED, Buffer, to_text

#: Most recipients of one message, those of `cc` and `bcc` counted.
MAX_RECIPIENTS: Final = 1000
_SECURITY: Final = frozenset({"tls", "starttls", "none"})


def send_email(job: BuiltinJob) -> Steps[None]:
    """Send a message: `{messageId, response, accepted, rejected}`."""
    account = job.credentials.get("smtp")
    if account is None:
        raise InvalidConfigurationError("The module has no connection of the kind smtp. Bind one.")
    letter = _letter(job, account)
    recipients = list(dict.fromkeys(address for _, address in (*letter.to, *letter.cc, *letter.bcc)))
    if not recipients:
        raise invalid("The message has no recipient.")
    if len(recipients) > MAX_RECIPIENTS:
        raise invalid(f"The message has {len(recipients)} recipients; {MAX_RECIPIENTS} are the most.")
    message_id, message = composed(letter, job.environment.now)
    envelope = (letter.envelope or letter.sender)[1]
    delivery: Delivery = yield SendMail(_server(account), envelope, tuple(recipients), message)
    if job.config.get("saveAfterSent", UNDEFINED) in (True, "true"):
        yield Warn("The message was sent. It was not saved in a folder: that needs IMAP, which is not there.", "email")
    yield Emit(
        [
            {
                "messageId": message_id,
                "response": delivery.response,
                "accepted": list(delivery.accepted),
                "rejected": list(delivery.rejected),
            }
        ]
    )


def _server(account: dict[str, Any]) -> MailServer:
    security = to_text(account.get("security", "")) or "tls"
    port = account.get("port")
    if security not in _SECURITY or not isinstance(port, int):
        raise InvalidConfigurationError("The mail connection is not complete: check its port and its encryption.")
    return MailServer(
        to_text(account.get("host", "")).strip(),
        port,
        cast(Literal["tls", "starttls", "none"], security),
        to_text(account.get("username", "")),
        to_text(account.get("password", "")),
        to_text(account.get("ca", "")) or None,
    )


def _letter(job: BuiltinJob, account: dict[str, Any]) -> Letter:
    config = job.config
    # A connection without a sender of its own sends as its user, whose name is an address as a rule.
    own = to_text(account.get("from", "")) or to_text(account.get("username", ""))
    sender = addresses(_text(config, "from") or own, "from")
    if len(sender) != 1:
        raise invalid("The message has no sender: give one in `from`, or in the connection.")
    html = (_text(config, "contentType") or ("html" if _text(config, "html") else "text")) == "html"
    envelope = addresses(_text(config, "sender"), "sender")
    return Letter(
        sender=sender[0],
        to=addresses(config.get("to", UNDEFINED), "to"),
        cc=addresses(config.get("cc", UNDEFINED), "cc"),
        bcc=addresses(config.get("bcc", UNDEFINED), "bcc"),
        envelope=envelope[0] if envelope else None,
        reply_to=addresses(_text(config, "replyTo"), "replyTo"),
        subject=_text(config, "subject"),
        body=_text(config, "html" if html else "text"),
        html=html,
        in_reply_to=_text(config, "inReplyTo"),
        references=tuple(to_text(item) for item in _list(config.get("references", UNDEFINED)) if to_text(item)),
        priority=_text(config, "priority"),
        headers=tuple(
            (to_text(item.get("key", item.get("name", ""))), to_text(item.get("value", "")))
            for item in _list(config.get("headers", UNDEFINED))
            if isinstance(item, dict)
        ),
        attachments=tuple(
            (to_text(item.get("fileName", "")) or "file", _data(item.get("data", "")), to_text(item.get("cid", "")))
            for item in _list(config.get("attachments", UNDEFINED))
            if isinstance(item, dict)
        ),
    )


def _text(config: dict[str, Any], name: str) -> str:
    return to_text(config.get(name, ""))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _data(value: Any) -> bytes:
    return value.data if isinstance(value, Buffer) else to_text(value).encode("utf-8", "replace")


_TEXTS: Final = ("subject", "contentType", "html", "text", "from", "sender", "replyTo", "inReplyTo", "priority")
_LISTS: Final = ("to", "cc", "bcc", "attachments", "references", "headers")

ENTRIES: Final = (
    Builtin(
        "email:ActionSendEmail",
        versions=(7,),
        run=send_email,
        static=[field("account", "any", required=True), field("saveAfterSent", "any")],
        mappable=[*(field(name) for name in _TEXTS), *(field(name, "any") for name in _LISTS)],
        keychains=(("account", "smtp"),),
    ),
)
