"""
Which addresses may be reached: the guard against requests into private networks (spec/communication.md 20).
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from runtime.errors import InvalidConfigurationError

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Refused beyond what `ipaddress` calls not global, which differs between releases of Python: a cloud's host agent,
#: protocol assignments (a cloud has its metadata at 192.0.0.192), 6to4 relays, site-local, documentation, SRv6.
_SPECIAL: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "100:0:0:1::/64", "3fff::/20",
        "5f00::/16", "fec0::/10",
    )
)  # fmt: skip
#: IPv6 ranges that carry an IPv4 address, and where its four bytes begin: NAT64 and 6to4.
_EMBEDDED: Final = ((ipaddress.IPv6Network("64:ff9b::/96"), 12), (ipaddress.IPv6Network("2002::/16"), 2))
#: What stands before the IPv4 address in the last half of a tunnel's address (RFC 5214).
_ISATAP: Final = (bytes.fromhex("00005efe"), bytes.fromhex("02005efe"))


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """
    The operator's rules for outgoing requests.

    `allow_nets` are private networks that may be reached after all. `proxy` is the address of an HTTP proxy for every
    request, None for direct connections; the environment's proxy variables are never read.
    """

    allow_nets: tuple[Network, ...] = ()
    proxy: str | None = None
    max_response_bytes: int = 100 * 1024 * 1024
    allow_insecure_tls: bool = False

    def permits(self, address: Ip) -> bool:
        """Whether this address may be connected to; an IPv4 address inside an IPv6 one counts as itself."""
        real = unwrap(address)
        if any(real in network for network in self.allow_nets if network.version == real.version):
            return True
        if any(address in network for network in self.allow_nets if network.version == address.version):
            return True
        refused = any(real in network for network in _SPECIAL if network.version == real.version)
        return real.is_global and not real.is_multicast and not real.is_reserved and not refused

    def check(self, addresses: Iterable[str]) -> list[str]:
        """
        The addresses of a host, all of them permitted.

        One refused address refuses the host: a name that mixes public and private addresses is an attack.

        Raises:
            InvalidConfigurationError: An address is private, local, reserved or a cloud's metadata service.
        """
        found = list(dict.fromkeys(addresses))
        for text in found:
            try:
                permitted = self.permits(ipaddress.ip_address(text))
            except ValueError:
                # An address with a zone, such as fe80::1%eth0, is link-local by nature.
                permitted = False
            if not permitted:
                raise InvalidConfigurationError(
                    "The address is refused: it leads into a private or local network. "
                    "The operator can allow networks with SCENARIST_ALLOW_NETS."
                )
        return found


def unwrap(address: Ip) -> Ip:
    """The IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo, ISATAP), else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.teredo is not None:
        return address.teredo[1]
    for network, start in _EMBEDDED:
        if address in network:
            return IPv4Address(address.packed[start : start + 4])
    if address.packed[8:12] in _ISATAP:
        return IPv4Address(address.packed[12:])
    # ::a.b.c.d, the deprecated compatible form; :: and ::1 are what they are.
    if address.packed[:12] == bytes(12) and int(address) > 1:
        return IPv4Address(address.packed[12:])
    return address


def resolve(host: str, port: int, timeout_seconds: float | None = None) -> list[str]:
    """
    The addresses of a host name in the resolver's order.

    The resolver of the system knows no deadline, so it works in a thread of its own that may be left behind.

    Raises:
        TimeoutError: The resolver did not answer in time.
        OSError: The name has no address.
    """
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found: list[str] = []
    failures: list[OSError] = []

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError:
            failures.append(OSError("not a host name"))
        except OSError as error:
            failures.append(error)
        else:
            found.extend(str(entry[4][0]) for entry in entries)

    thread = threading.Thread(target=look_up, name="resolver", daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive():
        raise TimeoutError("the resolver did not answer")
    if failures:
        raise failures[0]
    return found
