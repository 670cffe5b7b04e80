"""`pybgp policy check FILE`: every error of a speaker's file, or its policies as they were understood."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pybgp.app.peer_file import ListenSpec, PeerSpec
from pybgp.app.reader import Problems
from pybgp.app.run import read_or_say
from pybgp.app.speaker_file import SpeakerFile, read
from pybgp.policy import Rules

HELP = "every error of a speaker's file with its line, or its policies as they were understood"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the subcommand."""
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="for programs; docs/schema/control.json has the schema")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """The exit status: 0 where the file has no errors."""
    if arguments.json:
        return _as_json(arguments.file)
    settings = read_or_say(arguments.file)
    if settings is None:
        return 1
    for name, policy in _policies(settings).items():
        print(f"policy {name}")
        print("\n".join(f"  {line}" for line in str(policy).splitlines()))
    unused = _unused(settings)
    if unused:
        print(f"no peer has {', '.join(unused)}")
    print(f"{arguments.file}: no errors")
    return 0


def _as_json(file: Path) -> int:
    problems: list[dict[str, Any]] = []
    settings = None
    try:
        settings = read(file)
    except Problems as error:
        problems = [{"line": one.line, "key": one.key, "text": one.text} for one in error.problems]
    except OSError as error:
        problems = [{"line": 0, "key": "", "text": f"cannot be read: {error.strerror}"}]
    policies = {} if settings is None else _policies(settings)
    checked = {
        "file": str(file),
        "problems": problems,
        "policies": [
            {
                "name": name,
                "rules": [{"name": label, "text": str(rule)} for label, rule in policy.labelled],
                "default": str(policy.default),
            }
            for name, policy in policies.items()
        ],
        "unused": [] if settings is None else _unused(settings),
    }
    print(json.dumps({"checked": checked}))
    return 1 if problems else 0


def _policies(settings: SpeakerFile) -> dict[str, Rules]:
    """Those of the file, without the built-in ones."""
    return {
        name: policy
        for name, policy in sorted(settings.policies.items())
        if name in settings.policy_values and isinstance(policy, Rules)
    }


def _unused(settings: SpeakerFile) -> list[str]:
    """Policies that no peer has, dynamic ones included."""
    specs: list[PeerSpec | ListenSpec] = [*settings.peers.values(), *settings.listens.values()]
    used = {name for spec in specs for name in (spec.import_policy, spec.export_policy)}
    return sorted(settings.policy_values.keys() - used)
