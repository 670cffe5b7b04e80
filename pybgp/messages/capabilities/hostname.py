"""The name of the speaker (draft-walton-bgp-hostname-capability, code 73 at IANA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Hostname:
    """Host and domain name in UTF-8; each has at most 255 octets, and together with their lengths no more."""

    code: ClassVar[int] = 73
    fatal: ClassVar[bool] = False
    hostname: str
    domain: str = ""

    @classmethod
    def decode(cls, data: bytes) -> Hostname:
        names = []
        for _ in range(2):
            if not data or len(data) < 1 + data[0]:
                raise ValueError("its lengths do not fit its octets")
            names.append(data[1 : 1 + data[0]].decode("utf-8"))
            data = data[1 + len(names[-1].encode()) :]
        if data:
            raise ValueError(f"{len(data)} octets follow the names")
        return cls(names[0], names[1])

    def encode(self) -> bytes:
        hostname, domain = self.hostname.encode()[:253], self.domain.encode()
        hostname = hostname.decode("utf-8", "ignore").encode()
        domain = domain[: 253 - len(hostname)].decode("utf-8", "ignore").encode()
        return bytes((len(hostname),)) + hostname + bytes((len(domain),)) + domain
