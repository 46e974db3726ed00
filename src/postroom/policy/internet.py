"""Which addresses this server connects to when a stranger has chosen them: those of the Internet."""

import ipaddress

_OF_CLOUDS = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")))
"""Where clouds keep credentials beside 169.254.169.254, which is link-local: AWS, Alibaba, Azure, Oracle."""
_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "::ffff:0:0:0/96")))
"""What translators take for IPv4 addresses."""
_NOT_OF_THE_INTERNET = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "fec0::/10", "192.0.0.0/24")))
"""Local translation, former site-local addresses, protocol assignments: not every release of Python knows of them."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def permitted(address: Address, *, private: bool) -> bool:
    """Say whether an address may be connected to: one of the Internet, or with `private` another that is no cloud's own."""
    inner = _inner(address)
    if inner is not None:
        return permitted(inner, private=private)
    if address.is_link_local or address.is_multicast or address.is_unspecified or address in _OF_CLOUDS:
        return False
    return private or (address.is_global and not any(address in network for network in _NOT_OF_THE_INTERNET))


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """Find the IPv4 address that an IPv6 address stands for, by any of the ways in which it may."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if 1 < int(address) < 2**32 or any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
