"""PeerConfig: what it accepts, and how it says what it does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pybgp.config import PeerConfig
from pybgp.errors import ConfigurationError
from pybgp.family import IPV4_UNICAST, IPV6_UNICAST


def config(**changes: Any) -> PeerConfig:
    settings: dict[str, Any] = {
        "address": "192.0.2.1",
        "peer_as": 64512,
        "local_as": 64512,
        "bgp_identifier": 0x0A000001,
    }
    return PeerConfig(**{**settings, **changes})


def test_the_defaults_are_the_documented_ones() -> None:
    peer = config()
    assert (peer.port, peer.hold_time, peer.families) == (179, 90, (IPV4_UNICAST,))
    assert (peer.idle_hold_time, peer.idle_hold_max) == (5.0, 60.0)
    assert peer.graceful_restart
    assert not peer.graceful_notification
    assert not peer.passive


def test_internal_is_the_same_as() -> None:
    assert config().internal
    assert not config(peer_as=65001).internal


def test_it_is_a_frozen_value() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().hold_time = 3  # type: ignore[misc]
    assert config() == config()
    assert hash(config()) == hash(config())
    assert dataclasses.replace(config(), hold_time=9).hold_time == 9


@pytest.mark.parametrize(
    ("spelled", "kept"),
    [("2001:DB8:0::1", "2001:db8::1"), ("192.0.2.7", "192.0.2.7"), ("FE80::1%eth0", "fe80::1%eth0")],
)
def test_addresses_are_kept_in_one_spelling(spelled: str, kept: str) -> None:
    assert config(address=spelled).address == kept


def test_lists_from_a_file_become_tuples() -> None:
    assert config(families=[IPV6_UNICAST]).families == (IPV6_UNICAST,)


def test_the_password_is_never_shown() -> None:
    assert "s3cret" not in repr(config(password="s3cret"))
    with pytest.raises(ConfigurationError) as caught:
        config(password="s3cret" * 20)
    assert "s3cret" not in str(caught.value)


# Each row: the change, and words that the message must hold (the field, the value, what is allowed).
REFUSED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"address": "192.0.2"}, ("address", "192.0.2", "not an IPv4 or IPv6 address")),
    ({"address": 7}, ("address", "7")),
    ({"address": "192.0.2.1%eth0"}, ("address", "zone")),
    ({"address": "fe80::1%"}, ("address", "zone")),
    ({"address": "fe80::1"}, ("address", "interface")),
    ({"address": "0.0.0.0"}, ("address", "one host")),
    ({"address": "::"}, ("address", "one host")),
    ({"address": "224.0.0.5"}, ("address", "one host")),
    ({"address": "255.255.255.255"}, ("address", "one host")),
    ({"address": "ff02::5%eth0"}, ("address", "one host")),
    ({"local_address": "host"}, ("local_address", "host")),
    ({"local_address": "2001:db8::1"}, ("local_address", "2001:db8::1", "192.0.2.1")),
    ({"peer_as": 0}, ("peer_as", "0", "1 to 4294967295")),
    ({"peer_as": 1 << 32}, ("peer_as", "4294967296")),
    ({"peer_as": 23456}, ("peer_as", "23456", "RFC 6793")),
    ({"local_as": "64512"}, ("local_as", "'64512'", "integer")),
    ({"local_as": True}, ("local_as", "True", "integer")),
    ({"local_as": None}, ("local_as", "None", "integer")),
    ({"bgp_identifier": 0}, ("bgp_identifier", "0")),
    ({"port": 65536}, ("port", "65536", "65535")),
    ({"hold_time": 1}, ("hold_time", "1", "at least 3")),
    ({"hold_time": 2}, ("hold_time", "2", "at least 3")),
    ({"hold_time": -3}, ("hold_time", "-3")),
    ({"hold_time": 9.5}, ("hold_time", "9.5", "integer")),
    ({"hold_time": 9, "keepalive_time": 9}, ("keepalive_time", "9", "hold_time")),
    ({"keepalive_time": 0}, ("keepalive_time", "0")),
    ({"connect_retry_time": float("nan")}, ("connect_retry_time", "nan")),
    ({"connect_retry_time": "1"}, ("connect_retry_time", "'1'", "seconds")),
    ({"connect_retry_time": None}, ("connect_retry_time", "None")),
    ({"connect_retry_time": 61}, ("connect_retry_time", "61", "connect_retry_max")),
    ({"idle_hold_time": 61}, ("idle_hold_time", "61", "idle_hold_max")),
    ({"open_hold_time": 0}, ("open_hold_time", "0")),
    ({"restart_time": 4096}, ("restart_time", "4096", "4095")),
    ({"ttl_security": 255}, ("ttl_security", "255")),
    ({"ttl": 1, "ttl_security": 1}, ("ttl", "ttl_security")),
    ({"passive": "yes"}, ("passive", "'yes'", "true or false")),
    ({"next_hop_self": 1}, ("next_hop_self", "1")),
    ({"families": ()}, ("families", "at least one")),
    ({"families": IPV4_UNICAST}, ("families", "list")),
    ({"families": ("ipv4",)}, ("families", "'ipv4'")),
    ({"families": (IPV4_UNICAST, IPV4_UNICAST)}, ("families", "twice")),
    ({"add_path_send": (IPV6_UNICAST,)}, ("add_path_send", "ipv6-unicast")),
    ({"password": ""}, ("password", "1 to 80")),
    ({"password": 5}, ("password", "text")),
    ({"hostname": "h" * 256}, ("hostname", "255")),
    ({"hostname": "\ud800"}, ("hostname", "UTF-8")),
    ({"description": None}, ("description", "text")),
    ({"local_as": 70000, "four_octet_as": False}, ("four_octet_as", "70000")),
    ({"peer_as": 65001, "route_reflector_client": True}, ("route_reflector_client", "internal")),
    ({"cluster_id": 0}, ("cluster_id", "0")),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_what_is_refused_is_named(changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(**changes)
    for word in words:
        assert word in str(caught.value)


def test_zero_and_none_are_allowed_where_they_mean_something() -> None:
    peer = config(hold_time=0, idle_hold_time=0, idle_hold_max=0, send_hold_time=0, keepalive_time=None, ttl=None)
    assert peer.send_hold_time == 0
    assert config(hold_time=0, keepalive_time=30).keepalive_time == 30


def test_names_are_the_fields() -> None:
    assert {"address", "hold_time", "password"} <= PeerConfig.names()
