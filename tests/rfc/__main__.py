"""`python -m tests.rfc` writes docs/rfc.md; `python -m tests.rfc prove [--again] [PATH…]` proves the marks first;
`python -m tests.rfc check` writes nothing and tells whether the page and the proof are of today's tests and code.

Exit status 1: a mark is wrong or a test does not count. Each is named, as is every section without a test.
"""

from __future__ import annotations

import sys

from tests.rfc.marks import MarkError, collect
from tests.rfc.page import PAGE, page, unknown_sections, without_test
from tests.rfc.prove import prove_all, read_proof, stale


def main(arguments: list[str]) -> int:
    paths = [word for word in arguments if word not in ("prove", "check", "--again")]
    try:
        marks = collect(paths or ["tests"])
    except MarkError as error:
        print(error, file=sys.stderr)
        return 1
    if paths:
        prove_all(marks, again="--again" in arguments, keep=True)
        return 0
    proof = prove_all(marks, again="--again" in arguments) if "prove" in arguments else read_proof()
    text = page(marks, proof)
    wrong = [f"no such section: {words}" for words in unknown_sections(marks)]
    wrong += [f"not proved as it is now: {name}" for name in stale(marks, proof)]
    if "check" not in arguments:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        wrong.append("docs/rfc.md is not what it would be made now")
    wrong += [f"does not count ({verdict['why']}): {name}" for name, verdict in proof.items() if not verdict["counts"]]
    untested = without_test(marks, proof)
    print(*wrong, *(f"no test: {words}" for words in untested), sep="\n")
    print(f"{PAGE.name}: {len(marks)} marks, {len(untested)} sections without a test, {len(wrong)} to be mended")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
