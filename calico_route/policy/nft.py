"""Transactions of nftables: libnftables in this process, or the command `nft` where the library is missing. Elements
that come and go, and nothing else, are put in by messages of our own (elements.py).

Both take the JSON of libnftables-json(5), and carry out a list of commands as one transaction or not at all. Calls
block for as long as the kernel works, so they are made in a thread of their own, which carries a name that nobody else
has: the kernel tells those who listen (changes.py) the name of the thread that has made a change.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import json
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from calico_route.kernel.socket import KernelError, in_namespace

from .elements import ElementSocket, changes_of
from .table import FAMILY, NAME, Command

_LIBRARY = "libnftables.so.1"
_JSON = 1 << 4
_PR_SET_NAME = 15
_COMMAND_PATIENCE = 30.0
_library_lock = threading.Lock()  # libnftables keeps some of its state for the whole process
_Run = Callable[[str], tuple[int, str, str]]
"""JSON in; exit status, output and errors out."""


class NftError(Exception):
    """nftables can't be used, or refused a transaction, of which nothing is in force then. The text is for a person."""


class Nft:
    """The table of ours in the network namespace `netns` (a name or a path; None: the process's own).

    `command`: use `nft` even where the library is there.
    """

    def __init__(self, netns: str | None = None, *, command: bool = False) -> None:
        self.thread_name = f"nft-{secrets.token_hex(5)}"
        self._netns, self._command = netns, command
        self._executor = ThreadPoolExecutor(1, self.thread_name, self._name_thread)
        self._run: _Run | None = None
        self._free: Callable[[], None] = lambda: None
        self._elements: ElementSocket | None = None
        self.how = ""

    async def open(self) -> None:
        """NftError where neither library nor command can be used."""
        await self._in_thread(self._open)

    async def apply(self, commands: Sequence[Command]) -> None:
        """Carry out all of it, or nothing: NftError says what was refused."""
        await self._in_thread(functools.partial(self._carry_out, commands))

    async def listing(self) -> list[dict[str, Any]] | None:
        """Our table as the kernel has it; None: there is none."""
        found: list[dict[str, Any]] | None = await self._in_thread(self._list)
        return found

    async def close(self) -> None:
        """The table stays as it is."""
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def _name_thread(self) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, self.thread_name.encode(), 0, 0, 0)

    def _open(self) -> None:
        why = "asked for the command"
        if not self._command:
            try:
                self._elements = ElementSocket(self._netns)
                self._run, self._free = in_namespace(self._netns, _open_library)
            except (OSError, AttributeError) as error:
                why = f"{_LIBRARY} cannot be used ({error})"
            except KernelError as error:
                raise NftError(str(error)) from error
            else:
                self.how = _LIBRARY
                return
        path = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
        if path is None:
            raise NftError(f"{why}, and there is no command nft: install nftables (Debian: apt-get install nftables)")
        self._run, self.how = functools.partial(_run_command, self._netns, path), path

    def _close(self) -> None:
        self._run = None
        self._free()
        if self._elements is not None:
            self._elements.close()

    def _carry_out(self, commands: Sequence[Command]) -> None:
        changes = changes_of(commands) if self._elements is not None else None
        if changes is None or self._elements is None:
            self._call(commands)
            return
        try:
            self._elements.apply(changes)
        except OSError as error:
            names = ", ".join(change.name for change in changes)
            raise NftError(f"elements of {names}: {error.strerror or error}") from error

    def _call(self, commands: Sequence[Command]) -> str:
        if self._run is None:
            raise NftError("nftables is not open")
        try:
            status, output, errors = self._run(json.dumps({"nftables": commands}, separators=(",", ":")))
        except (OSError, KernelError, subprocess.SubprocessError) as error:
            raise NftError(f"nft could not be run: {error}") from error
        if status != 0:
            raise NftError(_in_words(errors))
        return output

    def _list(self) -> list[dict[str, Any]] | None:
        try:
            output = self._call([{"list": {"table": {"family": FAMILY, "name": NAME}}}])
        except NftError as error:
            if "No such file or directory" in str(error):
                return None
            raise
        document: dict[str, list[dict[str, Any]]] = json.loads(output)
        return document["nftables"]


def _in_words(errors: str) -> str:
    line = next((line for line in errors.splitlines() if "rror" in line), "nftables refused, and said nothing")
    words = line.partition("rror:")[2].strip() or line.strip()
    if "Operation not permitted" in words:
        words += " (CAP_NET_ADMIN is needed)"
    return words


def _open_library() -> tuple[_Run, Callable[[], None]]:
    library = ctypes.CDLL(_LIBRARY)
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    with _library_lock:
        context = library.nft_ctx_new(0)
        if not context:
            raise OSError("nft_ctx_new gave nothing")
        library.nft_ctx_output_set_flags(context, _JSON)
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)

    def run(text: str) -> tuple[int, str, str]:
        with _library_lock:
            status = library.nft_run_cmd_from_buffer(context, text.encode())
            output = (library.nft_ctx_get_output_buffer(context) or b"").decode("utf-8", "replace")
            errors = (library.nft_ctx_get_error_buffer(context) or b"").decode("utf-8", "replace")
        return status, output, errors

    def free() -> None:
        with _library_lock:
            library.nft_ctx_free(context)

    return run, free


def _run_command(netns: str | None, path: str, text: str) -> tuple[int, str, str]:
    def run() -> tuple[int, str, str]:
        done = subprocess.run(
            [path, "-j", "-f", "-"],
            input=text,
            check=False,
            capture_output=True,
            text=True,
            timeout=_COMMAND_PATIENCE,
        )
        return done.returncode, done.stdout, done.stderr

    return in_namespace(netns, run)
