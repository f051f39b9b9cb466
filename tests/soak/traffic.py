# SPDX-License-Identifier: MIT
"""Gentle traffic for hours: one TCP connection and datagrams, each byte checked.

    traffic.py serve PORT                     echoes both
    traffic.py run FLOW ADDRESS PORT LOG KBYTES_A_SECOND

A line of JSON per second goes to LOG: what was sent, what came back, what was wrong. Gaps have lines
of their own: of datagrams in time of sending from the first that was not answered to the next that
was, so that a busy machine alone makes none; of TCP in time without a byte.
"""
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import zlib

BLOCK = 1024            # of TCP: number, pattern, checksum
PATTERN = os.urandom(8192)
UDP_EVERY = 0.05        # seconds
UDP_SIZES = (48, 200, 512, 1000, 1300)
UDP_PATIENCE = 3.0      # what is not answered by then is lost
UDP_GAP = 10            # datagrams in a row make a gap
TCP_GAP = 3.0           # seconds
WINDOW = 256            # TCP blocks under way


def message(number, size):
    body = struct.pack("!Q", number) + PATTERN[number % 4096:][:size - 12]
    return body + struct.pack("!I", zlib.crc32(body))


def number_of(data):
    """Its number, or None where a byte is wrong."""
    if len(data) < 12 or struct.unpack("!I", data[-4:])[0] != zlib.crc32(data[:-4]):
        return None
    return struct.unpack("!Q", data[:8])[0]


def serve(port):
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("", port))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(16)
    waiting = {}        # connection -> bytes to be sent back
    print("ready", flush=True)
    while True:
        # whoever has much to take is read no more
        readers = [udp, listener] + [c for c, b in waiting.items() if len(b) < 4 * BLOCK * WINDOW]
        writers = [c for c, b in waiting.items() if b]
        readable, writable, _ = select.select(readers, writers, [])
        for s in readable:
            if s is udp:
                data, source = s.recvfrom(65535)
                try:
                    s.sendto(data, source)
                except OSError:
                    pass
            elif s is listener:
                c, _ = s.accept()
                c.setblocking(False)
                waiting[c] = bytearray()
            else:
                serve_read(s, waiting)
        for s in writable:
            if s in waiting:
                serve_write(s, waiting)


def serve_read(s, waiting):
    try:
        data = s.recv(65536)
    except BlockingIOError:
        return
    except OSError:
        data = b""
    if data:
        waiting[s] += data
    else:
        del waiting[s]
        s.close()


def serve_write(s, waiting):
    try:
        del waiting[s][:s.send(waiting[s][:65536])]
    except BlockingIOError:
        pass
    except OSError:
        del waiting[s]
        s.close()


class Log:
    def __init__(self, path, flow):
        self.file, self.flow = open(path, "a", buffering=1), flow

    def write(self, kind, **fields):
        self.file.write(json.dumps({"t": round(time.time(), 3), "flow": self.flow, "kind": kind, **fields}) + "\n")


class Datagrams:
    def __init__(self, to, log):
        self.log, self.to = log, to
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.next, self.judged = 0, 0
        self.sent_at, self.answered = {}, set()
        self.run, self.run_from = 0, 0
        self.sent = self.got = self.bad = self.twice = self.lost = 0
        self.due = time.time()

    def send(self, now):
        # a machine that was busy does not make a burst
        self.due = max(self.due + UDP_EVERY, now)
        try:
            self.socket.sendto(message(self.next, UDP_SIZES[self.next % len(UDP_SIZES)]), self.to)
        except OSError:
            pass        # not answered, then
        self.sent_at[self.next] = now
        self.next += 1
        self.sent += 1

    def receive(self):
        while True:
            try:
                number = number_of(self.socket.recv(65535))
            except OSError:
                return
            if number is None:
                self.bad += 1
            elif number in self.answered:
                self.twice += 1
            elif number in self.sent_at:
                self.answered.add(number)
                self.got += 1

    def judge(self, now):
        while self.judged < self.next and self.sent_at[self.judged] < now - UDP_PATIENCE:
            at = self.sent_at.pop(self.judged)
            if self.judged in self.answered:
                self.answered.discard(self.judged)
                if self.run >= UDP_GAP:
                    self.log.write("udp_gap", since=round(self.run_from, 3), until=round(at, 3), lost=self.run)
                self.run = 0
            else:
                self.lost += 1
                if not self.run:
                    self.run_from = at
                self.run += 1
            self.judged += 1


