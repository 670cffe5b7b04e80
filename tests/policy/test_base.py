"""Policies as callables: what the RIBs get from them, whatever the callable does."""

import logging

import pytest

from pybgp.family import IPV4_UNICAST
from pybgp.messages.attributes.local_pref import LOCAL_PREF
from pybgp.messages.attributes.med import MED
from pybgp.policy import Policy, accept_all, chain, missing_policy, per_path, policy_name, prepare, reject_all
from pybgp.rib import Route
from pybgp.rib.filter import Filter
from tests.rib.make import attributes, nlri, peer

A, B, C = (nlri(f"10.0.{number}.0/24") for number in range(3))
PEER = peer(1, asn=65001)
VALUES = attributes(1)


def judge(policy: Policy | None, *, external: bool = True, direction: str = "import") -> object:
    return prepare(policy, direction, external=external).judge(IPV4_UNICAST, VALUES, PEER)


def each(policy: Policy | None) -> object:
    return prepare(policy, "import", external=True).judge_each(IPV4_UNICAST, [A, B, C], VALUES, PEER)


@pytest.mark.rfc("8212", "2", "pybgp.policy.base:prepare", "no policy, no routes")
def test_no_policy_at_all() -> None:
    assert judge(None, external=False) is VALUES
    for direction, word in (("import", "accepted"), ("export", "sent")):
        text = judge(None, direction=direction)
        assert isinstance(text, str)
        assert "RFC 8212" in text
        assert f"no {direction} policy" in text
        assert f"nothing is {word}" in text
    assert isinstance(each(None), list)


def test_the_sentence_for_the_log() -> None:
    def sentence(policy: Policy | None, external: bool) -> str | None:
        return missing_policy(prepare(policy, "export", external=external))

    assert sentence(None, True) == judge(None, direction="export")
    assert sentence(None, False) is None
    assert sentence(accept_all, True) is None
    assert sentence(reject_all, True) is None


def test_accept_and_reject() -> None:
    assert judge(accept_all) is VALUES
    assert judge(reject_all) == "rejected by import policy reject_all"
    assert each(accept_all) == [(VALUES, [A, B, C])]


def test_direction_is_checked() -> None:
    with pytest.raises(ValueError, match="import or export"):
        prepare(accept_all, "both", external=True)


def test_asked_once_a_path_or_once_a_prefix() -> None:
    def policy(route: Route) -> Route | None:
        return route if route.nlri != B else None

    looking: Filter = prepare(policy, "import", external=True)
    assert not looking.per_path
    assert each(policy) == [(VALUES, [A, C]), ("rejected by import policy policy", [B])]
    promised = prepare(per_path(lambda route: route.with_(MED, 5)), "import", external=True)
    assert promised.per_path
    answer = promised.judge(IPV4_UNICAST, VALUES, PEER)
    assert not isinstance(answer, str)
    assert answer.med == 5


def test_equal_answers_share_a_group() -> None:
    ((answer, prefixes),) = each(lambda route: route.with_(MED, 5))  # type: ignore[misc,attr-defined]
    assert (answer.med, prefixes) == (5, [A, B, C])


def test_a_policy_that_fails_rejects_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(route: Route) -> Route | None:
        raise KeyError("rack")

    with caplog.at_level(logging.ERROR):
        assert each(broken) == [("policy broken failed: KeyError: 'rack'", [A, B, C])]
    assert len(caplog.records) == 1
    assert "broken" in caplog.text


def test_a_promise_that_is_not_kept_rejects() -> None:
    @per_path
    def liar(route: Route) -> Route | None:
        return route if str(route.prefix) else None

    assert "per_path may not look at the prefix" in str(judge(liar))


def test_a_policy_that_gives_something_else_rejects() -> None:
    assert judge(per_path(lambda route: True)) == "policy <lambda> gave bool, not a Route or None"  # type: ignore[arg-type,return-value]


def test_a_chain_goes_on_until_one_rejects() -> None:
    @per_path
    def prefer(route: Route) -> Route | None:
        return route.with_(LOCAL_PREF, 200)

    @per_path
    def only_preferred(route: Route) -> Route | None:
        return route if route.attributes.local_pref == 200 else None

    both = chain(prefer, only_preferred)
    answer = judge(both)
    assert not isinstance(answer, str)
    assert answer.local_pref == 200  # type: ignore[attr-defined]
    assert (
        judge(chain(only_preferred, prefer)) == "rejected by import policy only_preferred then prefer: only_preferred"
    )
    assert prepare(both, "import", external=True).per_path
    assert not prepare(chain(prefer, lambda route: route), "import", external=True).per_path
    with pytest.raises(ValueError, match="at least one"):
        chain()


def test_names() -> None:
    class Named:
        def __call__(self, route: Route) -> Route | None:
            return None

    assert policy_name(accept_all) == "accept_all"
    assert policy_name(Named()) == "Named"
