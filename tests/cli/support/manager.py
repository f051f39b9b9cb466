# SPDX-License-Identifier: MIT
"""A service manager's ear: prints each line that comes to the socket SOCKET."""
import os
import socket
import sys

ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
ear.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
while True:
    print(ear.recv(4096).decode(), flush=True)
