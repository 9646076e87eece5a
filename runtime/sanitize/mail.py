"""The record of mail that was handed over: where, how it ended, how long it took; never what was in it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from runtime.effects import Delivery, SendMail
from runtime.errors import ModuleError
from runtime.sanitize.secrets import Secrets


def mail_record(
    mail: SendMail, delivery: Delivery | None, error: ModuleError | None, secrets: Secrets, elapsed: timedelta
) -> dict[str, Any]:
    """The redacted record, in the shape of `exchange_record`; without addresses, as they are data of the run."""
    record: dict[str, Any] = {
        "component": "email",
        "page": 1,
        "repeat": 0,
        "number": mail.number,
        "request": {"method": mail.method, "url": f"smtp://{mail.server.host}:{mail.server.port}"},
        "response": None if delivery is None else {"statusCode": 250},
    }
    record = secrets.redact(record)
    if error is not None:
        record["error"] = {"type": error.name, "message": secrets.redact_text(error.message)}
    record["ms"] = round(elapsed / timedelta(milliseconds=1), 3)
    return record
