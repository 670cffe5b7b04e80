"""The end of our rules: for a node that is to have none any more, as rules outlive the agent that made them."""

from __future__ import annotations

from .nft import Nft
from .table import FAMILY, NAME


async def withdraw(netns: str | None = None) -> bool:
    """Delete the table `inet calico_route` of an agent before; whether there was one. NftError where that cannot be
    told or done."""
    nft = Nft(netns)
    try:
        await nft.open()
        if await nft.listing() is None:
            return False
        await nft.apply([{"delete": {"table": {"family": FAMILY, "name": NAME}}}])
        return True
    finally:
        await nft.close()
