#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A daemon's control socket with invented peers, for the tests of the command line.

usage: fake_daemon.py SOCKET [--peers N] [--hostile] [--hang-up N]

Answers {"op":"status"} as taltund does. Peers and their figures depend on their number alone, but
for ages, which are in the middle of what they are rounded to. Counters grow by the same amount with
every answer, and so does the uptime, by a second. SIGUSR1: answers no more, until the next. --hostile: its texts
would do things to a terminal. --hang-up N: from the Nth answer on it takes calls and hangs up; each
is told on standard error.
"""
import argparse
import base64
import hashlib
import json
import os
import signal
import socket
import sys
import threading
import time

PATHS = ["direct", "punched", "relay_udp", "relay_tcp"]
WHY = {
    "relay_udp": "no check was answered: a firewall or NAT is in the way",
    "relay_tcp": "the peer has not told its addresses",
}
NAMES = ["berlin-gateway", "laptop", "a-node-with-a-very-long-name-in-the-data-centre-of-frankfurt",
         "büro-münchen", "東京-ゲートウェイ", "bad\x1b[31m\x07name\u202e", ""]


def key_of(i):
    return base64.b64encode(hashlib.sha256(b"peer %d" % i).digest()).decode()


def age_of(i):
    return [150, 5 * 60 + 30, 3 * 3600 + 1800, 12 * 86400 + 43200][i % 4]


def peer(i, tick, now):
    status = ["online"] * 5 + ["idle", "offline", "never"]
    status = status[i % 8]
    path = PATHS[(i // 3) % 4] if i % 3 else PATHS[0]
    online = status == "online"
    rate = (i * 7919) % 1000 * 1000 if online else 0
    name = NAMES[i % len(NAMES)]
    name = f"{name}-{i}" if name else None
    v6 = i % 11 == 5
    o = {
        "name": name, "public_key": key_of(i), "preshared_key": False, "status": status,
        "endpoint": None if status == "never" else
        f"[2001:db8:{i:x}::{i:x}]:51820" if v6 else f"198.51.{i // 250}.{i % 250}:{40000 + i}",
        "host": None, "path": path if status in ("online", "idle") else None,
        "last_handshake": None if status == "never" else int(now) - age_of(i),
        "handshakes": i, "handshake_rtt_us": None if status == "never" else 900 + 1000 * i,
        "tx_bytes": i * 1000003 + rate * tick, "rx_bytes": i * 3000017 + 2 * rate * tick,
        "tx_packets": i * 1000 + rate // 1000 * tick, "rx_packets": i * 3000 + rate // 500 * tick,
        "keepalive": 25, "allowed_ips": [f"10.0.{i // 250}.{i % 250}/32"],
    }
    if status == "never":
        o.update(tx_bytes=0, rx_bytes=0, tx_packets=0, rx_packets=0)
    if i % 16 == 3:  # not the hub's
        return o
    o.update({
        "node_id": i + 1, "role": "client", "at_hub": online, "path_rtt_us": 700 * i + 310 if online else None,
        "path_mtu": 1420 if online else None, "path_since_s": 120.5, "path_cause": None,
        "why_not_direct": WHY.get(path) if online else None,
    })
    return o


def hostile(value):
    """The same with an escape sequence in every text and every name of a member that is shown."""
    if isinstance(value, dict):
        return {k: {f"{r}\x1b[2J": n for r, n in v.items()} if k in ("drops", "refused")
                else v if k == "status" and isinstance(v, str) else hostile(v)
                for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return value + "\x1b]0;x\x07\x9b2J" if isinstance(value, str) else value


def status(args, tick, now):
    peers = [peer(i, tick, now) for i in range(args.peers)]
    return {
        "version": "0.1.0", "interface": os.path.basename(args.socket)[:-5], "mode": "config",
        "config_file": "/etc/taltun/tt0.toml", "up": True, "public_key": key_of(10**6),
        "listen_port": 51820, "fwmark": 0, "mtu": 1420, "restarts": 0,
        "uptime_s": 11100.0 + tick, "future_stamps": 0,
        "datapath": {
            "mode": "native copy", "mode_wanted": "auto", "poll": "adaptive",
            "aead": "ipsec-mb", "udp_gso": True, "udp_gro": True, "tun_vnet_hdr": True,
            "interfaces": [{"interface": "eth0", "mode": "native copy", "reason": "",
                            "nic_queues": 4, "queues": [{}, {}], "refused": {}},
                           {"interface": "eth1", "mode": "socket", "reason": "link is down",
                            "refused": {"native copy": "link is down",
                                        "zero-copy": "the driver e1000e has none"}}],
            "traffic": {"rx_packets": 120000 * tick, "rx_bytes": 150000000 * tick,
                        "rx_batches": 4000 * tick, "tx_packets": 40000 * tick,
                        "tx_bytes": 4000000 * tick, "tx_batches": 10000 * tick},
            "workers": [{"rx_packets": 60000 * tick, "rx_batches": 2000 * tick,
                         "tx_packets": 20000 * tick, "tx_batches": 5000 * tick,
                         "cpu_ns": 250000000 * w * tick, "hung": w == 3} for w in range(4)],
        },
        "drops": {"rx_replay": 17 + 12 * tick, "no_session": 4},
        "hub": {"host": "hub.example.com", "port": 443, "state": "up", "rtt_us": 12300,
                "why": None, "name": "gateway-1", "map_peers": args.peers,
                "reflexive_v4": "203.0.113.7:51820", "reflexive_v6": None},
        "peers": peers,
    }


class Daemon:
    def __init__(self, args):
        self.args, self.tick, self.silent = args, 0, False
        self.lock = threading.Lock()
        signal.signal(signal.SIGUSR1, self.toggle)
        signal.signal(signal.SIGTERM, lambda *_: self.end())

    def toggle(self, *_):
        self.silent = not self.silent

    def end(self):
        os.unlink(self.args.socket)
        os._exit(0)

    def answer(self, line):
        if json.loads(line).get("op") != "status":
            return {"v": 1, "ok": False, "kind": "request", "error": "unknown"}
        with self.lock:
            tick, self.tick = self.tick, self.tick + 1
        made = status(self.args, tick, time.time())
        if self.args.hostile:
            made = hostile(made)
        return {"v": 1, "ok": True, "status": made}

    def hangs_up(self):
        return 0 < self.args.hang_up <= self.tick

    def serve(self, client):
        with client, client.makefile("rw") as f:
            for line in f:
                if self.hangs_up():
                    break
                while self.silent:
                    time.sleep(0.05)
                f.write(json.dumps(self.answer(line)) + "\n")
                f.flush()

    def run(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.args.socket)
        listener.listen(8)
        while True:
            client, _ = listener.accept()
            print("call", file=sys.stderr, flush=True)
            if self.hangs_up():
                client.close()
                continue
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("socket")
    p.add_argument("--peers", type=int, default=200)
    p.add_argument("--hostile", action="store_true")
    p.add_argument("--hang-up", type=int, default=0)
    args = p.parse_args()
    try:
        Daemon(args).run()
    except OSError as e:
        sys.exit(f"fake_daemon: {e}")


main()
