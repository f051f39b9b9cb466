#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Cases 35 and 39. System calls of engine and monitor that fail, under strace, but for sends
# (refused_calls.sh): TUN, receiving, accept, memory files, sockets, fork, netlink. A disk that is full
# when the state is saved, and every limit of descriptors from the start. Nothing ends, nothing spins,
# and all is well afterwards.
#
#   a [tun 10.77.0.1]~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]--veth--[v0 10.8.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping curl strace prlimit
need_taltund
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b c
for n in a b; do
	me=$([ $n = a ] && echo 1 || echo 2) other=$([ $n = a ] && echo b || echo a)
	toml "$TT_WORK/$n.toml" "$([ $n = a ] && echo "$ta" || echo "$tb")" $n "10.77.0.$me/24" "listen_port = 51820"
	toml_datapath "$TT_WORK/$n.toml" "workers = 2"
	toml_peer "$TT_WORK/$n.toml" "$other" "10.77.0.$((3 - me))/32" "endpoint = \"10.8.0.$((3 - me)):51820\""
done
check "a starts" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "the tunnel works" wait_for 20 can_ping a 10.77.0.2
monitor=$(tt_pid a "$ta") engine=$(engine_pid a "$ta")
log=$(tt_log a "$ta")

all_traced() {
	local thread
	for thread in /proc/"$1"/task/*; do
		grep -q 'TracerPid:[[:space:]]*[1-9]' "$thread/status" || return 1
	done
}
# fails PID CALLS ERROR [STRACE OPTION]...: they do in all its threads, until works.
fails() {
	local pid=$1 calls=$2 error=$3
	shift 3
	: >"$TT_WORK/trace.txt"
	strace -f -qq -o "$TT_WORK/trace.txt" -e "trace=$calls" -e "inject=$calls:error=$error" "$@" -p "$pid" \
		</dev/null >"$TT_WORK/strace.log" 2>&1 &
	tracer=$!
	tt_pids+=("$tracer")
	wait_for 20 all_traced "$pid"
}
works() { kill_pids 2 "$tracer"; }
injected() { grep -c INJECTED "$TT_WORK/trace.txt"; }
pings() { in_ns a ping -n -q -c "$1" -i 0.02 -W 1 10.77.0.2 | sed -n 's/.* \([0-9]*\) received.*/\1/p'; }
all_drops() { status a "$ta" "[.drops | to_entries[] | select(.key | startswith(\"$1\")) | .value] | add // 0"; }
says() { tail -n "+$((lines + 1))" "$log" | grep -q "$1"; }
begin() { lines=$(wc -l <"$log") cpu=$(cpu_ms "$monitor"); }
end() { # WHAT CPU-MS
	less "$1: log lines" $(($(wc -l <"$log") - lines)) 30
	less "$1: CPU ms" $(($(cpu_ms "$monitor") - cpu)) "$2"
	check "$1: the tunnel works afterwards" wait_for 20 can_ping a 10.77.0.2
	equal "$1: the engine is the same" "$engine" "$(engine_pid a "$ta")"
	engine=$(engine_pid a "$ta")
}

# some ERROR...: two of them, all with TT_ALL.
some() { if [ -n "${TT_ALL:-}" ]; then echo "$@"; else echo "${@:1:2}"; fi; }

fails "$engine" accept4 EMFILE || skip_all "may not trace: $(head -n 1 "$TT_WORK/strace.log")"
works

echo "case 35: TUN"
for error in $(some EIO ENOBUFS ENOMEM EAGAIN); do
	begin
	before=$(all_drops tun_)
	fails "$engine" write,writev "$error" -P /dev/net/tun || fail "strace"
	equal "write $error: no answer comes through" 0 "$(pings 20)"
	less "write $error: it was refused" 10 "$(injected)"
	less "write $error: and not over and over" "$(injected)" 200
	works
	check "write $error: counted" wait_for 20 at_least $((before + 10)) all_drops tun_
	end "write $error" 1500
done
for error in $(some EIO ENOMEM); do
	begin
	fails "$engine" read,readv "$error" -P /dev/net/tun || fail "strace"
	pings 20 >/dev/null
	less "read $error: it was refused" 0 "$(injected)"
	less "read $error: and not over and over" "$(injected)" 3000
	works
	end "read $error" 2000
done

echo "case 35: receiving"
for error in $(some ENOBUFS ENOMEM ECONNREFUSED); do
	begin
	fails "$engine" recvmmsg "$error" || fail "strace"
	pings 20 >/dev/null
	less "$error: it was refused" 0 "$(injected)"
	less "$error: and not over and over" "$(injected)" 3000
	works
	end "$error" 2000
done

echo "case 35: accept"
for error in $(some EMFILE ENOMEM ENFILE ENOBUFS); do
	begin
	fails "$engine" accept4 "$error" || fail "strace"
	in_ns a timeout 1 wg show "$ta" >/dev/null 2>&1
	in_ns a timeout 1 taltun status "$ta" >/dev/null 2>&1
	equal "$error: pings of 20 that were answered" 20 "$(pings 20)"
	less "$error: it was refused" 1 "$(injected)"
	less "$error: and not over and over" "$(injected)" 200
	works
	check "$error: it said so" says "event=listener"
	check "$error: both sockets answer" wait_for 20 daemon_answers a "$ta"
	check "$error: status is told" wait_for 20 status a "$ta" .up
	end "$error" 1500
done

echo "case 35: memory files, sockets, fork"
saved() { in_ns a grep -qF "$(pub b)" "/var/lib/taltun/$ta.state"; }
restart() { tt_stop a "$ta" && in_ns a rm -f "/var/lib/taltun/$ta.state" && tt_start a "$TT_WORK/a.toml"; }
pids() { monitor=$(tt_pid a "$ta") engine=$(engine_pid a "$ta"); }

# The monitor's, where a new udp_port is asked for.
for error in $(some EMFILE ENOBUFS ENFILE ENOMEM); do
	begin
	fails "$monitor" socket "$error" || fail "strace"
	check_not "socket $error: another udp_port is refused" in_ns a timeout 5 wg set "$ta" listen-port 51899
	less "socket $error: it was refused" 0 "$(injected)"
	works
	equal "socket $error: the udp_port is what it was" 51820 "$(in_ns a wg show "$ta" listen-port)"
	end "socket $error" 1500
	check "socket $error: and is changed now" in_ns a timeout 5 wg set "$ta" listen-port 51899
	check "and back" in_ns a timeout 5 wg set "$ta" listen-port 51820
	check "the tunnel works" wait_for 20 can_ping a 10.77.0.2
done
# The state is saved when a session with a new peer stands; the monitor starts a child for it.
check "a restarts" restart
pids
begin
fails "$monitor" clone,clone3,fork,vfork EAGAIN || fail "strace"
check "a session" wait_for 20 can_ping a 10.77.0.2
not_saved() { says event=state.not_saved; }
check "fork EAGAIN: it says that the state is not saved" wait_for 20 not_saved
works
end "fork" 2500
check "a restarts" restart
pids
begin
fails "$engine" memfd_create EMFILE || fail "strace"
check "a session" wait_for 20 can_ping a 10.77.0.2
check "memfd_create EMFILE: it says that the state is not saved" wait_for 20 not_saved
works
end "memfd_create" 2500

echo "case 35: netlink"
begin
# a link that comes and goes, while the kernel says that messages were lost
# netlink_sockets PID: those of its descriptors.
netlink_sockets() {
	local fd inode
	for fd in /proc/"$1"/fd/*; do
		inode=$(readlink "$fd" | sed -n 's/^socket:\[\(.*\)\]/\1/p')
		[ -z "$inode" ] || ! in_ns a grep -q " $inode *$" /proc/net/netlink || echo "$inode"
	done
}
sockets=()
for inode in $(netlink_sockets "$engine"); do
	sockets+=(-P "socket:[$inode]")
done
if [ ${#sockets[@]} -gt 0 ] && fails "$engine" recvmsg,recvfrom ENOBUFS:when=1+2 "${sockets[@]}"; then
	for i in 1 2 3 4 5; do
		in_ns a ip link add d0 type veth peer name d1
		in_ns a ip addr add 10.99.$i.1/24 dev d0
		in_ns a ip link del d0
	done
	less "lost messages: it was told so" 0 "$(injected)"
	less "lost messages: and not over and over" "$(injected)" 500
	works
	end "lost messages" 1500
else
	skip "no netlink socket of its own"
fi

echo "case 39: the disk is full"
tt_stop a "$ta"
in_ns a rm -f "/var/lib/taltun/$ta.state"
check "a starts" tt_start a "$TT_WORK/a.toml"
pids
check "a session" wait_for 20 can_ping a 10.77.0.2
check "the state is saved" wait_for 20 saved
in_ns a cp "/var/lib/taltun/$ta.state" "$TT_WORK/state.before"
in_ns a dd if=/dev/zero of=/var/lib/taltun/filler bs=4096 status=none 2>/dev/null
begin
tt_stop a "$ta"
check "full: it says so at its end" says 'event=state.not_saved .*No space left'
check "full: the file of before is whole" cmp "$TT_WORK/state.before" <(in_ns a cat "/var/lib/taltun/$ta.state")
equal "full: nothing half-written is left" "" "$(in_ns a find /var/lib/taltun -name '*.new')"
begin
export TALTUN_METRICS_LISTEN=unix:/run/taltun/metrics
check "full: it starts" tt_start a "$TT_WORK/a.toml"
unset TALTUN_METRICS_LISTEN
pids
check "full: the tunnel works" wait_for 20 can_ping a 10.77.0.2
check "full: it says so" wait_for 20 not_saved
counted() {
	in_ns a curl -sS -m 10 --unix-socket /run/taltun/metrics http://localhost/metrics |
		grep -q '^taltun_state_write_failures_total [1-9]'
}
check "full: and counts it" wait_for 20 counted
less "full: and not over and over" "$(tail -n "+$((lines + 1))" "$log" | grep -c state.not_saved)" 4
in_ns a rm /var/lib/taltun/filler
tt_stop a "$ta"
check "with room again: saved" saved
check_not "another file than before" cmp -s "$TT_WORK/state.before" <(in_ns a cat "/var/lib/taltun/$ta.state")

echo "case 35: few descriptors from the start"
ended=0 worked=0
few=(4 8 10 12 14 20 28 32 36 40 48)
[ -z "${TT_ALL:-}" ] || mapfile -t few < <(seq 4 48)
for n in "${few[@]}"; do
	: >"$TT_WORK/few.txt"
	bg_ns a "$TT_WORK/few.txt" prlimit --nofile="$n:$n" "$TT_BIN/taltund" -f --config "$TT_WORK/a.toml"
	pid=$BG_PID
	settled() { pid_gone "$pid" || grep -q event=monitor.ready "$TT_WORK/few.txt"; }
	wait_for 20 settled || fail "$n descriptors: neither works nor ends"
	if pid_gone "$pid"; then
		ended=$((ended + 1))
		wait "$pid"
		rc=$?
		grep -qi 'too many open files\|descriptors' "$TT_WORK/few.txt" || fail "$n descriptors: status $rc, and no word why"
		! grep -q event=engine.crashed "$TT_WORK/few.txt" || fail "$n descriptors: the engine crashed"
		[ $rc -lt 128 ] || fail "$n descriptors: status $rc"
	else
		worked=$((worked + 1))
		wait_for 20 can_ping a 10.77.0.2 || fail "$n descriptors: it is ready, but the tunnel does not work"
	fi
	kill_pids 5 "$pid"
done
check "with too few it ends, and says why ($ended)" test $ended -gt 0
check "with some it works ($worked)" test $worked -gt 0
finish
