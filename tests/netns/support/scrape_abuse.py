#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# What a hostile scraper does to 127.0.0.1:PORT, each kind of client from an address of its own so
# that the limit of one does not hide the others:
#
#   scrape_abuse.py drip PORT SECONDS      half requests and a byte now and then; never reads
#   scrape_abuse.py flood PORT REQUESTS SECONDS    as many GET /metrics as go, one connection each
#   scrape_abuse.py odd PORT               huge headers, wrong methods, garbage, early ends
import socket
import sys
import time


def dial(source, port, timeout=5.0):
    s = socket.socket()
    s.settimeout(timeout)
    s.bind((source, 0))
    s.connect(("127.0.0.1", port))
    return s


def hear(s):
    got = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                break
            got += part
    except OSError:
        pass
    return got


def drip(port, seconds):
    end = time.time() + seconds
    socks = []
    while time.time() < end:
        if len(socks) < 24:
            try:
                s = dial("127.0.0.%d" % (10 + len(socks) % 3), port)
                s.setblocking(False)
                # every other one asks for all of it and does not read
                s.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n" + (b"\r\n" if len(socks) % 2 else b"X"))
                socks.append(s)
            except OSError:
                time.sleep(0.02)
        for s in list(socks):
            try:
                s.send(b"x")
            except BlockingIOError:
                pass
            except OSError:
                s.close()
                socks.remove(s)
        time.sleep(0.05)


def flood(port, requests, seconds):
    end = time.time() + seconds
    done = refused = 0
    while done + refused < requests and time.time() < end:
        try:
            s = dial("127.0.0.2", port)
            s.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            got = hear(s)
            s.close()
        except OSError:
            got = b""
        if got.startswith(b"HTTP/1.1 200"):
            done += 1
        else:
            refused += 1
    print(done, refused)


ODD = [
    (b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello", b"405"),
    (b"DELETE /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"405"),
    (b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"405"),
    (b"GET /etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"404"),
    (b"GET /../../metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"404"),
    (b"GET http://127.0.0.1/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"404"),
    (b"GET /metrics HTTP/1.1\r\nHost: rebound.example\r\n\r\n", b"421"),
    (b"GET /metrics HTTP/7.0\r\nHost: 127.0.0.1\r\n\r\n", b"505"),
    (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 65536 + b"\r\n\r\n", None),
    (b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", None),
    (b"GET /metrics HTTP/1.1\r\n" + b"H: a\r\n" * 5000 + b"\r\n", None),
    (b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
     b"Content-Length: 3\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n", None),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + b"\x00" * 300, None),
    (b"\x00" * 4096, None),
    (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 50, b"200"),
]


def odd(port):
    wrong = 0
    for request, want in ODD:
        s = dial("127.0.0.3", port, 15)
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got = hear(s)
        s.close()
        status = got[9:12]
        if (want and status != want) or (not want and status == b"200"):
            print("wrong: %r got %r, wanted %r" % (request[:60], status, want))
            wrong += 1
    for _ in range(200):
        s = dial("127.0.0.3", port)
        s.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        s.close()
    sys.exit(wrong)


kind, port = sys.argv[1], int(sys.argv[2])
if kind == "drip":
    drip(port, float(sys.argv[3]))
elif kind == "flood":
    flood(port, int(sys.argv[3]), float(sys.argv[4]))
else:
    odd(port)
