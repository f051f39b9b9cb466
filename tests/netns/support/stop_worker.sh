# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced after lib.sh: stops one thread of a process, not the process.
#
#   stop_worker NS PID NAME SECONDS    the thread whose name starts with NAME; 1 where it cannot
#   resume_worker                      before its time; stopped_ms is how long it really was stopped

cat >"$TT_WORK/stop.py" <<'PY'
import ctypes, os, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
pid = sys.argv[1]
tid = next(int(t) for t in os.listdir(f"/proc/{pid}/task")
           if open(f"/proc/{pid}/task/{t}/comm").read().startswith(sys.argv[2]))
SEIZE, INTERRUPT = 0x4206, 0x4207
if libc.ptrace(SEIZE, tid, None, None) or libc.ptrace(INTERRUPT, tid, None, None):
    sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")
enough = []
signal.signal(signal.SIGTERM, lambda *a: enough.append(1))
print("stopped", flush=True)
begin = time.monotonic()
end = begin + float(sys.argv[3])
while time.monotonic() < end and not enough:  # a thread that was killed is reaped by whoever traces it
    os.waitpid(tid, 0x40000000 | os.WNOHANG)
    time.sleep(0.05)
libc.ptrace(0x11, tid, None, None)  # DETACH
print("ms", int((time.monotonic() - begin) * 1000), flush=True)
PY

stop_worker() {
	: >"$TT_WORK/stop.txt"
	bg_ns "$1" "$TT_WORK/stop.txt" python3 "$TT_WORK/stop.py" "$2" "$3" "$4"
	stop_pid=$BG_PID
	wait_for 20 grep -q stopped "$TT_WORK/stop.txt" && return 0
	skip "cannot stop a thread: $(tail -n 1 "$TT_WORK/stop.txt")"
	return 1
}

resume_worker() {
	kill_pids 2 "$stop_pid"
	stopped_ms=$(awk '/^ms / { print $2 }' "$TT_WORK/stop.txt")
	stopped_ms=${stopped_ms:-10000}
}
