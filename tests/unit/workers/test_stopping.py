"""A process ends by a signal whatever it is doing at that moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from tests.paths import ROOT

CODE = """
import os, signal, sys
from workers.stopping import Stop
stop = Stop()
stop.listen()
print("ready", flush=True)
while not stop.wait(0.0005):
    pass
"""


def test_a_signal_ends_a_waiting_process_at_any_moment() -> None:
    """Handlers that take the lock of what the process waits on hang about once in some hundred such rounds."""
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-P", "-c", CODE], stdout=subprocess.PIPE, cwd=ROOT, env=_here())
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.002)  # somewhere within its waiting
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        process.stdout.close()


def _here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}
