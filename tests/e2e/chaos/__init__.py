"""Chaos: a mesh of agents and a stock BIRD around an etcd of three members, harmed round after round by a seed.

`python -m tests.e2e.chaos --seed N --rounds 20`; docs/chaos.md says what is done and what is checked.
"""
