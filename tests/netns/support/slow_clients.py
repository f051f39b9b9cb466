#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# slow_clients.py ADDRESS PORT COUNT: so many connections that send the beginning of a TLS handshake
# byte by byte, one byte every two seconds each, from many addresses of 127/8. Says "open N" when they are.
import socket
import sys
import time

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hello = bytes.fromhex("16030102000100") + b"\x01" * 200
socks = []
for i in range(count):
    s = socket.socket()
    s.bind(("127.1.%d.%d" % (i // 50 // 250, i // 50 % 250 + 1), 0))
    s.connect((address, port))
    s.setblocking(False)
    socks.append(s)
    if i % 50 == 49:
        time.sleep(0.02)
print("open", len(socks), flush=True)
at = 0
while socks:
    alive = []
    for n, s in enumerate(socks):
        try:
            s.send(hello[at : at + 1])
            alive.append(s)
        except OSError:
            s.close()
        if n % 20 == 19:
            time.sleep(0.04)
    socks = alive
    at = (at + 1) % len(hello)
print("closed", flush=True)
