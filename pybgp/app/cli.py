"""The command line of `pybgp`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pybgp.app import lines, operate, run


def parser() -> argparse.ArgumentParser:
    """All subcommands and their options."""
    top = argparse.ArgumentParser(prog="pybgp", description="A BGP speaker, and tools around its codec.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    decode = commands.add_parser(
        "decode",
        help="BGP messages in hex, one a line, to JSON",
        description="Reads whole BGP messages as hexadecimal digits, one a line, on standard input, and writes one "
        "JSON object a line, in order: the message, or an error with the NOTIFICATION that it deserves.",
    )
    decode.add_argument("--body", choices=sorted(lines.BODIES), help="the lines are bodies of this type alone")
    decode.add_argument("--text", action="store_true", help="for people, not JSON")
    lines.add_context_arguments(decode)
    decode.set_defaults(run=lambda arguments: lines.decode(arguments, sys.stdin.buffer, sys.stdout))

    encode = commands.add_parser(
        "encode",
        help="the JSON of `decode` back to hex",
        description="Reads JSON objects as `decode` writes them, one a line, and writes the messages in hex. What "
        "cannot be encoded is answered by an object with an error; the exit status is 1 then.",
    )
    lines.add_context_arguments(encode)
    encode.set_defaults(run=lambda arguments: lines.encode(arguments, sys.stdin.buffer, sys.stdout))

    speaker = commands.add_parser(
        "run",
        help="a speaker from a file",
        description="Runs a speaker from a TOML file. SIGHUP reads it again and carries out what changed; SIGTERM "
        "and SIGINT end the sessions in good order.",
    )
    run.add_arguments(speaker)
    speaker.set_defaults(run=run.run)
    operate.add_subcommands(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status."""
    arguments = parser().parse_args(argv)
    if sys.stdin is None or sys.stdout is None:
        print(f"pybgp {arguments.command}: standard input and output must be open", file=sys.stderr)
        return 2
    try:
        status: int = arguments.run(arguments)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # else whoever read our output has gone, and that is that
            print(f"pybgp {arguments.command}: {error.strerror}", file=sys.stderr)
        # What is still in the buffer has no way out, not even at the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
