"""From a function to a command: flags that all have, the datastore, the answer printed, errors in words.

A command is a function that returns an Answer. Where its first parameter is `objects: Objects` it is asynchronous and
gets those of the datastore, and the command gets the agent's flags for etcd. A parameter `etcd: EtcdFlags` is just
these flags; a parameter `context` is typer's.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from calico_route.config import read_password
from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import EtcdSettings, SettingsError, check_certificates, read_settings
from calico_route.etcd.store import DeniedError, Store, StoreError, UnavailableError
from calico_route.flags import UsageError

from .answer import Answer, BadInput, Refused
from .objects import Objects

ETCD_OPTIONS: Mapping[str, Any] = {
    "peer_from_etcd": Annotated[
        str | None,
        typer.Option(
            "--peer-from-etcd",
            "--etcd",
            metavar="ENDPOINTS",
            help="etcd v3: http://host:2379[,...]. Default: ETCD_ENDPOINTS, ETCD_AUTHORITY, http://127.0.0.1:2379. The "
            "agent's other flags for etcd are taken, too: --etcd-ca-cert, --etcd-cert, --etcd-key, --etcd-username, "
            "--etcd-password-file, --etcd-driver",
        ),
    ],
    # Understood everywhere, and shown once, above: --help is to show what a command is about.
    **{
        name: Annotated[str | None, typer.Option(f"--{name.replace('_', '-')}", metavar="TEXT", hidden=True)]
        for name in (
            *("etcd_ca_cert", "etcd_cert", "etcd_key", "etcd_username", "etcd_password_file"),
            "etcd_driver",  # default: http, which starts faster, or aioetcd3 with a client certificate
        )
    },
}
JSON_OPTION: Any = Annotated[bool, typer.Option("--json", help="for programs")]


class EtcdFlags(dict[str, str | None]):
    """The flags for etcd of one call, by the names of ETCD_OPTIONS."""


Function: TypeAlias = Callable[..., Answer] | Callable[..., Awaitable[Answer]]


def command(app: typer.Typer, name: str, *, examples: str = "", hidden: bool = False) -> Callable[[Function], Function]:
    """Make a function a command of `app`. Its docstring is the help; `examples` are shown below it, a line each."""

    def register(function: Function) -> Function:
        epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()) if examples else None
        app.command(name, epilog=epilog, help=inspect.getdoc(function), hidden=hidden)(_runner(function))
        return function

    return register


def _runner(function: Function) -> Callable[..., None]:
    """The function that typer sees: with the flags that all commands have, and printing what comes back."""
    signature = inspect.signature(function, eval_str=True)
    parameters = list(signature.parameters.values())
    asks_datastore = bool(parameters) and parameters[0].annotation is Objects
    if asks_datastore:
        parameters = parameters[1:]
    flags_name = next((one.name for one in parameters if one.annotation is EtcdFlags), None)
    parameters = [one for one in parameters if one.annotation is not EtcdFlags]
    wants_context = any(one.annotation is typer.Context for one in parameters)
    options = dict(ETCD_OPTIONS) if asks_datastore or flags_name is not None else {}
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=None)
        for name, kind in options.items()
    ]
    added.append(inspect.Parameter("json_", inspect.Parameter.KEYWORD_ONLY, annotation=JSON_OPTION, default=False))
    own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
    if not wants_context:
        added.append(inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))

    def run(**values: Any) -> None:
        context: typer.Context = values["context"]
        if not wants_context:
            del values["context"]
        as_json = values.pop("json_")
        etcd = EtcdFlags({name: values.pop(name) for name in options})
        if flags_name is not None:
            values[flags_name] = etcd
        try:
            if asks_datastore:
                answer = asyncio.run(_with_objects(function, etcd, values))
            else:
                found = function(**values)
                answer = found if isinstance(found, Answer) else asyncio.run(_awaited(found))
        except (Refused, StoreError, SettingsError, UsageError) as error:
            for line in str(_worded(error)).splitlines():
                print(f"{context.command_path}: {line}", file=sys.stderr)
            wrong = isinstance(error, SettingsError | UsageError)
            raise typer.Exit(2 if wrong else getattr(error, "exit_code", 1)) from None
        _print(answer, as_json=as_json, path=context.command_path)
        raise typer.Exit(answer.exit_code)

    # typer reads the signature with eval_str, and the hints beside it.
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in [*own, *added]}
    run.__doc__ = function.__doc__
    return run


async def _awaited(found: Awaitable[Answer]) -> Answer:
    return await found


async def _with_objects(function: Callable[..., Any], etcd: Mapping[str, str | None], values: dict[str, Any]) -> Answer:
    logging.getLogger("calico_route").addHandler(logging.NullHandler())  # what goes wrong is told once, as the answer
    store = open_store(etcd_settings(etcd, os.environ))
    try:
        await _find_endpoint(store)
        answer: Answer = await function(Objects(store), **values)
        return answer
    except StoreError as error:
        raise Refused(f"etcd at {store.endpoint}: {_store_words(error)}") from None
    finally:
        await store.close()


async def _find_endpoint(store: Store) -> None:
    """Turn to the first endpoint that answers; where there is only one, the command itself finds out."""
    for _ in range(store.endpoints - 1):
        try:
            await store.head()
            return
        except UnavailableError:
            await store.reset(store.endpoint)
        except StoreError:
            return  # it is there, and refuses: the command tells why


def etcd_settings(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> EtcdSettings:
    """The settings that the agent would take from the same flags and environment. SettingsError."""
    password = None
    if (path := flags.get("etcd_password_file")) is not None:
        try:
            password = read_password(Path(path))
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise SettingsError(f"--etcd-password-file {path!r}: {why}") from None
    settings = read_settings(
        environ,
        endpoints=flags.get("peer_from_etcd"),
        ca_file=flags.get("etcd_ca_cert"),
        cert_file=flags.get("etcd_cert"),
        key_file=flags.get("etcd_key"),
        username=flags.get("etcd_username"),
        password=password,
        driver=flags.get("etcd_driver") or None,
    )
    check_certificates(settings)
    if settings.driver is None and settings.cert_file is None:
        # A command lives for a moment: aioetcd3 takes longer to import than all else together.
        return EtcdSettings(
            **{name: getattr(settings, name) for name in EtcdSettings.__slots__ if name != "driver"}, driver="http"
        )
    return settings


def _worded(error: Exception) -> Exception:
    return Refused(f"etcd: {_store_words(error)}") if isinstance(error, StoreError) else error


def _store_words(error: StoreError) -> str:
    if isinstance(error, DeniedError):
        return f"{error} (ETCD_USERNAME and ETCD_PASSWORD, or --etcd-username and --etcd-password-file)"
    return f"{error}; is it running, and are --peer-from-etcd or ETCD_ENDPOINTS right?"


def _print(answer: Answer, *, as_json: bool, path: str) -> None:
    try:
        for note in answer.notes:
            print(f"{path}: note: {note}", file=sys.stderr)
        if as_json:
            print(json.dumps(answer.document, indent=2, ensure_ascii=False))
        else:
            for line in answer.lines:
                print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def standard_input() -> bytes:
    """What was piped in. BadInput at a terminal, where nothing would ever end it."""
    if sys.stdin.isatty():
        raise BadInput("give the JSON on standard input, as in: calico-route profile web rule update < web.json")
    return sys.stdin.buffer.read()
