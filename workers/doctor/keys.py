"""The key ring: that it can be read, and that everything stored can be opened with it."""

from __future__ import annotations

from collections import Counter

from connections.keyring import KeyRing
from runtime.errors import SettingsError
from runtime.sanitize import Secrets
from workers.doctor.finding import Finding, Place, error, many, ok, warning
from workers.keys import load_keyring
from workers.rotating import rotate_all
from workers.runner import SegmentRunner


class _Survey(KeyRing):
    """A ring that rotates nothing, but notes under which keys the records lie."""

    __slots__ = ("seen",)

    def __init__(self, ring: KeyRing) -> None:
        super().__init__(ring.all())
        self.seen: Counter[str] = Counter()

    def needs_rotation(self, cipher: bytes) -> bool:
        """Never."""
        self.seen[self.id_of(cipher)] += 1
        return False


def check_keys(at: Place) -> list[Finding]:
    """Every key under which something is stored has to be in the ring; old ones should go."""
    try:
        ring = load_keyring(at.settings)
    except SettingsError as problem:
        advice = "Give the key ring back as it was: without its keys nothing that is stored can be read."
        return [error("keys", problem.message, advice)]
    survey = _Survey(ring)
    with Secrets() as secrets, SegmentRunner.open(at.settings, at.server, secrets) as runner:
        rotate_all(runner, survey)
    newest, total = ring.ids[0], survey.seen.total()
    found: list[Finding] = []
    for name, number in sorted(survey.seen.items()):
        if name not in ring.ids:
            advice = "Put that key back into the ring, behind the newest one. It cannot be made again."
            found.append(
                error("keys", f"{many(number, 'record')} need the key {name}, which is not in the ring.", advice)
            )
    old = sum(number for name, number in survey.seen.items() if name in ring.ids and name != newest)
    if old:
        advice = "Run scenarist keys rotate; afterwards the older keys can be taken out."
        found.append(warning("keys", f"{many(old, 'record')} lie under older at.keys.", advice))
    return found or [ok("keys", f"{many(total, 'record')}, all under the newest of {many(len(ring.ids), 'key')}.")]
