"""`profile NAME rule json|show|add|remove|update`: rules in the two forms of v0.4.9, text and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from calico_route.policy.model import Rule
from calico_route.policy.profile import as_v049, tag_warnings, with_rules
from calico_route.policy.rule_text import format_rule, parse_rule
from calico_route.policy.rules import ProfileRules, RulesError, Unsayable, read_profile_rules
from calico_route.policy.v3_rules import Findings, read_rules, write_rule

from .answer import Answer, BadInput, Refused
from .command import command, standard_input
from .objects import Document, Objects
from .profile import carried_tags, need, reading


class Direction(StrEnum):
    """As seen from the members of the profile."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


FIELDS: Mapping[Direction, str] = {Direction.INBOUND: "ingress", Direction.OUTBOUND: "egress"}
Words = Annotated[
    list[str],
    typer.Argument(
        metavar="RULE...",
        help="(allow|deny) [tcp|udp|icmp [type N [code N]] …] [from [ports P] [tag T] [CIDR]] "
        "[to [ports P] [tag T] [CIDR]]",
    ),
]
Which = Annotated[Direction, typer.Argument(metavar="inbound|outbound")]
Position = Annotated[int | None, typer.Option(metavar="N", min=1, help="place in the list, from 1")]


def add_commands(app: typer.Typer) -> None:
    """What comes after `profile NAME rule`."""

    @command(app, "show", examples="calico-route profile db rule show")
    async def show(objects: Objects, context: typer.Context) -> Answer:
        """The rules, in the order in which they are tried; what none of them allows is dropped."""
        name = str(context.obj)
        spec = (await need(objects, name)).spec
        found = {f"{which}_rules": _texts(spec.get(FIELDS[which])) for which in Direction}
        lines = []
        for which in Direction:
            lines.append(f"{which.capitalize()} rules:")
            texts = found[f"{which}_rules"]
            lines += [f"{number:4} {text}" for number, text in enumerate(texts, 1)] or ["   (none: all is dropped)"]
        return Answer({"id": name, **found}, lines)

    @command(app, "json", examples="calico-route profile db rule json > db.json")
    async def as_json(objects: Objects, context: typer.Context) -> Answer:
        """The rules as JSON, in the form that `rule update` reads."""
        name = str(context.obj)
        found = await need(objects, name)
        read = reading(found.name, found.document)
        if read.profile is None or read.problems:
            raise Refused(f"profile {name} cannot be written in this form:\n" + "\n".join(read.problems))
        try:
            document = as_v049(read.profile)
        except Unsayable as error:
            raise Refused(f"profile {name} cannot be written in this form: {error}; see rule show") from None
        return Answer(document, json.dumps(document, indent=2, ensure_ascii=False).splitlines())

    @command(
        app,
        "add",
        examples="calico-route profile app rule add inbound allow tcp from tag web to ports 80\n"
        "calico-route profile app rule add inbound --at=1 deny from 10.66.0.0/16\n"
        "calico-route profile app rule add outbound allow icmp type 8 to 192.168.0.0/16",
    )
    async def add(
        objects: Objects, context: typer.Context, direction: Which, rule: Words, at: Position = None
    ) -> Answer:
        """One more rule, at the end or at a place; one that is there already stays where it is."""
        name, wanted = str(context.obj), _parsed(rule)
        found = await need(objects, name)
        place = 0

        def edit(document: Document) -> Document | None:
            nonlocal place
            rules = _list(document, direction)
            for number, one in enumerate(rules, 1):
                if _read(one)[0] == wanted:
                    place = -number
                    return None
            place = len(rules) + 1 if at is None else at
            if place > len(rules) + 1:
                raise BadInput(
                    f"--at={at}: profile {name} has {len(rules)} {direction} rules, give 1 to {len(rules) + 1}"
                )
            rules.insert(place - 1, write_rule(wanted))
            return document

        await objects.change(found, edit)
        text = format_rule(wanted)
        document = {"id": name, "direction": str(direction), "at": abs(place), "rule": text, "added": place > 0}
        if place < 0:
            return Answer(document, [f"profile {name} has {direction} rule {-place} {text!r} already"])
        warnings = tag_warnings([wanted], await carried_tags(objects))
        return Answer(document, [f"profile {name}, {direction} rule {place}: {text}"], warnings)

    @command(
        app,
        "remove",
        examples="calico-route profile app rule remove inbound --at=2\n"
        "calico-route profile app rule remove inbound allow tcp from tag web to ports 80",
    )
    async def remove(
        objects: Objects,
        context: typer.Context,
        direction: Which,
        rule: Annotated[list[str] | None, typer.Argument(metavar="[RULE]...")] = None,
        at: Position = None,
    ) -> Answer:
        """One rule less: by its place, or by its text."""
        name = str(context.obj)
        if bool(rule) == (at is not None):
            raise BadInput("say which rule: either --at=N or the rule itself, as rule show prints it")
        wanted = _parsed(rule) if rule else None
        found = await need(objects, name)
        gone = ""

        def edit(document: Document) -> Document:
            nonlocal gone
            rules = _list(document, direction)
            if at is not None and at > len(rules):
                raise Refused(f"--at={at}: profile {name} has {len(rules)} {direction} rules; see rule show")
            place = at or next((number for number, one in enumerate(rules, 1) if _read(one)[0] == wanted), None)
            if place is None:
                assert wanted is not None
                raise Refused(f"profile {name} has no {direction} rule {format_rule(wanted)!r}; see rule show")
            gone = _text(rules.pop(place - 1))
            return document

        document = await objects.change(found, edit)
        notes = (
            [] if _list(document, direction) else [f"no {direction} rule is left: all {direction} traffic is dropped"]
        )
        answer = {"id": name, "direction": str(direction), "removed": gone}
        return Answer(answer, [f"profile {name} has {direction} rule {gone!r} no more"], notes)

    @command(
        app,
        "update",
        examples="calico-route profile db rule update < db.json\n"
        """echo '{"id": "db", "inbound_rules": [{"action": "allow", "src_tag": "app", "protocol": "tcp", """
        """"dst_ports": [3306]}], "outbound_rules": [{"action": "allow"}]}' | calico-route profile db rule update""",
    )
    async def update(objects: Objects, context: typer.Context) -> Answer:
        """All rules anew, from JSON on standard input; its id must be the profile's name."""
        name = str(context.obj)
        rules = _from_json(name, standard_input())
        found = await need(objects, name)
        await objects.change(found, lambda document: with_rules(document, rules))
        count = f"{len(rules.inbound)} inbound and {len(rules.outbound)} outbound rules"
        warnings = tag_warnings([*rules.inbound, *rules.outbound], await carried_tags(objects))
        changed = (await need(objects, name)).document
        return Answer(changed, [f"profile {name} has {count} now"], warnings)


