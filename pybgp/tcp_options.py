"""Socket options that BGP needs and Python 3.11 has no names for: TCP MD5 and TTL security, on Linux.

Every function raises OSError when the kernel refuses; callers fail closed.
"""

from __future__ import annotations

import socket
import struct

TCP_MD5SIG = 14
TCP_MD5SIG_EXT = 32  # the same with flags: one key for a whole prefix of addresses
TCP_MD5SIG_FLAG_PREFIX = 0x1
TCP_MD5SIG_MAXKEYLEN = 80
IP_MINTTL = 21
IPV6_MINHOPCOUNT = 73

# struct tcp_md5sig: sockaddr_storage, flags, prefix length, key length, interface index, key.
_MD5SIG = struct.Struct("=128sBBHi80s")


def split_scope(address: str) -> tuple[str, int]:
    """`"fe80::1%eth0"` -> `("fe80::1", 2)`; an address without a scope has scope 0.

    Raises OSError when the interface does not exist (it may appear later: try again).
    """
    host, _, scope = address.partition("%")
    if not scope:
        return host, 0
    return host, int(scope) if scope.isdigit() else socket.if_nametoindex(scope)


def socket_address(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """What `connect` and `bind` take for a literal address, IPv4 or IPv6 (with `%scope`)."""
    if ":" not in address:
        return address, port
    host, scope = split_scope(address)
    return host, port, 0, scope


def address_family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def packed_key(address: str) -> tuple[bytes, int]:
    """A form of the address in which every spelling is equal: octets and scope."""
    host, scope = split_scope(address)
    return socket.inet_pton(address_family(host), host), scope


def _sockaddr(address: str) -> bytes:
    host, scope = split_scope(address)
    if ":" in host:
        octets = socket.inet_pton(socket.AF_INET6, host)
        return struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, octets, scope)
    return struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_pton(socket.AF_INET, host))


def set_md5_key(sock: socket.socket, address: str, password: str | None, prefix_length: int | None = None) -> None:
    """RFC 2385: sign with and demand this key for segments exchanged with `address`; None removes the key.

    With `prefix_length` the key serves every address of that prefix (for listening sockets).
    Raises OSError, also for a key that is empty or longer than 80 octets.
    """
    key = b"" if password is None else password.encode()
    if password is not None and not 0 < len(key) <= TCP_MD5SIG_MAXKEYLEN:
        raise OSError(22, f"a TCP MD5 password has 1 to {TCP_MD5SIG_MAXKEYLEN} octets, this one {len(key)}")
    flags = 0 if prefix_length is None else TCP_MD5SIG_FLAG_PREFIX
    value = _MD5SIG.pack(_sockaddr(address), flags, prefix_length or 0, len(key), 0, key)
    option = TCP_MD5SIG if prefix_length is None else TCP_MD5SIG_EXT
    try:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
    except OSError as error:
        if password is None and error.errno == 2:  # ENOENT: there was no key to remove
            return
        raise OSError(error.errno, f"the kernel refused the TCP MD5 key: {error.strerror}") from None


def bind_to_device(sock: socket.socket, interface: str) -> None:
    """Send and receive by this interface alone; on an accepted connection what comes by another one is dropped."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError as error:
        raise OSError(error.errno, f"cannot bind to interface {interface}: {error.strerror}") from None


def set_ttl(sock: socket.socket, ttl: int) -> None:
    """The TTL or hop limit of everything that this socket sends."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)


def set_minimum_ttl(sock: socket.socket, ttl: int) -> None:
    """The kernel drops segments that arrive with a smaller TTL; 0 accepts all."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_MINTTL, ttl)


def set_ttl_security(sock: socket.socket, hops: int) -> None:
    """RFC 5082 (GTSM): send with TTL 255 and take nothing that came over more than `hops` hops."""
    set_ttl(sock, 255)
    set_minimum_ttl(sock, 256 - hops)
