"""Whether an address is one of the public internet's, where a stranger's URL may lead. Whatever isn't surely so is not.

Source: IANA's special-purpose address registries (RFC 6890 and those it was updated by).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_UNICAST = IPv6Network("2000::/3")  # all that IANA has given out; NAT64, mapped and local addresses are outside
_NOT_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them: an IPv4 address within
        "2001:db8::/32",
        "2002::/16",  # 6to4: likewise
        "3fff::/20",
    )
)
_NOT_4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))  # protocol assignments, relays of 6to4


def is_public(text: str) -> bool:
    """text: of an address; anything else, such as `127.1`, is not public."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        return _is_public_6(address)
    return _is_public_4(address)


def _is_public_4(address: IPv4Address) -> bool:
    odd = address.is_multicast or address.is_reserved or any(address in network for network in _NOT_4)
    return address.is_global and not odd


def _is_public_6(address: IPv6Address) -> bool:
    odd = address.scope_id is not None or any(address in network for network in _NOT_6)
    return address in _UNICAST and address.is_global and not odd
