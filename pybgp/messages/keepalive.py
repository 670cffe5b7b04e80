"""KEEPALIVE (RFC 4271, section 4.4)."""

from __future__ import annotations

from dataclasses import dataclass

from pybgp.errors import BadMessageLength
from pybgp.messages.framing import HEADER_LENGTH


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A message that is a header and nothing else."""


def decode_keepalive(body: bytes) -> Keepalive:
    """Raises BadMessageLength where there is a body."""
    if body:
        length = HEADER_LENGTH + len(body)
        raise BadMessageLength("a KEEPALIVE has no body", length.to_bytes(2)).at(16)
    return Keepalive()


def encode_keepalive(_message: Keepalive) -> bytes:
    """The body: none."""
    return b""
