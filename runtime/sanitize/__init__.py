"""
Redaction: the one part of the code base that takes secrets out of what leaves the process.

Two means together (design section 5): what is *declared* (the app's `log.sanitize` paths, well-known names) and what is
*known* (the secret values themselves, in any of their usual encodings). A failure withholds the record.

Sources: spec/communication.md section 21, spec/connections.md section 12.
"""

from runtime.sanitize.encodings import MASK
from runtime.sanitize.events import redact_error, redact_event
from runtime.sanitize.exchange import exchange_record
from runtime.sanitize.mail import mail_record
from runtime.sanitize.paths import SanitizePath, apply_path, parse_path
from runtime.sanitize.secrets import Secrets

__all__ = [
    "MASK",
    "SanitizePath",
    "Secrets",
    "apply_path",
    "exchange_record",
    "mail_record",
    "parse_path",
    "redact_error",
    "redact_event",
]