class Stream:
    def __init__(self, to, log, rate):
        self.log, self.to, self.rate = log, to, rate
        self.resets, self.bytes, self.bad = 0, 0, 0
        self.socket = None
        self.connect(time.time())

    def connect(self, now):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.connected = False
        self.sent = self.received = 0
        self.out, self.back = b"", bytearray()
        self.due, self.heard = now, now
        if self.socket.connect_ex(self.to) not in (0, errno.EINPROGRESS):
            self.broken(now, "connect")

    def broken(self, now, why):
        # a connection that never stood is not one that was lost
        if self.connected:
            self.resets += 1
            self.log.write("tcp_reset", why=str(why))
        self.socket.close()
        self.socket, self.due = None, now + 1

    def wants_to_write(self, now):
        return self.out or not self.connected or \
            (now >= self.due and self.sent - self.received < WINDOW)

    def write(self, now):
        if not self.connected:
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.broken(now, os.strerror(error))
                return
            self.connected, self.heard = True, now
        if not self.out and now >= self.due and self.sent - self.received < WINDOW:
            self.out = message(self.sent, BLOCK)
            self.sent += 1
            self.due = max(self.due + BLOCK / self.rate, now - 1)
        try:
            self.out = self.out[self.socket.send(self.out):]
        except BlockingIOError:
            pass
        except OSError as e:
            self.broken(now, e)

    def read(self, now):
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as e:
            self.broken(now, e)
            return
        if not data:
            self.broken(now, "closed")
            return
        if self.received and now - self.heard > TCP_GAP:
            self.log.write("tcp_gap", since=round(self.heard, 3), until=round(now, 3))
        self.heard = now
        self.back += data
        self.bytes += len(data)
        while len(self.back) >= BLOCK:
            if number_of(self.back[:BLOCK]) != self.received:
                self.bad += 1
            del self.back[:BLOCK]
            self.received += 1


def run(flow, address, port, path, kbytes):
    log = Log(path, flow)
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    udp = Datagrams((address, port), log)
    tcp = Stream((address, port), log, kbytes * 1000)
    told = 0
    while not ending:
        now = time.time()
        if now >= udp.due:
            udp.send(now)
        if not tcp.socket and now >= tcp.due:
            tcp.connect(now)
        reads, writes = [udp.socket], []
        if tcp.socket:
            reads.append(tcp.socket)
            if tcp.wants_to_write(now):
                writes.append(tcp.socket)
        readable, writable, _ = select.select(reads, writes, [], max(0.001, min(udp.due, tcp.due if not writes and tcp.due > now else udp.due) - now))
        now = time.time()
        udp.receive()
        udp.judge(now)
        if tcp.socket in readable and tcp.socket:
            tcp.read(now)
        if tcp.socket in writable and tcp.socket:
            tcp.write(now)
        if now - told >= 1:
            told = now
            log.write("sum", udp_sent=udp.sent, udp_got=udp.got, udp_lost=udp.lost, udp_bad=udp.bad,
                      udp_twice=udp.twice, udp_silent=round(udp.run * UDP_EVERY, 2), tcp_bytes=tcp.bytes,
                      tcp_bad=tcp.bad, tcp_resets=tcp.resets,
                      tcp_silent=round(now - tcp.heard, 2) if tcp.socket and tcp.connected else 0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(int(sys.argv[2]))
    else:
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], float(sys.argv[6]))
