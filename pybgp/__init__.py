"""pybgp: a BGP speaker for asyncio, in pure Python."""

__version__ = "0.1.0"
