"""Coverage-guided fuzzing: three targets, each octets in and AssertionError out. `make fuzz`; see `__main__`."""
