"""`profile add|remove|show` and `profile NAME tag …`: Calico's v3 Profiles, in the words of v0.4.9."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from uuid import uuid4

import typer

from calico_route.policy.model import Profile
from calico_route.policy.profile import (
    ProfileReading,
    new_profile,
    read_profile,
    tag_warnings,
    tags_asked_for,
    tags_of,
    with_tags,
)

from .answer import Answer, BadInput, Refused, meant, rows
from .command import command
from .endpoint import called, known_profiles, workload_of
from .named import NamedGroup
from .objects import Document, Kind, Objects, Stored, section, texts, unreadable
from .profile_names import as_stored, as_written

SHOWN = 5
"""Names of endpoints in a sentence."""


class ProfileGroup(NamedGroup):
    """`profile NAME tag …` and `profile NAME rule …`."""

    after_name = ("tag", "rule")
    what = "NAME"
    former: ClassVar[Mapping[str, str]] = {
        "member": "calico-route endpoint ID profile append NAME, or container add --profile NAME",
    }

    def known(self, begun: str) -> list[str]:
        return known_profiles(begun)


def add_commands(app: typer.Typer, tag: typer.Typer) -> None:
    """`profile add|remove|show`, and below `tag` what comes after a name."""

    @command(app, "add", examples="calico-route profile add db")
    async def add(objects: Objects, profile: Annotated[str, typer.Argument(metavar="NAME")]) -> Answer:
        """Make a profile: its members have its name as their tag, those may come in, and everything may go out."""
        stored = as_stored(profile)
        try:
            document = new_profile(profile, uid=uuid4(), created=datetime.now(UTC))
        except ValueError as error:
            raise BadInput(str(error)) from None
        made = await objects.create_document(Kind.PROFILE, document)
        if not made:
            found = await objects.need(Kind.PROFILE, stored)
            return Answer(found.document, [f"profile {profile} is there already, and stays as it is"])
        notes = [] if stored == profile else [f"Calico v3 takes no such name: in etcd it is {stored}"]
        return Answer(document, [f"profile {profile} is there"], notes)

    @command(app, "remove", examples="calico-route profile remove db")
    async def remove(
        objects: Objects,
        profile: Annotated[str, typer.Argument(metavar="NAME", autocompletion=known_profiles)],
        force: Annotated[
            bool, typer.Option("--force", help="even though endpoints have it: what it let through is dropped")
        ] = False,
    ) -> Answer:
        """Remove a profile; refused while endpoints have it."""
        found = await need(objects, profile)
        members = _members(found.name, await objects.all(Kind.ENDPOINT))
        if members and not force:
            raise Refused(
                f"profile {profile} is in use by {_few(members)}: what it lets through would be dropped; take it from "
                "them first (calico-route endpoint ID profile remove), or give --force"
            )
        await objects.delete(found)
        profiles = [one for one in await objects.all(Kind.PROFILE) if one.name != found.name]
        notes = [f"still named by {_few(members)}"] if members else []
        notes += _orphans(tags_of(_profile(found)), profiles, await objects.all(Kind.ENDPOINT))
        return Answer({"removed": profile, "endpoints": [one.name for one in members]}, [f"{profile} is gone"], notes)

    @command(app, "show", examples="calico-route profile show\ncalico-route profile show --detailed")
    async def show(
        objects: Objects,
        profile: Annotated[str | None, typer.Argument(metavar="[NAME]", autocompletion=known_profiles)] = None,
        detailed: Annotated[bool, typer.Option("--detailed", help="also the endpoints that have it")] = False,
    ) -> Answer:
        """All profiles, or one; their rules are shown by: calico-route profile NAME rule show."""
        everything = await objects.all(Kind.PROFILE)
        if profile is not None:
            everything = [await need(objects, profile)]
        endpoints = await objects.all(Kind.ENDPOINT)
        found = [_shown(one, endpoints) for one in everything if not one.problem]
        none = "no profile: make one with calico-route profile add NAME"
        if not detailed:
            body = [(one["name"], ", ".join(one["tags"]), len(one["endpoints"])) for one in found]
            table = rows(("name", "tags", "endpoints"), body, none=none)
        else:
            body_detailed = [
                (one["name"], each["node"], each["orchestrator"], each["called"], each["id"])
                for one in found
                for each in one["endpoints"] or [dict.fromkeys(("node", "orchestrator", "called", "id"), "")]
            ]
            table = rows(("name", "node", "orchestrator", "workload", "endpoint"), body_detailed, none=none)
        return Answer(found, table, unreadable(everything))

    @command(tag, "show", examples="calico-route profile db tag show")
    async def tag_show(objects: Objects, context: typer.Context) -> Answer:
        """The tags that members of the profile have."""
        found = list(tags_of(_profile(await need(objects, str(context.obj)))))
        return Answer(found, found or ["no tag"])

    @command(tag, "add", examples="calico-route profile db tag add backend")
    async def tag_add(
        objects: Objects, context: typer.Context, tag: Annotated[str, typer.Argument(metavar="TAG")]
    ) -> Answer:
        """One more tag for all members."""
        return await _retag(objects, str(context.obj), lambda tags: list(dict.fromkeys([*tags, tag])))

    @command(tag, "remove", examples="calico-route profile db tag remove backend")
    async def tag_remove(
        objects: Objects, context: typer.Context, tag: Annotated[str, typer.Argument(metavar="TAG")]
    ) -> Answer:
        """One tag less."""
        name = str(context.obj)

        def without(tags: list[str]) -> list[str]:
            if tag not in tags:
                has = ", ".join(tags) or "none"
                raise Refused(f"profile {name} has no tag {tag!r}{meant(tag, tags)}; it has {has}")
            return [one for one in tags if one != tag]

        answer = await _retag(objects, name, without)
        notes = _orphans([tag], await objects.all(Kind.PROFILE), await objects.all(Kind.ENDPOINT))
        return Answer(answer.document, answer.lines, notes)


async def need(objects: Objects, name: str) -> Stored:
    """The profile of this name, as people write it. Refused where there is none."""
    stored = as_stored(name)
    found = await objects.get(Kind.PROFILE, stored)
    if found is None:
        others = [as_written(one.name) for one in await objects.all(Kind.PROFILE)]
        raise Refused(f"there is no profile {name!r} (calico-route profile add {name}){meant(name, others)}")
    return await objects.need(Kind.PROFILE, stored)


def reading(name: str, document: Mapping[str, Any]) -> ProfileReading:
    """What a document says."""
    return read_profile(name, json.dumps(document).encode())


async def carried_tags(objects: Objects) -> set[str]:
    """The tags that somebody can have: those of profiles, and labels of endpoints."""
    return _carried(await objects.all(Kind.PROFILE), await objects.all(Kind.ENDPOINT))


def _carried(profiles: Iterable[Stored], endpoints: Iterable[Stored]) -> set[str]:
    found = {tag for one in profiles if not one.problem for tag in tags_of(_profile(one))}
    for endpoint in endpoints:
        found.update(label for label, value in endpoint.labels.items() if value == "")
    return found


def _profile(found: Stored) -> Profile:
    profile = reading(found.name, found.document).profile
    if profile is None:
        raise Refused(f"{found} cannot be read")
    return profile


def _orphans(tags: Iterable[str], profiles: Sequence[Stored], endpoints: Iterable[Stored]) -> list[str]:
    """Where rules of other profiles name a tag that nobody carries any more."""
    carried = _carried(profiles, endpoints)
    notes = []
    for one in profiles:
        profile = None if one.problem else _profile(one)
        rules = () if profile is None else profile.ingress + profile.egress
        gone = [rule for rule in rules if set(tags_asked_for([rule])) & set(tags)]
        notes += [f"rules of profile {as_written(one.name)}: {text}" for text in tag_warnings(gone, carried)]
    return notes


def _shown(one: Stored, endpoints: Iterable[Stored]) -> dict[str, Any]:
    members = [
        {
            "id": member.name,
            "node": member.spec.get("node") or "",
            "orchestrator": member.spec.get("orchestrator") or "",
            "workload": workload_of(member),
            "called": called(member),
        }
        for member in _members(one.name, endpoints)
    ]
    tags = list(tags_of(_profile(one)))
    return {"name": as_written(one.name), "stored_name": one.name, "tags": tags, "endpoints": members}


def _members(stored: str, endpoints: Iterable[Stored]) -> list[Stored]:
    return [one for one in endpoints if stored in texts(one.spec, "profiles")]


def _few(members: Sequence[Stored]) -> str:
    shown = ", ".join(f"{called(one) or one.name} on {one.spec.get('node')}" for one in members[:SHOWN])
    return shown + (f" and {len(members) - SHOWN} more" if len(members) > SHOWN else "")


async def _retag(objects: Objects, name: str, edit: Callable[[list[str]], list[str]]) -> Answer:
    found = await need(objects, name)

    def write(document: Document) -> Document:
        before = [label for label, value in section(section(document, "spec"), "labelsToApply").items() if value == ""]
        try:
            return with_tags(document, edit(before))
        except ValueError as error:
            raise BadInput(str(error)) from None

    document = await objects.change(found, write)
    tags = list(tags_of(_profile(Stored(Kind.PROFILE, found.name, document, 0))))
    return Answer(tags, [f"profile {name} has the tags {', '.join(tags) or 'none'}"])
