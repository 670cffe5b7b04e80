"""What a person runs: `python -m pybgp`. It uses the library and nothing of the library uses it."""
