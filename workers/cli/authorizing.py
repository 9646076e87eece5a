"""
The part of a command in which a person visits a provider's page: open or print it, wait for the callback on this
machine or at the gateway, or take the address that the browser ended at.
"""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from runtime.errors import UsageError
from workers.cli import output

if TYPE_CHECKING:
    from workers.authorizing import Waiting
    from workers.service import Service
    from workers.views import ConnectionView

#: Largest address that is read from standard input.
_MAX_ADDRESS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Browser:
    """How the person gets to the page and back: `pasted` reads the last address from standard input."""

    open: bool = True
    pasted: bool = False
    #: Wait on this machine although the installation has a public address.
    loopback: bool = False


def browser_of(*, no_browser: bool, redirect_url: str | None, loopback: bool) -> Browser:
    """
    The options of a command.

    Raises:
        UsageError: The address is an argument, which every user of this machine could read.
    """
    if redirect_url not in (None, "-"):
        raise UsageError("--redirect-url takes -: the address holds a code, which no argument may show")
    return Browser(open=not no_browser, pasted=redirect_url == "-", loopback=loopback)


def authorize(
    opened: Service,
    app: str,
    component: str,
    browser: Browser,
    begin: Callable[[str], ConnectionView | Waiting],
) -> ConnectionView:
    """
    Authorize a connection, over the browser where its type needs one. `begin` takes the callback's address.

    Raises:
        ModuleError: The provider or the service refused; nothing is stored.
        UsageError: Nobody came back in time.
    """
    from connections.phases import kind_of

    found, spec = opened.connections.component(app, component)
    if kind_of(spec) == "basic":
        return _stored(begin(""))
    public = opened.connections.redirect_uri(app, component)
    if public is not None and not browser.loopback:
        begun = begin(public)
        return _at_gateway(opened, begun, browser) if _waits(begun) else _stored(begun)
    from workers.authorizing import callback_path
    from workers.loopback import Loopback

    port = opened.settings.option("oauth_loopback_port", 0)
    with Loopback(callback_path(found.name, spec.id), port) as loopback:
        begun = begin(loopback.redirect_uri)
        if not _waits(begun):
            return _stored(begun)
        if browser.pasted:
            return _pasted(opened, begun)
        loopback.expect(opened.connections.finish)
        _visit(begun, browser)
        return _waited(loopback.wait)


def _waits(begun: ConnectionView | Waiting) -> bool:
    from workers.authorizing import Waiting

    return isinstance(begun, Waiting)


def _stored(begun: ConnectionView | Waiting) -> ConnectionView:
    from workers.views import ConnectionView

    if not isinstance(begun, ConnectionView):
        raise UsageError("The connection needs a browser.")
    return begun


def _at_gateway(opened: Service, begun: ConnectionView | Waiting, browser: Browser) -> ConnectionView:
    from workers.authorizing import Waiting

    assert isinstance(begun, Waiting)  # noqa: S101  for the type checker; the caller has looked
    if browser.pasted:
        return _pasted(opened, begun)
    _visit(begun, browser)
    return opened.connections.wait(begun)


def _visit(begun: ConnectionView | Waiting, browser: Browser) -> None:
    url = getattr(begun, "url", "")
    shown = browser.open and sys.stderr.isatty() and webbrowser.open(url)
    output.complain("Waiting for the page that has opened in the browser. It is:" if shown else "Open in a browser:")
    output.show_address(url)
    output.progress("Without a browser on this machine use --redirect-url - and paste the address it ends at.")


def _pasted(opened: Service, begun: ConnectionView | Waiting) -> ConnectionView:
    from urllib.parse import urlsplit

    from connections.redirect import query_of

    output.complain("Open in a browser, and paste the address that it ends at, whether a page appears there or not:")
    output.show_address(getattr(begun, "url", ""))
    if sys.stdin.isatty():
        import getpass

        address = getpass.getpass("Address (hidden): ")
    else:
        address = sys.stdin.readline(_MAX_ADDRESS)
    address = address.strip()
    query = query_of(address) if address else {}
    for value in query.values():
        if len(value) > 5:
            output.keep_secret(value)
    if not query:
        raise UsageError("That is no address with the answer of the provider; it has ?code=... or ?error=... in it.")
    return opened.connections.finish(query, urlsplit(address).path)


def _waited(wait: Callable[[float], ConnectionView | None]) -> ConnectionView:
    from connections.redirect import PENDING_TIME

    waited = 0.0
    while waited < PENDING_TIME.total_seconds():
        # In short pieces, so that Ctrl-C is heard at once.
        found = wait(0.5)
        if found is not None:
            return found
        waited += 0.5
    raise UsageError("Nobody has finished the authorization in time. Begin again.")


NO_BROWSER = typer.Option("--no-browser", help="Only print the provider's page.")
REDIRECT_URL = typer.Option(
    "--redirect-url", metavar="-", help="Take the address that the browser ends at from standard input or a prompt."
)
LOOPBACK = typer.Option("--loopback", help="Wait on this machine although there is a public address.")
MODULE = typer.Option("--module", metavar="MODULE", help="Ask for the permissions of this module only; repeatable.")
SCOPE = typer.Option("--scope", metavar="SCOPE", help="Ask for this permission too; repeatable.")
