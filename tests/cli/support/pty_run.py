#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program on a terminal of its own and says how it left it.

usage: pty_run.py ACTION... -- COMMAND...

Actions, in order: wait:TEXT until it was printed, key:TEXT typed, signal:NAME sent, resize:COLUMNSxROWS,
hangup (the terminal goes away), exec:SHELL COMMAND run here. Each waits 20 seconds at most. Prints
JSON: status (negative: by that signal), restored (settings as before), left (the alternate screen),
cursor (is shown), output after the last screen.
"""
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import fcntl
import time

SECONDS = 20


class Terminal:
    def __init__(self, command):
        self.master, self.slave = pty.openpty()
        self.size(80, 24)
        self.before = termios.tcgetattr(self.slave)
        self.out = b""
        self.child = subprocess.Popen(command, stdin=self.slave, stdout=self.slave,
                                      stderr=self.slave, preexec_fn=self.session)
    @staticmethod
    def session():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds):
        if self.master is None:
            time.sleep(min(seconds, 0.05))
            return
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.out += os.read(self.master, 65536)
            except OSError:
                time.sleep(0.02)

    def until(self, done, what):
        end = time.monotonic() + SECONDS
        while not done():
            if time.monotonic() > end:
                self.child.kill()
                sys.exit(f"pty_run: no {what} within {SECONDS} s; output: {self.out[-2000:]!r}")
            self.read(0.05)

    def act(self, action):
        verb, _, text = action.partition(":")
        if verb == "wait":
            self.until(lambda: text.encode() in self.out, text)
            self.out = self.out[self.out.rindex(text.encode()) + len(text.encode()):]
        elif verb == "key":
            os.write(self.master, text.encode().decode("unicode_escape").encode())
        elif verb == "signal":
            self.child.send_signal(getattr(signal, "SIG" + text))
        elif verb == "resize":
            self.size(*map(int, text.split("x")))
        elif verb == "exec":
            subprocess.run(text, shell=True, check=True)
        elif verb == "hangup":
            os.close(self.slave)
            os.close(self.master)
            self.master = None
        else:
            sys.exit(f"pty_run: unknown action {action}")

    def finish(self):
        self.until(lambda: self.child.poll() is not None, "end")
        result = {"status": self.child.returncode}
        if self.master is not None:
            for _ in range(3):
                self.read(0.02)
            left = self.out.rfind(b"\x1b[?1049l")
            result.update(
                restored=termios.tcgetattr(self.slave) == self.before,
                left=left >= 0 and self.out.rfind(b"\x1b[?1049h") < left,
                cursor=self.out.rfind(b"\x1b[?25l") < self.out.rfind(b"\x1b[?25h"),
                after=self.out[left + 8 if left >= 0 else 0:].decode(errors="replace"))
        print(json.dumps(result))


def main():
    split = sys.argv.index("--")
    t = Terminal(sys.argv[split + 1:])
    for action in sys.argv[1:split]:
        t.act(action)
    t.finish()


main()
