"""Profiles as Calico v3 documents, and what v0.4.9 would say of them.

A tag is a label with an empty value which the profile gives to its endpoints (`labelsToApply`). What v0.4.9 has no
words for, such as general selectors, is kept in the document and enforced; only its v0.4.9 form is refused then, with
the reason.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from calico_route.fields import show
from calico_route.model import API_VERSION

from .model import ALLOW_ALL, ALLOW_ALL_PROFILE, DENY_ALL, Action, Profile, Rule, Side
from .profile_names import given_name, stored_name
from .rules import TAG, ProfileRules, tag_of, tag_selection, write_profile_rules
from .v3_rules import Findings, Object, read_rules, write_rules

BUILT_IN = Profile(name=ALLOW_ALL_PROFILE, ingress=(ALLOW_ALL,), egress=(ALLOW_ALL,))


class ProfileReading(NamedTuple):
    """A document as a profile; None where not even that is to be seen. `wrong`: the last good one should stay."""

    profile: Profile | None
    wrong: bool
    problems: tuple[str, ...]


def read_profile(name: str, value: bytes) -> ProfileReading:
    """The profile in a value of the datastore. `name` is that of its key."""
    findings = Findings()
    try:
        document = json.loads(value)
    except (ValueError, RecursionError) as error:
        return ProfileReading(None, True, (f"not JSON: {error}",))
    if not isinstance(document, Mapping):
        return ProfileReading(None, True, (f"{show(document)}: must be an object",))
    spec = Object(document.get("spec"), "spec", findings)
    labels = {}
    for label, text in spec.section("labelsToApply").values.items():
        if isinstance(text, str):
            labels[str(label)] = text
        else:
            findings.wrong.append(f"spec.labelsToApply.{label}: {show(text)}: must be a text")
    profile = Profile(
        name=name,
        ingress=_rules(spec, "ingress", findings),
        egress=_rules(spec, "egress", findings),
        labels=labels,
    )
    return ProfileReading(profile, bool(findings.wrong), findings.texts)


def _rules(spec: Object, which: str, findings: Findings) -> tuple[Rule, ...]:
    """Pass leads from policies to profiles; in a profile there is nothing to pass on to."""
    rules = read_rules(spec.values.get(which), f"spec.{which}", "", findings)
    if all(rule.action is not Action.PASS for rule in rules):
        return rules
    findings.refused.append(f"spec.{which}: Pass has no meaning in a profile")
    return tuple(DENY_ALL if rule.action is Action.PASS else rule for rule in rules)


def new_profile(name: str, *, uid: UUID, created: datetime) -> dict[str, Any]:
    """The document of a new profile by the name its user gave: its own tag may come in, everything may go out."""
    tag = name
    if not TAG.fullmatch(tag):
        raise ValueError(f"{name!r} cannot be a tag as well: letters, digits, _ . and - are")
    stored = stored_name(name)
    rules = ProfileRules(name, (Rule(source=Side(selection=tag_selection(tag))),), (ALLOW_ALL,))
    document = {
        "kind": "Profile",
        "apiVersion": API_VERSION,
        "metadata": {
            "name": stored,
            "uid": str(uid),
            "creationTimestamp": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "spec": {},
    }
    return with_tags(with_rules(document, rules), (tag,))


def with_rules(document: Mapping[str, Any], rules: ProfileRules) -> dict[str, Any]:
    """The same document with these rules; all else in it is kept."""
    changed = copy.deepcopy(dict(document))
    spec = changed["spec"] = dict(changed.get("spec") or {})
    spec["ingress"] = write_rules(rules.inbound)
    spec["egress"] = write_rules(rules.outbound)
    return changed


def with_tags(document: Mapping[str, Any], tags: Iterable[str]) -> dict[str, Any]:
    """The same document with just these tags; labels with a value are no tags and are kept. ValueError: no tag."""
    changed = copy.deepcopy(dict(document))
    spec = changed["spec"] = dict(changed.get("spec") or {})
    kept = {label: value for label, value in dict(spec.get("labelsToApply") or {}).items() if value != ""}
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise ValueError(f"{tag!r} is no tag: letters, digits, _ . and - are")
        if tag in kept:
            raise ValueError(f"{tag!r} cannot be a tag here: the profile gives that label the value {kept[tag]!r}")
        kept[tag] = ""
    spec["labelsToApply"] = kept
    return changed


def tags_of(profile: Profile) -> tuple[str, ...]:
    return tuple(label for label, value in profile.labels.items() if value == "")


def as_v049(profile: Profile) -> dict[str, Any]:
    """The rules as the JSON of v0.4.9. Unsayable where it has no words for one."""
    return write_profile_rules(given_name(profile.name), profile.ingress, profile.egress)


def tags_asked_for(rules: Iterable[Rule]) -> tuple[str, ...]:
    """The tags that rules name, each once, in their order."""
    found = (tag_of(selection) for rule in rules for selection in rule.selections())
    return tuple(dict.fromkeys(tag for tag in found if tag is not None))


def tag_warnings(rules: Sequence[Rule], known: Iterable[str]) -> list[str]:
    """A line for each tag that these rules name and nobody can carry: `known` are the tags that profiles give and the
    labels of endpoints. Tags are compared as they are written, so that a slip in case lets nobody in."""
    candidates = sorted(set(known))
    found = []
    for tag in tags_asked_for(rules):
        if tag in candidates:
            continue
        close = [one for one in candidates if one.lower() == tag.lower()]
        close = close or difflib.get_close_matches(tag, candidates, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        found.append(f"no member carries the tag {tag}{hint}")
    return found
