# SPDX-License-Identifier: MIT
"""How long from exec() of a daemon to the first answer through its tunnel, in milliseconds.

    first_packet.py echo ADDRESS PORT                  the far end; says "ready"
    first_packet.py start ADDRESS PORT LOG COMMAND...  starts COMMAND, asks every half millisecond,
                                                       prints {"up_ms", "first_ms", "pid"}

up_ms: a datagram is taken by the route into the tunnel. first_ms: the answer to one is here. The
command lives on.
"""
import json
import os
import socket
import subprocess
import sys
import time


def echo(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    print("ready", flush=True)
    while True:
        data, source = s.recvfrom(2048)
        try:
            s.sendto(data, source)
        except OSError:
            pass


def start(address, port, log, command):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.0005)
    up = None
    with open(log, "a") as out:
        began = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        while time.monotonic() < began + 30:
            try:
                s.sendto(b"first", (address, port))
                up = up or time.monotonic()
                s.recv(64)
            except TimeoutError:
                continue
            except OSError:     # no route yet
                time.sleep(0.0005)
                continue
            now = time.monotonic()
            print(json.dumps({"up_ms": (up - began) * 1000, "first_ms": (now - began) * 1000, "pid": child.pid}))
            return 0
    child.kill()
    return 1


if sys.argv[1] == "echo":
    echo(sys.argv[2], int(sys.argv[3]))
else:
    status = start(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
    sys.stdout.flush()
    os._exit(status)    # without waiting for the daemon
