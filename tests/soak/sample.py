# SPDX-License-Identifier: MIT
"""Looks at all processes of nodes and hub every few seconds; a line of JSON each time.

    sample.py LOG SECONDS NAME=PID[:INTERFACE]...

PID is one that lives in the namespaces of NAME: whatever of Taltun runs in that network namespace is
taken, so that engines which were killed are found again. With an interface `taltun status` is asked.
"""
import json
import os
import subprocess
import sys
import time

# comm has fifteen characters
ROLES = {"taltun-monitor": "monitor", "taltun-engine": "engine", "taltun-resolver": "resolver",
         "taltun-resolve": "resolver", "taltun-hub": "hub", "taltun-signer": "signer", "taltund": "monitor"}


def read(path):
    with open(path) as f:
        return f.read()


def number_after(text, word):
    for line in text.splitlines():
        if line.startswith(word):
            return int(line.split()[1])
    return 0


TABLE_KIB = 1024
tables = {}     # pid -> [(from, to)]: large mappings that a process had when it was first seen


def mappings(pid):
    """(from, to, KiB of it that are in memory and its own), of those without a name"""
    found = []
    for line in read(f"/proc/{pid}/smaps").splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            low, high = (int(x, 16) for x in words[0].split("-"))
            if len(words) == 5:
                found.append([low, high, 0])
            named = len(words) > 5
        elif words[0] == "Anonymous:" and not named:
            found[-1][2] = int(words[1])
    return found


def in_tables(pid):
    """KiB of what was allocated once at the start, and becomes memory page by page as it is used."""
    now = mappings(pid)
    if pid not in tables:
        tables[pid] = [(low, high) for low, high, _ in now if high - low >= TABLE_KIB * 1024]
    return sum(kib for low, high, kib in now
               if any(min(high, h) - max(low, l) >= TABLE_KIB * 1024 for l, h in tables[pid]))


def descriptors(pid):
    """Without those of /proc: the watchdog keeps one of each worker that it once had to look at."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("/proc/")
        except OSError:
            continue    # closed meanwhile
    return count


def processes(of_netns):
    found = []
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            role = ROLES.get(read(f"/proc/{pid}/comm").strip())
            node = role and of_netns.get(os.readlink(f"/proc/{pid}/ns/net"))
            if not node:
                continue
            status = read(f"/proc/{pid}/status")
            found.append({"node": node, "role": role, "pid": int(pid), "rss": number_after(status, "RssAnon:"),
                          "tables": in_tables(int(pid)), "data": number_after(status, "VmData:"),
                          "threads": number_after(status, "Threads:"),
                          "fds": descriptors(pid)})
        except OSError:
            continue    # gone meanwhile
    return found


def status(pid, interface):
    try:
        done = subprocess.run(["nsenter", "-t", pid, "-m", "-n", "--", "taltun", "status", "--json", interface],
                              capture_output=True, timeout=10, check=True)
        s = json.loads(done.stdout)[0]
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    # before a line of data comes what the daemon was told; that stays out
    return {"restarts": s["restarts"], "drops": s["drops"], "uptime": s["uptime_s"],
            "peers": [{"name": p["name"], "handshakes": p["handshakes"], "last": p["last_handshake"],
                       "status": p["status"], "path": p["path"]} for p in s["peers"]]}


def main():
    log, every = open(sys.argv[1], "a", buffering=1), float(sys.argv[2])
    nodes = {}
    for arg in sys.argv[3:]:
        name, _, where = arg.partition("=")
        pid, _, interface = where.partition(":")
        nodes[name] = (pid, interface)
    of_netns = {os.readlink(f"/proc/{pid}/ns/net"): name for name, (pid, _) in nodes.items()}
    while True:
        began = time.time()
        line = {"t": round(began, 3), "processes": processes(of_netns),
                "status": {n: status(pid, i) for n, (pid, i) in nodes.items() if i}}
        log.write(json.dumps(line) + "\n")
        time.sleep(max(0.1, began + every - time.time()))


main()
