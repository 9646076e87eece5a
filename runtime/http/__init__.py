"""
The one place that talks to the network: performs `HttpRequest` effects with httpx.

`HttpPerformer` is made once per process, after the fork, and shared by its threads. It checks every address that it
connects to, follows redirects itself, and holds one deadline and one size limit over the whole exchange.

Source: spec/communication.md sections 15, 20, 22, 23 and 30.
"""

from runtime.http.performer import HttpPerformer
from runtime.http.policy import NetworkPolicy

__all__ = ["HttpPerformer", "NetworkPolicy"]
