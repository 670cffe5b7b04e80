"""A new family is one file and one name in a list: done in a copy of the package, and used in a session there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

NEW_FILE = '''
"""MAC addresses: an address family of this test alone."""

from pybgp.family import Family
from pybgp.messages.nlri.base import InvalidNlri, NlriCodec


def cut(field):
    if len(field) % 6:
        raise InvalidNlri(f"{len(field)} octets are no addresses of 6 octets")
    return [field[at : at + 6] for at in range(0, len(field), 6)]


def cut_add_path(field):
    if len(field) % 10:
        raise InvalidNlri(f"{len(field)} octets are no addresses with path identifiers")
    entries = [field[at : at + 10] for at in range(0, len(field), 10)]
    return [one[4:] for one in entries], [int.from_bytes(one[:4]) for one in entries]


def read(text):
    return bytes.fromhex(text.replace(":", ""))


MAC = NlriCodec(Family(16398, 241), cut, cut_add_path, frozenset({4}), show=lambda key: key.hex(":"), read=read)
'''

USE = """
import json
from pybgp.app.lines import decode_line, encode_line
from pybgp.app.message_text import message_text
from pybgp.family import Family
from pybgp.messages import CodecContext
from pybgp.messages.attributes.path_attributes import AttributePool, PathAttributes
from pybgp.messages.update_writer import encode_reach
from pybgp.prefix import Prefix
from tests.network import Net

import pybgp.messages.nlri.mac as new
assert new.__file__.startswith(ROOT), new.__file__
family = Family.parse("afi16398-safi241")
key = Prefix.read(family, "02:00:5e:00:53:01").nlri
context = CodecContext(four_octet_as=True, internal=True, families=frozenset({family}))
(message,) = encode_reach(family, [key], PathAttributes.build(local_pref=1, next_hop="192.0.2.1"), context)
value = decode_line(message.hex().encode(), context, AttributePool())
(reached,) = [one["value"] for one in value["attributes"] if one["name"] == "mp_reach"]
assert reached["nlri"] == ["02:00:5e:00:53:01"], reached
assert encode_line(json.dumps(value).encode(), context) == message.hex()
assert "afi16398-safi241 via 192.0.2.1: 02:00:5e:00:53:01" in message_text(value), message_text(value)

net = Net()
a, b, c = (net.node(f"10.0.0.{number}") for number in (1, 2, 3))
for client in (a, c):
    client.add(b, families=(family,))
    b.add(client, families=(family,), route_reflector_client=True)
a.router.announce(family, [key], PathAttributes.build())
net.run(5)
assert c.table() == {"02:00:5e:00:53:01": "10.0.0.2"}, c.table()
a.router.withdraw(family, [key])
net.run(1)
assert c.table() == {}
print("used")
"""


def test_one_file_and_one_name(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pybgp", tmp_path / "pybgp", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    for name in ("__init__.py", "network.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    nlri = tmp_path / "pybgp/messages/nlri"
    (nlri / "mac.py").write_text(NEW_FILE)
    listing = nlri / "__init__.py"
    text, count = re.subn(r"(FAMILIES: [^=]*= \()", r"\1MAC, ", listing.read_text())
    assert count == 1
    text = text.replace(
        "from pybgp.messages.nlri.unicast", "from pybgp.messages.nlri.mac import MAC\nfrom pybgp.messages.nlri.unicast"
    )
    listing.write_text(text)
    program = f"ROOT = {str(tmp_path)!r}\nimport sys\nsys.path.insert(0, ROOT)\n" + USE
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "used\n", done.stderr
