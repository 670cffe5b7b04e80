"""`checksystem [--fix]`: one line for each thing that this host must have."""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
import subprocess
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Annotated

import typer

from calico_route.etcd.drivers import open_store
from calico_route.etcd.settings import Endpoint, EtcdSettings, SettingsError
from calico_route.etcd.store import StoreError
from calico_route.status import table

from .answer import Answer
from .checks import Check, Verdict, local
from .command import EtcdFlags, command, etcd_settings

SKEW = 5.0
"""Seconds by which clocks may differ: logs and leases go wrong beyond."""


def add_command(app: typer.Typer) -> None:
    """`checksystem`."""

    @command(app, "checksystem", examples="calico-route checksystem\ncalico-route checksystem --fix")
    def checksystem(
        etcd: EtcdFlags,
        fix: Annotated[bool, typer.Option("--fix", help="do what can be done at once (until the next boot)")] = False,
    ) -> Answer:
        """Whether this host has all that is needed, and what to do where not. Exit code 1 if something must be done."""
        found = [*local(os.environ), *_etcd(etcd)]
        if fix:
            found = [_fixed(one) for one in found]
        failed = sum(one.verdict is Verdict.FAIL for one in found)
        rows = [(one.verdict.upper(), one.name, one.finding + (f": {one.what}" if one.what else "")) for one in found]
        lines = table(rows)
        lines.append(f"{failed} of {len(found)} must be put right" if failed else "this host has all that is needed")
        document = {
            "ok": not failed,
            "checks": [
                {"name": one.name, "verdict": str(one.verdict), "finding": one.finding, "what_to_do": one.what or None}
                for one in found
            ],
        }
        return Answer(document, lines, exit_code=1 if failed else 0)


def _fixed(check: Check) -> Check:
    if check.verdict is Verdict.OK or check.fix is None:
        return check
    try:
        check.fix()
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or error
        return replace(check, finding=f"{check.finding}, and could not be put right ({why})")
    return replace(check, verdict=Verdict.OK, finding=f"{check.finding}: put right until the next boot")


def _etcd(flags: EtcdFlags) -> list[Check]:
    try:
        settings = etcd_settings(flags, os.environ)
    except SettingsError as error:
        return [Check("etcd", Verdict.FAIL, str(error), "put flags or environment right")]
    found = [asyncio.run(_reach(settings, endpoint)) for endpoint in settings.endpoints]
    if any(one.verdict is Verdict.OK for one in found):
        # One member that is away is no reason to stop a node.
        found = [replace(one, verdict=Verdict.WARN) if one.verdict is Verdict.FAIL else one for one in found]
        found.append(_clock(settings))
    return found


async def _reach(settings: EtcdSettings, endpoint: Endpoint) -> Check:
    name = f"etcd {endpoint}"
    started = time.monotonic()
    try:
        store = open_store(replace(settings, endpoints=(endpoint,)))
        try:
            head = await store.head()
        finally:
            await store.close()
    except (StoreError, SettingsError) as error:
        return Check(
            name, Verdict.FAIL, str(error), "is it running and reachable? else ETCD_ENDPOINTS, certificates, user"
        )
    took = (time.monotonic() - started) * 1000
    return Check(name, Verdict.OK, f"answers in {took:.0f} ms, revision {head.revision}")


def _clock(settings: EtcdSettings) -> Check:
    """Ours beside the clock of the first etcd that tells its own (each of its answers over HTTP does)."""
    for endpoint in settings.endpoints:
        try:
            theirs = _date(settings, endpoint)
        except (OSError, ValueError, http.client.HTTPException):
            continue
        skew = time.time() - theirs
        if abs(skew) > SKEW:
            what = "set both by NTP (chrony, systemd-timesyncd)"
            return Check("clock", Verdict.WARN, f"{abs(skew):.0f} s {'before' if skew > 0 else 'behind'} etcd's", what)
        return Check("clock", Verdict.OK, f"as that of etcd at {endpoint.host}")
    return Check("clock", Verdict.WARN, "etcd does not tell the time", "compare it by hand: date")


def _date(settings: EtcdSettings, endpoint: Endpoint) -> float:
    connection: http.client.HTTPConnection
    if endpoint.tls:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        connection = http.client.HTTPSConnection(endpoint.host, endpoint.port, timeout=3, context=context)
    else:
        connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=3)
    try:
        connection.request("GET", "/version")
        stamp = connection.getresponse().getheader("Date")
    finally:
        connection.close()
    if not stamp:
        raise ValueError("no date")
    return parsedate_to_datetime(stamp).timestamp()
