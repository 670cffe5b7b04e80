"""Rules as a person writes them at a shell, and as `rule show` prints them.

    (allow|deny) [ipv4|ipv6] [PROTOCOL [type N [code N]]] [from [ports P] [tag T] [CIDR]] [to [ports P] [tag T] [CIDR]]

    allow tcp from ports 1,2 tag X 10.0.0.0/8 to ports 80 tag Y

Ports are `80`, `1,2,3:4` or `3-4`. `ipv4` and `ipv6` are ours; v0.4.9 had no word for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .model import PROTOCOLS, Rule
from .rules import RulesError, read_rule, write_rule

_GRAMMAR = (
    "(allow|deny) [ipv4|ipv6] [PROTOCOL [type N [code N]]] "
    "[from [ports P] [tag T] [CIDR]] [to [ports P] [tag T] [CIDR]]"
)


def parse_rule(words: str | Sequence[str]) -> Rule:
    """The rule that a text, or the words of a command line, stand for. RulesError says what is expected."""
    return _Words(words.split() if isinstance(words, str) else list(words)).parse()


def format_rule(rule: Rule) -> str:
    """The text of a rule. Unsayable for one which v0.4.9 has no words for."""
    said = write_rule(rule)
    words = [said["action"]]
    if "ip_version" in said:
        words.append(f"ipv{said['ip_version']}")
    if "protocol" in said:
        words.append(str(said["protocol"]))
    for word, key in (("type", "icmp_type"), ("code", "icmp_code")):
        if key in said:
            words += [word, str(said[key])]
    for word, prefix in (("from", "src"), ("to", "dst")):
        side = []
        if f"{prefix}_ports" in said:
            side += ["ports", ",".join(map(str, said[f"{prefix}_ports"]))]
        if f"{prefix}_tag" in said:
            side += ["tag", said[f"{prefix}_tag"]]
        if f"{prefix}_net" in said:
            side.append(said[f"{prefix}_net"])
        if side:
            words += [word, *side]
    return " ".join(words)


class _Words:
    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0

    def parse(self) -> Rule:
        found: dict[str, Any] = {}
        action = self._next("allow or deny")
        if action.lower() not in ("allow", "deny"):
            raise RulesError(f"{action!r}: a rule begins with allow or deny; it is {_GRAMMAR}")
        found["action"] = action
        for version in (4, 6):
            if self._take(f"ipv{version}"):
                found["ip_version"] = version
        word = self._peek()
        if word is not None and word.lower() not in ("from", "to"):
            if word.lower() not in PROTOCOLS and not word.isdigit():
                raise RulesError(f"{word!r}: no protocol; there are {', '.join(PROTOCOLS)} and numbers from 1 to 255")
            found["protocol"] = self._next("a protocol")
            if self._take("type"):
                found["icmp_type"] = self._number("type")
                if self._take("code"):
                    found["icmp_code"] = self._number("code")
        if self._take("from"):
            self._side("src", found)
        if self._take("to"):
            self._side("dst", found)
        if self._peek() is not None:
            raise RulesError(f"{self._peek()!r} is not expected here; a rule is {_GRAMMAR}")
        return read_rule(found)

    def _side(self, prefix: str, found: dict[str, Any]) -> None:
        began = self._at
        if self._take("ports"):
            found[f"{prefix}_ports"] = list(self._next("ports such as 80,8000:8010").split(","))
        if self._take("tag"):
            found[f"{prefix}_tag"] = self._next("a tag")
        word = self._peek()
        if word is not None and word.lower() != "to":
            found[f"{prefix}_net"] = self._next("a CIDR")
        if self._at == began:
            raise RulesError(f"{self._words[began - 1]!r}: expected ports, tag or a CIDR behind it")

    def _number(self, what: str) -> int:
        word = self._next(f"a number behind {what}")
        if not (word.isascii() and word.isdigit() and len(word) <= 3):
            raise RulesError(f"{word!r}: expected a number behind {what}")
        return int(word)

    def _peek(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _take(self, word: str) -> bool:
        found = self._peek()
        if found is not None and found.lower() == word:
            self._at += 1
            return True
        return False

    def _next(self, what: str) -> str:
        found = self._peek()
        if found is None:
            raise RulesError(f"the rule ends where {what} is expected; it is {_GRAMMAR}")
        self._at += 1
        return found
