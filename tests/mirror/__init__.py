"""The same UPDATEs to pybgp and to BIRD, and what their neighbours then see: see `test_mirror.py`."""
