"""Makes the published aioetcd3 1.13 run on today's Python and protobuf, without changing its files.

Two things have moved under it since 2017:

* Its generated protobuf modules build their descriptors with constructors that protobuf no longer has.
  The serialized descriptors inside those modules are still good, so the modules are rebuilt from them,
  in a pool of their own that cannot clash with another package's `rpc.proto`.
* Its watch module hands `loop=` to asyncio, which Python 3.10 dropped, and gives coroutines to
  `asyncio.wait`, which 3.11 dropped. It is given an `asyncio` that takes both.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.abc
import importlib.machinery
import logging
import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any

_PACKAGE = "aioetcd3._etcdv3."
_DEPENDENCIES = {"rpc": ("kv", "auth")}  # what a .proto imports must be in the pool before it


class _GeneratedModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds aioetcd3's `_pb2` modules and fills them from their serialized descriptors."""

    def __init__(self) -> None:
        from google.protobuf import descriptor_pool

        self._pool = descriptor_pool.DescriptorPool()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not (fullname.startswith(_PACKAGE) and fullname.endswith("_pb2")):
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        return found and importlib.machinery.ModuleSpec(fullname, self, origin=found.origin)

    def exec_module(self, module: types.ModuleType) -> None:
        from google.protobuf import message_factory
        from google.protobuf.internal import enum_type_wrapper

        name = module.__name__.removeprefix(_PACKAGE).removesuffix("_pb2")
        for dependency in _DEPENDENCIES.get(name, ()):
            importlib.import_module(f"{_PACKAGE}{dependency}_pb2")
        origin = module.__spec__.origin if module.__spec__ else None
        if origin is None:
            raise ImportError(f"{module.__name__} has no source file", name=module.__name__)
        self._pool.AddSerializedFile(_serialized_descriptor(origin))
        descriptor = self._pool.FindFileByName(f"{name}.proto")
        for message_name, message in descriptor.message_types_by_name.items():
            setattr(module, message_name, message_factory.GetMessageClass(message))
        for enum_name, enum in descriptor.enum_types_by_name.items():
            setattr(module, enum_name, enum_type_wrapper.EnumTypeWrapper(enum))
            for value in enum.values:
                setattr(module, value.name, value.number)


def _serialized_descriptor(path: str) -> bytes:
    """The argument `serialized_pb=_b('...')` in a generated module: its text holds one octet a character."""
    with open(path, encoding="utf-8") as source:
        tree = ast.parse(source.read(), path)
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "serialized_pb" and isinstance(node.value, ast.Call):
            literal = node.value.args[0]
            if isinstance(literal, ast.Constant) and isinstance(literal.value, str):
                return literal.value.encode("latin-1")
    raise ImportError(f"no serialized descriptor in {path}", path=path)


class _Asyncio(types.ModuleType):
    """asyncio with the arguments of Python 3.6."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    def Event(*, loop: object = None) -> asyncio.Event:  # noqa: N802 - asyncio's own name
        return asyncio.Event()

    @staticmethod
    def Queue(maxsize: int = 0, *, loop: object = None) -> asyncio.Queue[Any]:  # noqa: N802
        return asyncio.Queue(maxsize)

    @staticmethod
    async def sleep(delay: float, *, loop: object = None) -> None:
        await asyncio.sleep(delay)

    @staticmethod
    async def wait(futures: Iterable[Any], *, loop: object = None, **options: Any) -> Any:
        return await asyncio.wait([asyncio.ensure_future(future) for future in futures], **options)


class _LostStreams(logging.Filter):
    """Drops what asyncio says about aiogrpc's callback for a cancelled stream: it means nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "WrappedIterator.__anext__" not in record.getMessage()


def import_aioetcd3() -> None:
    """Import aioetcd3 so that it works; a second call does nothing. Whatever the import raises."""
    if "aioetcd3.client" in sys.modules:
        return
    before = set(sys.modules)
    finder = _GeneratedModules()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module("aioetcd3.client")
        watch = importlib.import_module("aioetcd3.watch")
    except BaseException:
        # A half-imported package would be taken for a whole one at the next try.
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "aioetcd3":
                del sys.modules[name]
        raise
    finally:
        sys.meta_path.remove(finder)
    vars(watch)["asyncio"] = _Asyncio("asyncio")
    # aiogrpc logs a traceback for every stream that ends; our driver reports each loss in words.
    logging.getLogger("aiogrpc.utils").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_LostStreams())
