"""The names of profiles as people write them, and as they stand in the datastore."""

from __future__ import annotations

from calico_route.policy.profile_names import given_name, stored_name

from .answer import BadInput


def as_stored(name: str) -> str:
    """BadInput for a name that no profile can have."""
    try:
        return stored_name(name)
    except ValueError as error:
        raise BadInput(str(error)) from None


def as_given(name: str) -> str:
    """The same name, if a profile can have it. BadInput."""
    as_stored(name)
    return name


def as_written(stored: str) -> str:
    """For people."""
    return given_name(stored)
