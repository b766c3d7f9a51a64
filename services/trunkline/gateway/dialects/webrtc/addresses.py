"""Where a gateway is reached over UDP: the addresses and ports that it binds, and those that it tells callers.

No STUN: a host knows its own addresses, and behind a NAT that maps one to one its operator knows the other's.
"""

import ipaddress
import socket

import ifaddr
import msgspec

from trunkline.proto.errors import BadSettings
from trunkline.runtime.settings import variable

MOST = 16  # addresses bound per call: a host with more has its own named in the settings
PORTS = "a range like 50000-50999, of unprivileged ports"


class Reach(msgspec.Struct, frozen=True):
    """hosts: IP addresses to bind, a socket on each. public: told instead of those of the same IP version; a loopback
    address is told as it is. ports: first and last, None for any free one."""

    hosts: tuple[str, ...]
    public: tuple[str, ...] = ()
    ports: tuple[int, int] | None = None

    def told_for(self, host: str) -> tuple[str, ...]:
        bound = ipaddress.ip_address(host)
        if bound.is_loopback:
            return (host,)
        return tuple(one for one in self.public if ipaddress.ip_address(one).version == bound.version) or (host,)


def reach_of(host: str, public_ips: str, ports: str) -> Reach:
    """host: an address, a name, or 0.0.0.0 or :: for all of this host's. Raises BadSettings."""
    public = tuple(_address(part.strip()) for part in public_ips.split(",") if part.strip())
    return Reach(_hosts(host), public, _ports(ports) if ports.strip() else None)


def _hosts(host: str) -> tuple[str, ...]:
    if host in ("0.0.0.0", "::"):  # noqa: S104  # it is compared, not bound
        found = [address for address in _of_interfaces() if host == "::" or ":" not in address]
    else:
        try:
            found = [str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)]
        except OSError as error:
            raise BadSettings(variable("webrtc_host"), f"{host!r} has no address: {error}", "an address") from error
    return tuple(dict.fromkeys(found))[:MOST]


def _of_interfaces() -> list[str]:
    """Loopback last; without addresses that mean something on one link alone."""
    found = [
        ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]
    usable = [address for address in found if not (address.version == 6 and address.is_link_local)]
    return [str(address) for address in sorted(usable, key=lambda address: address.is_loopback)]


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise BadSettings(variable("webrtc_public_ips"), f"{text!r}", "IP addresses, comma-separated") from error


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        low, high = int(first), int(last if dash else first)
    except ValueError as error:
        raise BadSettings(variable("webrtc_ports"), f"{text!r}", PORTS) from error
    if not 1_024 <= low <= high <= 65_535:
        raise BadSettings(variable("webrtc_ports"), f"{text!r}", PORTS)
    return low, high
