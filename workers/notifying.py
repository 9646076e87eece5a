"""Sends notifications to the setting `notify_url` (spec/scenarios.md 6.4): in order, at least once, in a few tries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from runtime.errors import SettingsError, UsageError
from runtime.logs import get_logger
from workers.ledger.notifications import Notifications
from workers.posting import DELAYS, checked_address, post
from workers.runner import SegmentRunner
from workers.settings import Settings
from workers.shown import instant

#: Messages of one look.
_A_LOOK = 10
#: When it is first turned on, what was told within this time is sent.
_SINCE = timedelta(hours=1)

log = get_logger(__name__)


def notify_url(settings: Settings) -> str:
    """
    Where notifications are sent; '' for nowhere.

    Raises:
        SettingsError: It is no address.
    """
    address = settings.option("notify_url", "")
    try:
        return checked_address(address, "setting notify_url") if address else ""
    except UsageError as error:
        raise SettingsError(error.message) from None


@dataclass(frozen=True, slots=True)
class Notifier:
    """Sends what people are told. Only the leading scheduler does."""

    runner: SegmentRunner
    url: str

    def step(self) -> int:
        """Send what is due; gives how many messages were sent."""
        if not self.url:
            return 0
        messages = Notifications(self.runner.runs.client, self.runner.runs.keys)
        seconds, micros = self.runner.runs.client.time()
        now = seconds * 1000 + micros // 1000
        if messages.attempts()[1] > now:
            return 0
        sent = 0
        for message in messages.unsent(since_ms=now - _SINCE // timedelta(milliseconds=1), limit=_A_LOOK):
            body = message.to_json() | {"at": instant(message.at_ms)}
            reason = post(self.runner.http, self.url, body, delivery=f"notification {message.id}")
            if reason:
                attempts = messages.attempts()[0]
                if attempts < len(DELAYS):
                    log.warning("notification not sent", reason=reason, attempts=attempts + 1)
                    messages.failed(retry_ms=now + DELAYS[attempts] // timedelta(milliseconds=1))
                    return sent
                log.error("notification given up", reason=reason, notification=message.id)
            messages.done(message)
            sent += 1
        return sent
