"""Regular expressions over the text of an AS_PATH, in time linear in the path whatever the expression is.

The language is the one that routers have: `.`, `[...]`, `[^...]`, `*`, `+`, `?`, `{m,n}`, `|`, `(...)`, `^`, `$`, `\\`
before a character that stands for itself, and `_`: the beginning, the end, or one of `space , { } ( ) [ ]`. An
expression is searched for, so `_65001_` finds AS 65001 anywhere.

Python's own `re` backtracks: one careless expression and one long path of a neighbour, and the whole speaker
stands still. Here the sets of states that a path can lead to are followed, and remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ALPHABET = frozenset("0123456789 ,{}()[]")
SEPARATORS = frozenset(" ,{}()[]")
LONGEST = 1000
"""Characters of an expression."""
MOST_STATES = 2000
MOST_REPEATED = 255
DEEPEST = 50
_REMEMBERED = 2000


@dataclass(slots=True)
class _State:
    """One state: leads on with a character of `chars`, or freely (`free`), or freely at the start or the end."""

    chars: frozenset[str] = frozenset()
    to: int = -1
    free: list[int] = field(default_factory=list)
    at_start: int = -1
    at_end: int = -1


class Regular:
    """A compiled expression. ValueError, with what is wrong and where, for one that cannot be compiled."""

    def __init__(self, expression: str) -> None:
        if len(expression) > LONGEST:
            raise ValueError(f"an AS_PATH expression has at most {LONGEST} characters, not {len(expression)}")
        self.expression = expression
        made = _Parser(expression)
        self._states = made.states
        self._first, self._last = made.first, made.last
        self._moves: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._begin = self._closed({self._first}, start=True)

    def search(self, text: str) -> bool:
        """True when the expression is somewhere in the text."""
        now, moves, last = self._begin, self._moves, self._last
        for char in text:
            if last in now:
                return True
            key = (now, char)
            following = moves.get(key)
            if following is None:
                following = self._move(now, char)
                if len(moves) >= _REMEMBERED:
                    moves.clear()
                moves[key] = following
            now = following
        return last in now or last in self._closed(set(now), start=not text, end=True)

    def _move(self, now: frozenset[int], char: str) -> frozenset[int]:
        states = self._states
        # The search may begin behind any character, hence `first`.
        return self._closed({self._first, *(states[one].to for one in now if char in states[one].chars)})

    def _closed(self, among: set[int], *, start: bool = False, end: bool = False) -> frozenset[int]:
        """With all that can be reached without a character."""
        found = set(among)
        left = list(among)
        while left:
            state = self._states[left.pop()]
            nexts = list(state.free)
            if start and state.at_start >= 0:
                nexts.append(state.at_start)
            if end and state.at_end >= 0:
                nexts.append(state.at_end)
            for one in nexts:
                if one not in found:
                    found.add(one)
                    left.append(one)
        return frozenset(found)


class _Parser:
    """From the expression to states; each part has one state where it begins and one where it ends."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.states: list[_State] = []
        self.first, self.last = self._either()
        if self.position < len(text):
            raise self._wrong("a ) without its (")

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"{self.text!r} is no AS_PATH expression: {what}, at character {self.position + 1}")

    def _new(self) -> int:
        if len(self.states) >= MOST_STATES:
            raise self._wrong(f"it is too large ({MOST_STATES} states)")
        self.states.append(_State())
        return len(self.states) - 1

    def _peek(self) -> str:
        return self.text[self.position] if self.position < len(self.text) else ""

    def _either(self) -> tuple[int, int]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self._wrong(f"it nests deeper than {DEEPEST}")
        first, last = self._new(), self._new()
        while True:
            begin, end = self._sequence()
            self.states[first].free.append(begin)
            self.states[end].free.append(last)
            if self._peek() != "|":
                self.depth -= 1
                return first, last
            self.position += 1

    def _sequence(self) -> tuple[int, int]:
        first = last = self._new()
        while self._peek() not in ("", "|", ")"):
            begin, end = self._repeated()
            self.states[last].free.append(begin)
            last = end
        return first, last

    def _repeated(self) -> tuple[int, int]:
        start = self.position
        part = self._one()
        if self.text[start] in "^$_":  # nothing to repeat: a { behind it is that of an AS_SET
            if self._peek() and self._peek() in "*+?":
                raise self._wrong(f"{self._peek()} has nothing to repeat")
            return part
        stop = self.position
        while (bounds := self._bounds()) is not None:
            least, most = bounds
            after = self.position
            part = self._times(part, start, stop, least, most)
            self.position = stop = after
        return part

    def _bounds(self) -> tuple[int, int | None] | None:
        sign = self._peek()
        if sign and sign in "*+?":
            self.position += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        if sign != "{":
            return None
        inside, closing, _rest = self.text[self.position + 1 :].partition("}")
        low, comma, high = inside.partition(",")
        if not closing or not low.isdecimal() or not (high.isdecimal() or not high):
            raise self._wrong("{ is followed by how often, as in {2} or {1,3}; write \\{ for that of an AS_SET")
        least, most = int(low), int(high) if high else None if comma else int(low)
        if least > MOST_REPEATED or (most is not None and not least <= most <= MOST_REPEATED):
            raise self._wrong(f"{{{inside}}} is no range up to {MOST_REPEATED}; write \\{{ for that of an AS_SET")
        self.position += len(inside) + 2
        return least, most

    def _times(self, part: tuple[int, int], start: int, stop: int, least: int, most: int | None) -> tuple[int, int]:
        """The part that stands at [start, stop), so often; it is read again for each of its copies."""
        copies = [part]
        while len(copies) < max(least, 1 if most is None else most):
            copies.append(self._again(start, stop))
        first = last = self._new()
        for number, (begin, end) in enumerate(copies, 1):
            out = self._new()
            self.states[last].free.append(begin)
            self.states[end].free.append(out)
            if number > least:
                self.states[last].free.append(out)
            if most is None and number == len(copies):
                self.states[end].free.append(begin)
            last = out
        return (first, last) if most != 0 else (first, first)

    def _again(self, start: int, stop: int) -> tuple[int, int]:
        """Another copy of what stands there: one thing with the repetitions that it had by then."""
        self.position = start
        part = self._one()
        inner = self.position
        while self.position < stop:
            bounds = self._bounds()
            assert bounds is not None
            after = self.position
            part = self._times(part, start, inner, *bounds)
            self.position = inner = after
        return part

    def _one(self) -> tuple[int, int]:
        char = self._peek()
        self.position += 1
        if char == "(":
            part = self._either()
            if self._peek() != ")":
                raise self._wrong("a ( without its )")
            self.position += 1
            return part
        first, last = self._new(), self._new()
        state = self.states[first]
        if char == "^":
            state.at_start = last
        elif char == "$":
            state.at_end = last
        elif char == "_":
            state.at_start = state.at_end = state.to = last
            state.chars = SEPARATORS
        else:
            state.to = last
            state.chars = self._chars(char)
        return first, last

    def _chars(self, char: str) -> frozenset[str]:
        if char == ".":
            return ALPHABET
        if char == "[":
            return self._class()
        if char == "\\":
            char = self._peek()
            self.position += 1
            if not char:
                raise self._wrong("\\ at the end")
            return frozenset(char)
        if char in "*+?":
            self.position -= 1
            raise self._wrong(f"{char} has nothing to repeat")
        return frozenset(char)

    def _class(self) -> frozenset[str]:
        inverted = self._peek() == "^"
        self.position += inverted
        found: set[str] = set()
        begin = self.position
        while (char := self._peek()) != "]" or self.position == begin:
            if not char:
                raise self._wrong("a [ without its ]")
            self.position += 1
            if char == "\\" and self._peek():
                char = self._peek()
                self.position += 1
            high = self.text[self.position + 1 : self.position + 2]
            if self._peek() == "-" and high and high != "]":
                if high < char:
                    raise self._wrong(f"{char}-{high} is no range")
                self.position += 2
                found |= {one for one in ALPHABET if char <= one <= high}
            else:
                found.add(char)
        self.position += 1
        return ALPHABET - found if inverted else frozenset(found)
