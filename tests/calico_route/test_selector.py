"""Label selectors: what they select, and what is said of those that are none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calico_route.selector import parse_selector

LABELS = {"rack": "r1", "projectcalico.org/role": "edge-2", "empty": ""}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("  ", True),
        ("all()", True),
        ("global( )", True),
        ("has(rack)", True),
        ("has(projectcalico.org/role)", True),
        ("has(zone)", False),
        ("!has(zone)", True),
        ("!!has(zone)", False),
        ("rack == 'r1'", True),
        ('rack=="r1"', True),
        ("rack == 'r2'", False),
        ("zone == ''", False),
        ("empty == ''", True),
        ("rack != 'r2'", True),
        ("zone != 'z'", True),
        ("rack != 'r1'", False),
        ("rack in {'r0', 'r1'}", True),
        ("rack in {}", False),
        ("rack in {'r0','r1',}", True),
        ("rack in{'r1'}", True),
        ("rack not in {}", True),
        ("rack notin {'r1'}", False),
        ("rack startswith 'r'", True),
        ("rack endswith 'r'", False),
        ("!rack == 'r2'", True),
        ("has(in) || has == 'x' || not in {'y'}", False),
        ("all == 'x' || !all in {'x'}", True),
        ("zone in {'z'}", False),
        ("rack not in {'r0'}", True),
        ("zone not in {'z'}", True),
        ("rack not in {'r1'}", False),
        ("projectcalico.org/role contains 'ge-'", True),
        ("projectcalico.org/role starts with 'edge'", True),
        ("projectcalico.org/role ends with 'edge'", False),
        ("zone contains ''", False),
        ("has(zone) || has(rack) && has(empty)", True),
        ("(has(zone) || has(rack)) && has(zone)", False),
        ("has(rack) || has(rack) && has(zone)", True),
        ("!(rack == 'r1' && has(zone))", True),
        ("!has(zone) && !has(rack)", False),
        ("rack == 'has(x) && y'", False),
    ],
)
def test_what_is_selected(text: str, selected: bool) -> None:
    assert parse_selector(text)(LABELS) is selected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rack", "expected ==, !="),
        ("rack == r1", "expected a text in quotes at 8"),
        ("rack == 'r1", "no selector has"),
        ("rack = 'r1'", "no selector has '='"),
        ("has()", "expected a label at 4"),
        ("any()", "expected all(), global() or has(label) at 0"),
        ("has(rack) has(zone)", "expected &&, || or the end at 10"),
        ("has(rack) &&", "at its end"),
        ("(has(rack)", "expected ) at its end"),
        ("rack in {'a' 'b'}", "expected } at 13"),
        ("rack in {'a',,}", "expected a text in quotes at 13"),
        ("rack in {,}", "expected a text in quotes at 9"),
        ("rack in 'r1'", "expected {"),
        ("!", "at its end"),
        ("rack == 'r1' & has(x)", "no selector has '&'"),
        ("rack near 'r1'", "expected ==, !="),
        ("rack starts 'r'", "expected with"),
        ("(" * 60 + "all()" + ")" * 60, "no more than 50"),
    ],
)
def test_what_is_no_selector(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_selector(text)
    assert words in str(caught.value)


@given(st.text(alphabet="ab()!&|='{}, in has", max_size=30))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_selector_or_a_value_error(text: str) -> None:
    try:
        found = parse_selector(text)
    except ValueError:
        return
    assert found(LABELS) in (True, False)


@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")), st.sampled_from("abc"), st.sampled_from("xyz"))
@settings(max_examples=100, deadline=None)
def test_negation_is_the_opposite(labels: dict[str, str], label: str, text: str) -> None:
    for yes, no in (("==", "!="), ("in", "not in")):
        value = f"'{text}'" if yes == "==" else f"{{'{text}'}}"
        assert parse_selector(f"{label} {yes} {value}")(labels) is not parse_selector(f"{label} {no} {value}")(labels)
        assert parse_selector(f"!({label} {yes} {value})")(labels) is parse_selector(f"{label} {no} {value}")(labels)