def _from_json(name: str, text: bytes) -> ProfileRules:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"standard input is no JSON: {error}") from None
    try:
        rules = read_profile_rules(document)
    except RulesError as error:
        raise BadInput(str(error)) from None
    if rules.id != name:
        given = "there is no id" if rules.id is None else f"the id is {rules.id!r}"
        raise BadInput(
            f'{given}, but the profile is {name!r}: write "id": {json.dumps(name)}, or name the other profile'
        )
    return rules


def _parsed(words: list[str]) -> Rule:
    try:
        return parse_rule([part for word in words for part in word.split()])
    except RulesError as error:
        raise BadInput(str(error)) from None


def _list(document: Document, direction: Direction) -> list[Any]:
    """The rules of a direction, there to be changed."""
    spec = document.setdefault("spec", {})
    found = spec.get(FIELDS[direction])
    if found is None:
        found = spec[FIELDS[direction]] = []
    if not isinstance(found, list):
        raise Refused(f"spec.{FIELDS[direction]} in etcd is no list of rules: repair it with rule update")
    return found


def _read(document: object) -> tuple[Rule | None, str]:
    """A rule of a v3 document; None and the reason where it is not enforced as it stands."""
    findings = Findings()
    rules = read_rules([document], "rule", "", findings)
    return (None, "; ".join(findings.texts)) if findings.texts or not rules else (rules[0], "")


def _texts(rules: object) -> list[str]:
    return [_text(one) for one in rules] if isinstance(rules, list) else []


def _text(document: object) -> str:
    rule, problem = _read(document)
    if rule is None:
        return f"(not enforced as it stands: {problem})"
    try:
        return format_rule(rule)
    except Unsayable as error:
        return f"{json.dumps(document, ensure_ascii=False)}  ({error})"
