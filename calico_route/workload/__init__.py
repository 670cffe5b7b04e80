"""One container on this host: its interface, routes and endpoint.

ports   what it needs of addresses and rules: protocols, so that each can be had without the other
"""
