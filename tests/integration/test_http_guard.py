"""The guard against requests into private networks, on real sockets (communication.md 20)."""

from __future__ import annotations

import ipaddress

import pytest

from runtime.effects import HttpRequest
from runtime.errors import InvalidConfigurationError
from runtime.http import HttpPerformer, NetworkPolicy
from tests.servers import Answer, ScriptServer

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("localhost", id="name of loopback"),
        pytest.param("2130706433", id="decimal"),
        pytest.param("0177.0.0.1", id="octal"),
        pytest.param("0x7f.1", id="hexadecimal and short"),
        pytest.param("[::ffff:127.0.0.1]", id="IPv4 mapped"),
        pytest.param("[::1]", id="IPv6 loopback"),
        pytest.param("0.0.0.0", id="this host"),
        pytest.param("[::]", id="IPv6 any"),
        pytest.param("10.0.0.1", id="private"),
        pytest.param("172.16.0.1", id="private 172"),
        pytest.param("192.168.1.1", id="private 192"),
        pytest.param("100.64.0.1", id="shared"),
        pytest.param("169.254.169.254", id="metadata"),
        pytest.param("168.63.129.16", id="Azure host agent"),
        pytest.param("[fd00:ec2::254]", id="IPv6 metadata"),
        pytest.param("[fe80::1]", id="IPv6 link-local"),
        pytest.param("[64:ff9b::7f00:1]", id="NAT64"),
        pytest.param("[2002:7f00:1::]", id="6to4"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("255.255.255.255", id="broadcast"),
    ],
)
def test_private_addresses_are_refused_by_default(host):
    """Every spelling of a private, local or reserved address is refused before a connection is made."""
    with ScriptServer([Answer()]) as server, HttpPerformer() as http, pytest.raises(InvalidConfigurationError):
        http.send(HttpRequest("GET", f"http://{host}:{server.port}/"))

    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
def test_allowed_networks_may_be_reached(host):
    """An allowed network is reached by any spelling of its addresses."""
    nets = (LOOPBACK, ipaddress.ip_network("::1/128"))
    with ScriptServer([Answer(body=b"ok")]) as server, HttpPerformer(NetworkPolicy(allow_nets=nets)) as http:
        response = http.send(HttpRequest("GET", f"http://{host}:{server.port}/"))

    assert response.body == b"ok"


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://169.254.169.254/latest", id="metadata"),
        pytest.param("http://[::ffff:10.0.0.1]/", id="mapped private"),
        pytest.param("http://10.1/", id="short private"),
        pytest.param("ftp://example.com/", id="another scheme"),
        pytest.param("file:///etc/passwd", id="a file"),
    ],
)
def test_redirects_are_checked_like_first_requests(location):
    """An allowed service cannot lead the client on to an address that is not allowed."""
    with ScriptServer([Answer(302, (("Location", location),))]) as server:
        policy = NetworkPolicy(allow_nets=(LOOPBACK,))
        with HttpPerformer(policy) as http, pytest.raises(InvalidConfigurationError):
            http.send(HttpRequest("GET", server.url + "/"))


def test_a_host_with_one_private_address_is_refused():
    """A name that mixes public and private addresses is refused as a whole."""
    with pytest.raises(InvalidConfigurationError):
        NetworkPolicy().check(["93.184.216.34", "10.0.0.1"])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"])
def test_public_addresses_are_permitted(address):
    """Public addresses need no setting."""
    assert [address] == NetworkPolicy().check([address])
