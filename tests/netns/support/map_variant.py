#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# Makes another cached map (docs/protocol-hub.md, "Cached form") of one that a node has kept.
#
# usage: map_variant.py KIND FROM TO < private key in base64
import base64
import hashlib
import os
import struct
import sys

VALID_UNTIL = 16 + 16  # behind magic, format, length, epoch and version
MAC = 32


def main():
    kind, source, to = sys.argv[1:]
    key = hashlib.blake2s(b"taltun map cache v1", key=base64.b64decode(sys.stdin.read().strip())).digest()
    data = bytearray(open(source, "rb").read())

    def sealed(body):
        return bytes(body) + hashlib.blake2s(bytes(body), key=key).digest()

    assert sealed(data[:-MAC]) == bytes(data), "the file is not this key's"
    if kind == "flipped":
        data[len(data) // 2] ^= 1
    elif kind == "truncated":
        data = data[:-40]
    elif kind == "empty":
        data = b""
    elif kind == "random":
        data = os.urandom(1 << 20)
    elif kind == "newer":
        data[8:10] = struct.pack(">H", 2)
        data = sealed(data[:-MAC])
    elif kind == "expired":
        data[VALID_UNTIL : VALID_UNTIL + 8] = struct.pack(">Q", 1_700_000_000)
        data = sealed(data[:-MAC])
    elif kind != "same":
        sys.exit("which?")
    with open(to, "wb") as f:
        f.write(data)


main()
