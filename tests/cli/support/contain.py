#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program as a container runtime would: contain.py ROOT USER CAPS MEMLOCK_KIB PROGRAM [ARG]...

ROOT becomes the root, CAPS (NET_ADMIN,KILL or -) are all that a process of it can ever have, nothing is
gained by executing, standard input stays. Mounts and namespaces are the caller's.
"""
import ctypes
import os
import resource
import sys

NUMBERS = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "KILL": 5, "SETGID": 6, "SETUID": 7, "NET_BIND_SERVICE": 10,
    "NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_ADMIN": 21, "PERFMON": 38, "BPF": 39,
}
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
libc = ctypes.CDLL(None, use_errno=True)


def prctl(*args):
    if libc.prctl(*args, *[0] * (5 - len(args))) < 0:
        raise OSError(ctypes.get_errno(), "prctl")


def keep_rights(kept):
    with open("/proc/sys/kernel/cap_last_cap") as f:
        last = int(f.read())
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for n in range(last + 1):
        if n not in kept:
            prctl(PR_CAPBSET_DROP, n)


def set_own(kept):
    """Effective and permitted; nothing is inheritable."""
    words = [sum(1 << n for n in kept) >> 32 * i & 0xFFFFFFFF for i in range(2)]
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(words[0], words[0], 0, words[1], words[1], 0)
    if libc.capset(header, data) < 0:
        raise OSError(ctypes.get_errno(), "capset")


def limit_memlock(wanted):
    """As much of it as whoever runs this may give."""
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (wanted, wanted))


def main():
    root, user, caps, memlock, *command = sys.argv[1:]
    kept = {NUMBERS[c] for c in caps.split(",")} if caps != "-" else set()
    keep_rights(kept)
    os.chroot(root)
    os.chdir("/")
    limit_memlock(int(memlock) << 10)
    uid = int(user.split(":")[0])
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if uid == 0:
        set_own(kept)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    env = {k: v for k, v in os.environ.items() if k.startswith("TALTUN_")}
    env["PATH"] = "/usr/sbin:/usr/bin"
    os.execve(command[0], command, env)


main()
