"""Calico's label selectors, as nodeSelector and peerSelector of a BGPPeer hold them.

    all()   global()   has(rack)   !has(rack)   rack == 'r1' && !(zone in {"a", "b"} || name starts with 'x')

`!=` and `not in` also hold where there is no such label, `==` and the others do not. `!` binds closest, then `&&`,
then `||`. Texts stand in either kind of quotes and have no escapes; a list of them may end in a comma. `notin`,
`startswith` and `endswith` are the same without the blank. An empty selector selects everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NoReturn, TypeAlias

Labels: TypeAlias = Mapping[str, str]
Selector: TypeAlias = Callable[[Labels], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>'[^']*'|\"[^\"]*\")"
    r"|(?P<sign>&&|\|\||==|!=|[!(){},])"
    r"|(?P<word>[A-Za-z0-9_./-]+))"
)
_DEEPEST = 50  # brackets in each other: more is no selector of a person, and recursion has an end
_TESTS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda value, text: text in value,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


@lru_cache(maxsize=256)
def parse_selector(text: str) -> Selector:
    """The selector that a text stands for. ValueError that says what is expected, and where."""
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []  # kind, text, position
        self._at = self._depth = 0
        end, length = 0, len(text.rstrip())
        while end < length:
            found = _TOKEN.match(text, end)
            if found is None:
                raise ValueError(f"{text!r}: no selector has {text[end:].split()[0][:20]!r} (at {end})")
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind], found.start(kind)))
            end = found.end()

    def parse(self) -> Selector:
        if not self._tokens:
            return _everything
        found = self._either()
        if self._at < len(self._tokens):
            self._fail("&&, || or the end")
        return found

    def _either(self) -> Selector:
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda labels: any(part(labels) for part in parts)

    def _both(self) -> Selector:
        parts = [self._one()]
        while self._take("&&"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda labels: all(part(labels) for part in parts)

    def _one(self) -> Selector:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail(f"no more than {_DEEPEST} brackets and ! in each other")
        try:
            if self._take("!"):
                inner = self._one()
                return lambda labels: not inner(labels)
            if self._take("("):
                found = self._either()
                self._need(")")
                return found
            return self._condition(self._word("a label, all(), has(label), ! or ("))
        finally:
            self._depth -= 1

    def _condition(self, word: str) -> Selector:
        if self._take("("):
            if word in ("all", "global"):
                self._need(")")
                return _everything
            if word != "has":
                self._fail("all(), global() or has(label)", back=2)
            label = self._word("a label")
            self._need(")")
            return lambda labels: label in labels
        if self._take("=="):
            text = self._quoted()
            return lambda labels: labels.get(word) == text
        if self._take("!="):
            text = self._quoted()
            return lambda labels: labels.get(word) != text
        return self._comparison(word, self._word("==, !=, in, not in, contains, starts with or ends with"))

    def _comparison(self, label: str, operator: str) -> Selector:
        if operator == "in":
            texts = self._texts()
            return lambda labels: labels.get(label) in texts
        if operator in ("not", "notin"):
            if operator == "not":
                self._need("in")
            texts = self._texts()
            return lambda labels: labels.get(label) not in texts
        if operator in ("starts", "ends"):
            self._need("with")
            operator += "with"
        test = _TESTS.get(operator)
        if test is None:
            self._fail("==, !=, in, not in, contains, starts with or ends with", back=1)
        text = self._quoted()
        return lambda labels: label in labels and test(labels[label], text)

    def _texts(self) -> frozenset[str]:
        self._need("{")
        texts: list[str] = []
        while not self._take("}"):
            texts.append(self._quoted())
            if not self._take(","):
                self._need("}")
                break
        return frozenset(texts)

    def _take(self, token: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][:2] in (("sign", token), ("word", token)):
            self._at += 1
            return True
        return False

    def _need(self, token: str) -> None:
        if not self._take(token):
            self._fail(token)

    def _word(self, expected: str) -> str:
        return self._next("word", expected)

    def _quoted(self) -> str:
        return self._next("quoted", "a text in quotes")[1:-1]

    def _next(self, kind: str, expected: str) -> str:
        if self._at == len(self._tokens) or self._tokens[self._at][0] != kind:
            self._fail(expected)
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _fail(self, expected: str, *, back: int = 0) -> NoReturn:
        at = self._at - back
        place = f"at {self._tokens[at][2]}" if at < len(self._tokens) else "at its end"
        raise ValueError(f"{self._text!r}: expected {expected} {place}")


def _everything(labels: Labels) -> bool:
    return True
