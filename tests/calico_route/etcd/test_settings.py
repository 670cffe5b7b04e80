"""Where etcd is and how to get in: from flags, from Calico's variables, or by default."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.etcd.settings import Endpoint, SettingsError, check_certificates, parse_endpoint, read_settings


@pytest.mark.parametrize(
    ("text", "endpoint", "url"),
    [
        ("http://10.0.0.1:2379", Endpoint("10.0.0.1", 2379, False), "http://10.0.0.1:2379"),
        ("https://etcd.example:4001/", Endpoint("etcd.example", 4001, True), "https://etcd.example:4001"),
        ("https://[2001:db8::1]:2379", Endpoint("2001:db8::1", 2379, True), "https://[2001:db8::1]:2379"),
        ("http://[::1]", Endpoint("::1", 2379, False), "http://[::1]:2379"),
        ("10.0.0.1:4001", Endpoint("10.0.0.1", 4001, False), "http://10.0.0.1:4001"),
        ("localhost", Endpoint("localhost", 2379, False), "http://localhost:2379"),
        ("[::1]:4001", Endpoint("::1", 4001, False), "http://[::1]:4001"),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint, url: str) -> None:
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == url
    assert parse_endpoint(url) == endpoint


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://10.0.0.1", "unknown scheme ftp"),
        ("http://10.0.0.1:99999", "ort"),
        ("http://10.0.0.1:0", "port 0"),
        ("http://:2379", "no host"),
        ("http://10.0.0.1:x", "ort"),
        ("http://user:pw@10.0.0.1", "ETCD_USERNAME"),
        ("http://10.0.0.1/v3", "more than a host"),
        ("http://a b:1", "no host"),
        ("http://[::1", "Invalid IPv6"),
    ],
)
def test_what_is_no_endpoint_is_refused_with_the_setting(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as caught:
        read_settings({"ETCD_ENDPOINTS": f"http://10.0.0.9:2379,{text}"})
    assert "ETCD_ENDPOINTS" in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_an_endpoint_or_refused(text: str) -> None:
    try:
        endpoint = parse_endpoint(text)
    except SettingsError:
        return
    assert 1 <= endpoint.port <= 65535
    assert parse_endpoint(str(endpoint)) == endpoint


def hosts(environ: dict[str, str], **flags: str) -> list[str]:
    return [endpoint.host for endpoint in read_settings(environ, **flags).endpoints]


def test_flags_win_over_endpoints_and_those_over_authority() -> None:
    environ = {"ETCD_AUTHORITY": "authority:4001"}
    assert hosts({}) == ["127.0.0.1"]
    assert hosts(environ) == ["authority"]
    assert hosts({**environ, "ETCD_ENDPOINTS": "http://one:1, http://two:2"}) == ["one", "two"]
    assert hosts({**environ, "ETCD_ENDPOINTS": ""}) == ["authority"]
    assert hosts({**environ, "ETCD_ENDPOINTS": "http://one"}, endpoints="flag") == ["flag"]
    with pytest.raises(SettingsError, match="ETCD_ENDPOINTS ',' holds no endpoint"):
        read_settings({"ETCD_ENDPOINTS": ","})


def test_certificates_and_credentials(tmp_path: Path) -> None:
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    for path in (ca, cert, key):
        path.write_text("x")
    environ = {"ETCD_CA_CERT_FILE": str(ca), "ETCD_CERT_FILE": str(cert), "ETCD_KEY_FILE": str(key)}
    found = read_settings({**environ, "ETCD_AUTHORITY": "10.0.0.1:2379"})
    assert str(found.endpoints[0]) == "https://10.0.0.1:2379"
    assert (found.ca_file, found.cert_file, found.key_file) == (str(ca), str(cert), str(key))
    assert str(read_settings({**environ, "ETCD_ENDPOINTS": "http://x:1"}).endpoints[0]) == "http://x:1"
    with pytest.raises(SettingsError, match="ETCD_CERT_FILE and ETCD_KEY_FILE"):
        read_settings({"ETCD_CERT_FILE": str(cert)})
    with pytest.raises(SettingsError, match=r"ETCD_CA_CERT_FILE .*nowhere.* cannot|ETCD_CA_CERT_FILE .* not a file"):
        read_settings({"ETCD_CA_CERT_FILE": str(tmp_path / "nowhere.pem")})
    with pytest.raises(SettingsError, match="ETCD_USERNAME and ETCD_PASSWORD"):
        read_settings({"ETCD_USERNAME": "calico"})
    with_user = read_settings({"ETCD_USERNAME": "calico", "ETCD_PASSWORD": "secret"})
    assert (with_user.username, with_user.password) == ("calico", "secret")
    assert "secret" not in repr(with_user)
    with pytest.raises(SettingsError, match="--etcd-driver 'etcd4'"):
        read_settings({}, driver="etcd4")


@pytest.mark.parametrize("text", ["http://root:hunter2@host:2379", "root:hunter2@host", "https://u:hunter2@[::1"])
def test_a_password_in_an_endpoint_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_endpoint(text, "ETCD_ENDPOINTS")
    assert "hunter2" not in str(caught.value)


def test_files_without_certificates_are_named(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    for files in ({"ca_file": str(garbage)}, {"cert_file": str(garbage), "key_file": str(garbage)}):
        made = read_settings({}, endpoints="https://host", **files)
        with pytest.raises(SettingsError, match=r"garbage\.pem.* cannot be used"):
            check_certificates(made)
    check_certificates(read_settings({}, endpoints="https://host"))
