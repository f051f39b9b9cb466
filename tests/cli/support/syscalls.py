# SPDX-License-Identifier: MIT
"""Prints those system calls of standard input that a unit forbids.

usage: syscalls.py SETS ALLOW DENY
SETS is what `systemd-analyze syscall-filter` printed; ALLOW and DENY are lines of SystemCallFilter.
The first line of ALLOW counts, then DENY, then the rest of ALLOW.
"""
import sys


def read_sets(path):
    sets, at = {}, None
    for line in open(path):
        word = line.strip()
        if line.startswith("@"):
            at = sets.setdefault(word, [])
        elif at is not None and line.startswith(" ") and word and not word.startswith("#"):
            at.append(word)
    return sets


def expand(sets, words):
    out = set()
    for word in words:
        out |= expand(sets, sets[word]) if word.startswith("@") else {word}
    return out


sets = read_sets(sys.argv[1])
first, *later = sys.argv[2].split("\n")
# systemd always lets in what a process needs to begin and to end
allowed = expand(sets, first.split() + ["@default"]) - expand(sets, sys.argv[3].split())
allowed |= expand(sets, " ".join(later).split())
for line in sys.stdin:
    if line.strip() not in allowed:
        print(line.strip())
