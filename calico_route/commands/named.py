"""Groups whose words come after a name, as in `profile web rule show`: the spelling that calicoctl began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import typer.core
from typer import Context
from typer.core import CompletionItem  # type: ignore[attr-defined]

from .answer import meant


class NamedGroup(typer.core.TyperGroup):
    """`GROUP WORD …` and `GROUP NAME WORD …`, where the words of `after_name` want the name, which they find in
    `Context.obj`."""

    after_name: ClassVar[tuple[str, ...]] = ()
    what: ClassVar[str] = "NAME"
    former: ClassVar[Mapping[str, str]] = {}
    """Words that there once were after a name, and what to do today."""

    def known(self, begun: str) -> list[str]:
        """Names that a shell may offer."""
        return []

    def resolve_command(self, ctx: Context, args: list[str]) -> Any:  # type: ignore[override]
        first, rest = args[0], args[1:]
        if rest and rest[0] in self.after_name and (first not in self.commands or first in self.after_name):
            ctx.obj = first
            return f"{first} {rest[0]}", self.commands[rest[0]], rest[1:]
        if first in self.commands and first not in self.after_name:
            return super().resolve_command(ctx, args)
        if ctx.resilient_parsing:  # a shell asks what could come next
            ctx.obj = first
            return None, None, rest
        if rest[:1] in (["--help"], ["-h"]):
            typer.echo(ctx.get_help())
            raise typer.Exit(0)
        after = " | ".join(self.after_name)
        if first in self.after_name:
            ctx.fail(f"{first!r} comes after a name: {ctx.command_path} {self.what} {first} …")
        if rest and rest[0] in self.former:
            ctx.fail(f"{rest[0]!r} is no more: {self.former[rest[0]]}")
        if rest:
            ctx.fail(
                f"after {self.what} ({first!r}) comes one of {after}, not {rest[0]!r}{meant(rest[0], self.after_name)}"
            )
        plain = [word for word in self.commands if word not in self.after_name]
        return ctx.fail(
            f"{first!r} is none of {', '.join(plain)}{meant(first, plain)}; after {self.what} comes {after}"
        )

    def list_commands(self, ctx: Context) -> list[str]:  # type: ignore[override]
        """In `--help` the words that want a name are shown with it."""
        shown = [word for word in self.commands if word not in self.after_name]
        return shown + [f"{self.what} {word}" for word in self.after_name]

    def get_command(self, ctx: Context, cmd_name: str) -> Any:  # type: ignore[override]
        return super().get_command(ctx, cmd_name.removeprefix(f"{self.what} "))

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:  # type: ignore[override]
        """After a name the words that want one, else the other words and the names that there are."""
        if ctx.obj is not None:
            words = [word for word in self.after_name if word.startswith(incomplete)]
        else:
            words = [word for word in self.commands if word not in self.after_name and word.startswith(incomplete)]
        items = [CompletionItem(word, help=self.commands[word].get_short_help_str()) for word in words]
        if ctx.obj is None and not incomplete.startswith("-"):
            items += [CompletionItem(name) for name in self.known(incomplete)]
        return items
