"""Flags and environment: what is right is taken from the right place, what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.__main__ import main
from calico_route.config import Settings, read_settings
from calico_route.flags import UsageError, parser


def read(*flags: str, **environ: str) -> Settings:
    return read_settings(["--peer-from-etcd", "http://192.0.2.1:2379", "--node-name", "n", *flags], environ)


def mistakes(*flags: str, **environ: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read(*flags, **environ)
    return str(caught.value).splitlines()


def test_as_in_the_readme() -> None:
    told = read_settings(["--peer-from-etcd"], {"NODENAME": "host1", "IP": "192.168.78.21", "AS": "64999"})
    assert (told.etcd, told.endpoints, told.node_name, told.ip, told.asn) == (
        True, None, "host1", "192.168.78.21", 64999,
    )  # fmt: skip
    assert told.origins == {"node name": "NODENAME", "ip": "IP", "asn": "AS"}
    assert told.socket == Path("/run/calico_route/host1.sock")


def test_flags_win_over_the_environment() -> None:
    told = read(
        "--ip", "192.0.2.7/24", "--as", "1.10", "--ip6", "2001:db8::7", IP="192.0.2.8", AS="1", IP6="::1", NODENAME="x"
    )
    assert (told.node_name, told.ip, told.ip6, told.asn) == ("n", "192.0.2.7/24", "2001:db8::7", 65546)
    assert told.origins["ip"] == "--ip"


@pytest.mark.parametrize("text", ["", "autodetect"])
def test_to_be_found_out(text: str) -> None:
    assert read(IP=text).ip is None


def test_none_switches_a_family_off() -> None:
    assert read("--ip", "none", IP6="none").ip == "none"
    assert read(IP6="none").ip6 == "none"


def test_environment_alone_says_etcd() -> None:
    assert read_settings(["--node-name", "n"], {"ETCD_AUTHORITY": "192.0.2.1:2379"}).etcd


def test_from_a_file() -> None:
    told = read_settings(["--peer-from-file", "nodes.yaml", "--node-name", "n"], {})
    assert (told.etcd, told.file) == (False, Path("nodes.yaml"))


def test_defaults() -> None:
    told = read()
    assert (told.hold_time, told.stale_route_time, told.mass_deletion_hold) == (90, 30.0, 300.0)
    assert (told.workloads_from, told.interface_prefix, told.flush_on_exit) == ("etcd", "cali", False)
    assert (told.announce, told.compat, told.secrets_dir, told.pod_cidrs) == ("workloads", "auto", None, False)


def test_what_the_drop_in_is_told(tmp_path: Path) -> None:
    assert (read().metrics, read("--metrics", "none").metrics) == (("127.0.0.1", 9908), None)
    assert read("--metrics", "[::1]:80", "--metrics-per-peer").metrics == ("::1", 80)
    assert (read().bird_socket, read().bird6_socket) == (None, None)
    assert read("--bird-socket").bird_socket == Path("/var/run/calico/bird.ctl")
    assert read("--bird6-socket", "/x").bird6_socket == Path("/x")
    told = read("--announce", "blocks", "--compat", "v3.33", "--secrets-dir", str(tmp_path), USE_POD_CIDR="true")
    assert (told.announce, told.compat, told.secrets_dir, told.pod_cidrs) == ("blocks", "v3.33", tmp_path, True)


def test_all_mistakes_at_once() -> None:
    found = mistakes(
        "--ip", "192.0.2", "--as", "x", "--hold-time", "2", "--router-id", "::1", "--stale-route-time", "-1"
    )
    assert len(found) == 5
    assert found[0] == "--ip '192.0.2' is no IPv4 address: write 192.0.2.7 or 192.0.2.7/24"
    assert any("--hold-time 2" in line for line in found)


@pytest.mark.parametrize(
    ("flags", "environ", "named"),
    [
        ((), {"IP": "2001:db8::1"}, "IP '2001:db8::1'"),
        ((), {"AS": "0"}, "AS '0'"),
        (("--as", "4294967296"), {}, "--as"),
        (("--node-name", "a/b"), {}, "--node-name"),
        (("--ttl-security", "0"), {}, "--ttl-security '0'"),
        (("--hold-time", "70000"), {}, "--hold-time '70000'"),
        (("--auto-reflectors", "a=b=c"), {}, "--auto-reflectors 'a=b=c'"),
        (("--auto-reflectors", "has(rr)"), {}, "give a node's label"),
        (("--mass-deletion-hold", "nan"), {}, "--mass-deletion-hold 'nan'"),
        (("--mesh-password-file", "/does/not/exist"), {}, "No such file"),
        (("--workloads-from", "air"), {}, "--workloads-from"),
        (("--announce", "nothing"), {}, "--announce"),
        (("--metrics", "127.0.0.1"), {}, "--metrics '127.0.0.1': write ADDRESS:PORT"),
        (("--metrics", "here:80"), {}, "--metrics 'here:80'"),
        (("--compat", "v2.6"), {}, "--compat"),
        (("--secrets-dir", "/does/not/exist"), {}, "--secrets-dir '/does/not/exist': No such file"),
        (("--secrets-dir", "/etc/hostname"), {}, "--secrets-dir '/etc/hostname': Not a directory"),
        (("--interface-prefix", ""), {}, "--interface-prefix"),
        (("--peer-from-file", "x"), {}, "exclude each other"),
        (("--nonsense",), {}, "--nonsense"),
        ((), {"CALICO_ROUTER_ID": "300.1.1.1"}, "CALICO_ROUTER_ID"),
        (("--ip", "0.0.0.0"), {}, "other nodes cannot reach"),
        (("--ip", "224.0.0.5/24"), {}, "other nodes cannot reach"),
        (("--ip6", "fe80::1/64"), {}, "other nodes cannot reach"),
    ],
)
def test_a_mistake_is_named(flags: tuple[str, ...], environ: dict[str, str], named: str) -> None:
    assert any(named in line for line in mistakes(*flags, **environ))


def test_where_the_resources_are_must_be_said() -> None:
    with pytest.raises(UsageError, match=r"--peer-from-etcd .* or --peer-from-file"):
        read_settings(["--node-name", "n"], {})


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("\nhunter2\n")
    assert any("first line is empty" in line for line in mistakes("--mesh-password-file", str(file)))
    file.write_text("x" * 81)
    assert any("has 81 octets" in line for line in mistakes("--mesh-password-file", str(file)))
    file.write_bytes(b"\xff\xfe")
    assert any("no text" in line for line in mistakes("--mesh-password-file", str(file)))
    file.write_text("hunter2\nrest\n")
    assert read("--mesh-password-file", str(file)).mesh_password_file == file


@given(
    st.lists(st.text(max_size=12), max_size=6),
    st.dictionaries(st.sampled_from(["IP", "IP6", "AS", "NODENAME", "CALICO_ROUTER_ID"]), st.text(max_size=12)),
)
@settings(max_examples=200, deadline=None)
def test_nothing_but_a_usage_error_ever_comes_out(words: list[str], environ: dict[str, str]) -> None:
    words = [word for word in words if word not in ("-h", "--help")]
    try:
        assert read_settings(words, environ).node_name
    except UsageError as error:
        assert str(error)
    except SystemExit:
        assert any(word.startswith("-h") for word in words)


def test_help_names_every_flag_and_exit_code() -> None:
    text = parser().format_help()
    for word in ("ETCD_ENDPOINTS", "SIGHUP", "exit codes", "--announce-unchecked", "status [--json]"):
        assert word in text


def test_exit_codes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--version"]) == 0
    assert main(["--ip", "x"]) == 2
    assert main(["status", "--nonsense"]) == 2
    assert main(["status", "--socket", str(tmp_path / "none.sock")]) == 1
    captured = capsys.readouterr()
    assert "no agent is running here" in captured.err
    assert captured.out.startswith("calico-route ")
