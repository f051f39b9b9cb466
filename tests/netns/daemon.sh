#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The daemon seen from outside: when it returns, what it says, who its processes are, and what is
# left of it after every way to end. One namespace, no peer.
. "$(dirname "$0")/lib.sh"

need_root
need_commands wg ip pgrep
need_taltund
ns_add a
in_ns a ip link set lo up
IF=$(ifname d)
SOCK=/var/run/wireguard/$IF.sock

monitor_pid() {
	in_ns a cat "/run/taltun/$IF.lock" 2>/dev/null
}
child_pid() { # NAME
	pgrep -P "$(monitor_pid)" -x "taltun-$1"
}
link_index() {
	in_ns a cat "/sys/class/net/$IF/ifindex" 2>/dev/null || ip -n "$(ns_name a)" -o link show "$IF" | cut -d: -f1
}
nothing_left() {
	! in_ns a ip link show "$IF" && ! in_ns a test -e "$SOCK" &&
		! in_ns a test -e "/run/taltun/$IF.sock" && ! in_ns a test -e "/run/taltun/$IF.lock"
}
status_of() { # CMD...: its exit status, output kept in $TT_WORK/out
	"$@" >"$TT_WORK/out" 2>&1
	echo $?
}
status_field() { # PID FIELD
	awk -v f="$2:" '$1 == f { print $2 }' "/proc/$1/status"
}
since_ms() {
	echo $(((${EPOCHREALTIME/[.,]/} - $1) / 1000))
}

# --- words and exit statuses ---------------------------------------------------------------------

equal "--help" 0 "$(status_of taltund --help)"
check "--help tells the exit statuses" grep -q '78  ' "$TT_WORK/out"
equal "--version" 0 "$(status_of taltund --version)"
equal "no argument is wrong usage" 2 "$(status_of taltund)"
equal "two names are wrong usage" 2 "$(status_of taltund one two)"
equal "unknown flag" 2 "$(status_of taltund --no-such-flag wg0)"
equal "a name with a slash" 2 "$(status_of taltund a/b)"
equal "--set without =" 2 "$(status_of taltund --set x wg0)"
equal "--log-level loud" 2 "$(status_of taltund --log-level loud wg0)"
equal "a log file that cannot be" 1 "$(status_of in_ns a taltund --log-file /no/such/dir/x "$IF")"

# --- start ----------------------------------------------------------------------------------------

# The pipe ends only when nobody holds it any more.
equal "piped start returns" ok "$(in_ns a timeout 10 taltund "$IF" | cat && echo ok)"
check "serves when it returns" in_ns a wg show "$IF"
check "interface is there" in_ns a ip link show "$IF"
equal "mode of the WireGuard socket" 600 "$(in_ns a stat -c %a "$SOCK")"
equal "mode of the control socket" 600 "$(in_ns a stat -c %a "/run/taltun/$IF.sock")"
for p in engine resolver; do
	pid=$(child_pid $p)
	check_not "$p is not root" test "$(status_field "$pid" Uid)" = 0
	equal "$p has no capability" 0000000000000000 "$(status_field "$pid" CapEff)"
	equal "$p can get none" 0000000000000000 "$(status_field "$pid" CapBnd)"
	equal "$p gets no new privileges" 1 "$(status_field "$pid" NoNewPrivs)"
done
equal "second daemon" 1 "$(status_of in_ns a timeout 10 taltund "$IF")"
check "... is told who runs" grep -q "already running for $IF (pid $(monitor_pid))" "$TT_WORK/out"

# --- the engine crashes ------------------------------------------------------------------------

