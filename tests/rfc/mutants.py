"""Broken forms of one function: its source, changed in one place, compiled and put in its place in memory.

No file is touched. The code object of the very function is exchanged, so that everybody who holds the function,
under whatever name it was imported, runs the mutant.
"""

from __future__ import annotations

import ast
import copy
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

MOST = 16
"""Small mutants a function: of more, an even choice over the whole function is taken."""

_FLIPPED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


class NoMutants(Exception):
    """What a mark names cannot be broken; the text says why."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`gutted` is the one that does nothing at all. `what` says what was changed, and where in the file."""

    what: str
    code: CodeType
    gutted: bool = False


def find(code: str) -> FunctionType:
    """The function that "module:qualified.name" names. Raises NoMutants."""
    module, _, name = code.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = inspect.getattr_static(found, part)
    except (ImportError, AttributeError) as error:
        raise NoMutants(f"{code} does not exist: {error}") from None
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    if isinstance(found, property):
        found = found.fget
    found = inspect.unwrap(found) if callable(found) else found
    if not isinstance(found, FunctionType):
        raise NoMutants(f"{code} is no function written in Python")
    return found


def source_of(function: FunctionType) -> str:
    """Its own lines, decorators included, without indentation."""
    return textwrap.dedent(inspect.getsource(function))


def mutants(function: FunctionType) -> list[Mutant]:
    """The gutted one first, then up to `MOST` small ones."""
    tree = ast.parse(source_of(function))
    original = tree.body[0]
    if not isinstance(original, ast.FunctionDef | ast.AsyncFunctionDef):
        raise NoMutants(f"{function.__qualname__} is not defined by def")
    first = function.__code__.co_firstlineno - 1
    found = [Mutant("does nothing", _compiled(_gutted(original), function), gutted=True)]
    small = list(_changes(original))
    step = max(1.0, len(small) / MOST)
    for index in (int(step * number) for number in range(min(len(small), MOST))):
        line, what, changed = small[index]
        found.append(Mutant(f"line {first + line}: {what}", _compiled(changed(), function)))
    return found


def _gutted(original: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
    """The function with an empty body; a generator stays one."""
    tree = copy.deepcopy(original)
    body: list[ast.stmt] = [ast.Return(ast.Constant(None))]
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in ast.walk(original)):
        body.append(ast.Expr(ast.Yield(None)))
    tree.body = body
    return tree


_Change = tuple[int, str, Callable[[], ast.AST]]


def _changes(original: ast.AST) -> Iterator[_Change]:
    """Every small change of the function, in the order of its nodes, each as a recipe for a changed copy."""
    nodes = list(ast.walk(original))
    docstrings = {
        id(node.value) for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for index, node in enumerate(nodes):
        if id(node) in docstrings:
            continue
        for what, change in _changes_of(node):
            yield getattr(node, "lineno", 1), what, _recipe(original, index, change)


def _recipe(original: ast.AST, index: int, change: Callable[[Any], None]) -> Callable[[], ast.AST]:
    def made() -> ast.AST:
        tree = copy.deepcopy(original)
        change(list(ast.walk(tree))[index])
        return tree

    return made


def _changes_of(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield f"not ({ast.unparse(node.test)})", _negate
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield f"{ast.unparse(node)} turned round", _flip
    elif isinstance(node, ast.BoolOp):
        yield f"{ast.unparse(node)} with and for or", _swap_junction
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield f"{node.value} plus one", _one_more
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield f"not {node.value}", _other
    elif isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield f"return None for {ast.unparse(node.value)[:60]}", _return_none
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield f"without {ast.unparse(node)[:60]}", _empty


def _negate(node: Any) -> None:
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _flip(node: Any) -> None:
    node.ops = [_FLIPPED[type(node.ops[0])]()]


def _swap_junction(node: Any) -> None:
    node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _one_more(node: Any) -> None:
    node.value += 1


def _other(node: Any) -> None:
    node.value = not node.value


def _return_none(node: Any) -> None:
    node.value = ast.Constant(None)


def _empty(node: Any) -> None:
    """A statement without effect, in whatever place it stands."""
    if isinstance(node, ast.Raise):
        node.__class__ = ast.Pass
    else:
        node.value = ast.Constant(None)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _compiled(tree: ast.AST, function: FunctionType) -> CodeType:
    """The code object, with the free variables of the function that it is to stand in for. Raises NoMutants."""
    definition: Any = tree
    definition.decorator_list = []
    annotations = ast.parse("from __future__ import annotations").body
    free = function.__code__.co_freevars
    if free:  # a scope around it, which has the same names
        scope = ast.parse(f"def scope():\n    {' = '.join(free)} = None\n").body[0]
        assert isinstance(scope, ast.FunctionDef)
        scope.body.append(definition)
        definition = scope
    module = ast.fix_missing_locations(ast.Module([*annotations, definition], []))
    code = compile(module, function.__code__.co_filename, "exec")
    for name in (["scope"] if free else []) + [function.__name__]:
        code = next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == name)
    if code.co_freevars != free:
        raise NoMutants(f"{function.__qualname__} uses variables of the function around it")
    return code
