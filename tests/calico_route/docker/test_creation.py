from __future__ import annotations

from typing import Any

import pytest

from calico_route.docker.creation import Wish, fill_settings, on_network, read_wish
from calico_route.workload.ports import WorkloadError


@pytest.mark.parametrize(
    ("environment", "wish"),
    [
        (["PATH=/bin"], None),
        (["CALICO_PROFILE=db"], None),
        (["CALICO_IP"], None),
        (None, None),
        ("CALICO_IP=auto", None),
        ([7, None, "CALICO_IP=auto"], Wish((), (4,), ())),
        (["CALICO_IP=Auto", "CALICO_PROFILE=web, db,web"], Wish((), (4,), ("web", "db"))),
        (["CALICO_IP=auto46"], Wish((), (4, 6), ())),
        (["CALICO_IP=192.168.0.1"], Wish(("192.168.0.1",), (4,), ())),
        (["CALICO_IP=FD80::0:1"], Wish(("fd80::1",), (4,), ())),
        (["CALICO_IP=192.168.0.1, fd80::1"], Wish(("192.168.0.1", "fd80::1"), (4,), ())),
        (["CALICO_IP=10.0.0.1", "CALICO_IP=auto"], Wish((), (4,), ())),
    ],
)
def test_what_an_environment_asks_for(environment: Any, wish: Wish | None) -> None:
    assert read_wish(environment) == wish


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("CALICO_IP=", "'' is no IP address; write auto"),
        ("CALICO_IP=192.168.0.1/24", "'192.168.0.1/24' is no IP address"),
        ("CALICO_IP=192.168.1", "'192.168.1' is no IP address"),
        ("CALICO_IP=192.168.0.1,192.168.0.2", "one address of each IP version at most"),
        ("CALICO_PROFILE=a/b", "CALICO_PROFILE: 'a/b' is no name of a profile"),
        ("CALICO_PROFILE=..", "CALICO_PROFILE: '..' is no name of a profile"),
    ],
)
def test_what_is_wrong_is_said_with_its_name(entry: str, words: str) -> None:
    with pytest.raises(WorkloadError, match="CALICO_") as refused:
        read_wish(["CALICO_IP=auto", entry])
    assert words in str(refused.value)


def test_a_request_is_put_on_the_network_and_else_left_alone() -> None:
    document = {
        "Image": "busybox",
        "Env": ["CALICO_IP=auto"],
        "HostConfig": {"NetworkMode": "default", "Memory": 9_007_199_254_740_993},
        "NetworkingConfig": {"EndpointsConfig": {"default": {"Aliases": ["x"]}}},
        "Unknown": {"kept": None},
    }
    changed = on_network(document, "calico", ["192.168.0.1", "fd80::1"], Wish((), (4, 6), ("web", "db")), "box")
    assert changed == {
        "Image": "busybox",
        "Env": ["CALICO_IP=auto"],
        "HostConfig": {"NetworkMode": "calico", "Memory": 9_007_199_254_740_993},
        "NetworkingConfig": {
            "EndpointsConfig": {
                "calico": {
                    "IPAMConfig": {"IPv4Address": "192.168.0.1", "IPv6Address": "fd80::1"},
                    "DriverOpts": {"calico_route.profiles": "web,db", "calico_route.name": "box"},
                }
            }
        },
        "Unknown": {"kept": None},
    }
    assert document["HostConfig"] == {"NetworkMode": "default", "Memory": 9_007_199_254_740_993}


def test_what_it_said_of_this_network_stays() -> None:
    document = {"NetworkingConfig": {"EndpointsConfig": {"calico": {"Aliases": ["db"], "DriverOpts": {"a": "b"}}}}}
    changed = on_network(document, "calico", ["192.168.0.1"], Wish((), (4,), ()), "")
    endpoint = changed["NetworkingConfig"]["EndpointsConfig"]["calico"]
    assert endpoint == {"Aliases": ["db"], "DriverOpts": {"a": "b"}, "IPAMConfig": {"IPv4Address": "192.168.0.1"}}
    assert changed["HostConfig"] == {"NetworkMode": "calico"}


def test_null_members() -> None:
    document = {"HostConfig": None, "NetworkingConfig": {"EndpointsConfig": None}}
    changed = on_network(document, "calico", ["192.168.0.1"], Wish((), (4,), ()), "")
    assert changed["HostConfig"] == {"NetworkMode": "calico"}


def test_an_inspection_gets_its_addresses_back() -> None:
    endpoint = {"EndpointID": "e", "IPAddress": "192.168.0.1", "IPPrefixLen": 32, "Gateway": "", "MacAddress": "02:00"}
    document: dict[str, Any] = {"NetworkSettings": {"IPAddress": "", "Gateway": "g", "Networks": {"calico": endpoint}}}
    assert fill_settings(document, "calico")
    settings = document["NetworkSettings"]
    assert (settings["IPAddress"], settings["IPPrefixLen"], settings["MacAddress"]) == ("192.168.0.1", 32, "02:00")
    assert settings["Gateway"] == "g"
    assert not fill_settings(document, "calico")


@pytest.mark.parametrize(
    "document",
    [{}, {"NetworkSettings": None}, {"NetworkSettings": {"Networks": {"calico": None}}},
     {"NetworkSettings": {"Networks": {"calico": {"EndpointID": "", "IPAddress": "1.2.3.4"}}}}],
)  # fmt: skip
def test_an_inspection_of_nothing_stays(document: dict[str, Any]) -> None:
    assert not fill_settings(document, "calico")