wg genkey >"$TT_WORK/key"
check "takes a key" in_ns a wg set "$IF" private-key "$TT_WORK/key" listen-port 51999
in_ns a ip link set "$IF" up
sleep 0.2
index=$(link_index)
engine=$(child_pid engine)
kill -KILL "$engine"
key_is_back() {
	[ "$(in_ns a wg show "$IF" public-key)" = "$(wg pubkey <"$TT_WORK/key")" ]
}
# at once: a second crash would wait, and far longer than a busy machine takes
check "engine is there again" wait_for 10 key_is_back
check_not "... as another process" test "$(child_pid engine)" = "$engine"
equal "the interface stayed" "$index" "$(link_index)"
equal "the UDP port stayed" 51999 "$(in_ns a wg show "$IF" listen-port)"
kill -HUP "$(monitor_pid)"
kill -INT "$(child_pid engine)"
check "SIGHUP does no harm" in_ns a wg show "$IF"

# --- every way to end -----------------------------------------------------------------------------

pid=$(monitor_pid)
in_ns a ip link del "$IF"
check "deleted interface: it ends" wait_for 20 pid_gone "$pid"
check "... and leaves nothing" nothing_left
equal "same name at once" 0 "$(status_of in_ns a timeout 10 taltund "$IF")"

pid=$(monitor_pid) started=${EPOCHREALTIME/[.,]/}
kill -TERM "$pid"
check "SIGTERM: it ends" wait_for 20 pid_gone "$pid"
less "... within 2 s" "$(since_ms "$started")" 2000
check "... and leaves nothing" nothing_left

equal "started again" 0 "$(status_of in_ns a timeout 10 taltund "$IF")"
pid=$(monitor_pid) engine=$(child_pid engine) resolver=$(child_pid resolver)
kill -KILL "$pid"
check "killed monitor: engine goes" wait_for 10 pid_gone "$engine"
check "... resolver goes" wait_for 10 pid_gone "$resolver"
gone() { ! in_ns a ip link show "$IF"; }
check "... interface goes" wait_for 10 gone
check "... a stale socket stays" in_ns a test -S "$SOCK"
equal "starts in spite of it" 0 "$(status_of in_ns a timeout 10 taltund "$IF")"
check "... and serves" in_ns a wg show "$IF"
kill -TERM "$(monitor_pid)"
check "... and ends" wait_for 20 nothing_left

# --- starts that fail -----------------------------------------------------------------------------

in_ns a ip tuntap add "$IF" mode tun
equal "interface of somebody else" 1 "$(status_of in_ns a timeout 10 taltund "$IF")"
check "... is said" grep -q "exists already" "$TT_WORK/out"
check "... and left alone" in_ns a ip link show "$IF"
in_ns a ip link del "$IF"
printf '[interface]\nname = "%s"\nmtu = 100000\n' "$IF" >"$TT_WORK/bad.toml"
equal "wrong configuration" 78 "$(status_of in_ns a timeout 10 taltund --config "$TT_WORK/bad.toml")"
check "... is told by line" grep -q 'bad.toml:3:' "$TT_WORK/out"
check "... and leaves nothing" nothing_left
check_not "missing configuration" in_ns a timeout 10 taltund --config "$TT_WORK/none.toml"

# --- foreground and log -----------------------------------------------------------------------------

bg_ns a "$TT_WORK/fg.log" env WG_PROCESS_FOREGROUND=1 taltund "$IF"
check "WG_PROCESS_FOREGROUND=1 serves" wait_for 20 in_ns a wg show "$IF"
equal "... in the foreground" "$BG_PID" "$(monitor_pid)"
kill -INT "$BG_PID"
wait "$BG_PID"
equal "... and ends with 0" 0 $?
check "... having logged" grep -q 'event=monitor.stopped' "$TT_WORK/fg.log"
equal "with a log file" 0 "$(status_of in_ns a timeout 10 taltund --log-format json --log-file "$TT_WORK/file.log" "$IF")"
kill -TERM "$(monitor_pid)"
check "... it ends" wait_for 20 nothing_left
check "... and logged there" grep -q '"event":"monitor.ready"' "$TT_WORK/file.log"
bg_ns a "$TT_WORK/silent.log" env LOG_LEVEL=silent taltund -f "$IF"
check "LOG_LEVEL=silent serves" wait_for 20 in_ns a wg show "$IF"
kill -TERM "$BG_PID"
wait "$BG_PID"
check_not "... and says nothing" test -s "$TT_WORK/silent.log"

finish
