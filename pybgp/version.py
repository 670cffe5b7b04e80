"""The version of this distribution; pyproject.toml has it, too."""

VERSION = "0.1.0"
