#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 35. System calls of the engine that fail: sends for every reason there is, any call by a
# signal, memory that is not to be had. Nothing ends, nothing is lost that could have been sent, and
# all is well afterwards.
#
#   a [tun 10.77.0.1]~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]--veth--[v0 10.8.0.2]
#     strace answers for the kernel of its engine
#
# Two workers: of one alone, a tracer that is slow makes a worker that hangs, and a new engine.
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping python3 strace prlimit setpriv
need_taltund
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b
for n in a b; do
	me=$([ $n = a ] && echo 1 || echo 2) other=$([ $n = a ] && echo b || echo a)
	toml "$TT_WORK/$n.toml" "$([ $n = a ] && echo "$ta" || echo "$tb")" $n "10.77.0.$me/24" "listen_port = 51820"
	toml_datapath "$TT_WORK/$n.toml" "workers = 2"
	toml_peer "$TT_WORK/$n.toml" "$other" "10.77.0.$((3 - me))/32" "endpoint = \"10.8.0.$((3 - me)):51820\""
done
check "a starts" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "the tunnel works" wait_for 20 can_ping a 10.77.0.2
pid=$(engine_pid a "$ta")

# Threads of the engine: all of them, or those of this name.
threads() { grep -l "^${1:-.}" "/proc/$pid"/task/*/comm | sed 's|/comm$||'; }

# Each thread is attached to by itself.
traced() {
	local thread
	for thread in "$@"; do
		grep -q 'TracerPid:[[:space:]]*[1-9]' "$thread/status" || return 1
	done
}

# fails_in "THREAD..." CALLS ERROR [WHEN]: they do, until works.
fails_in() {
	local thread at=()
	for thread in $1; do at+=(-p "${thread##*/}"); done
	: >"$TT_WORK/trace.txt"
	strace -qq -o "$TT_WORK/trace.txt" -e "trace=$2" -e "inject=$2:error=$3${4:+:when=$4}" \
		"${at[@]}" </dev/null >"$TT_WORK/strace.log" 2>&1 &
	tracer=$!
	tt_pids+=("$tracer")
	# shellcheck disable=SC2086 # a list
	wait_for 20 traced $1
}
fails() { fails_in "$(threads)" "$@"; }
# The channel to the monitor has sendmsg() as well: what is refused here is what workers send.
sends_fail() { fails_in "$(threads worker-)" sendmsg,sendmmsg "$@"; }

works() { kill_pids 2 "$tracer"; }

injected() { grep -c INJECTED "$TT_WORK/trace.txt"; }

alive() {
	check "$1: the tunnel works afterwards" wait_for 20 can_ping a 10.77.0.2
	equal "$1: the engine is the same" "$pid" "$(engine_pid a "$ta")"
}

pings() { in_ns a ping -n -q -c "$1" -i 0.02 -W 2 10.77.0.2 | sed -n 's/.* \([0-9]*\) received.*/\1/p'; }

sends_fail EPERM || skip_all "may not trace: $(head -n 1 "$TT_WORK/strace.log")"
works

echo "case 35: refused sends"
counted() { status a "$ta" '[.drops | to_entries[] | select(.key | startswith("tx_")) | .value] | add // 0'; }
for error in EPERM ECONNREFUSED EMSGSIZE ENETUNREACH EADDRNOTAVAIL EINVAL ENOMEM; do
	before=$(counted) cpu=$(cpu_ms "$pid")
	sends_fail "$error" || fail "strace"
	# a new handshake, which control sends, may carry one or two
	came=$(pings 20)
	less "$error: hardly a ping of 20 comes through" "$came" 6
	less "$error: it was refused" 10 "$(injected)"
	less "$error: and not over and over" "$(injected)" 400
	works
	check "$error: counted" wait_for 20 at_least $((before + 10)) counted
	less "$error: CPU ms" $(($(cpu_ms "$pid") - cpu)) 1500
	alive "$error"
done
echo "case 35: every other send"
for error in EAGAIN EINTR ENOBUFS; do
	sends_fail "$error" 1+2 || fail "strace"
	less "$error: pings of 50 that were answered" 30 "$(pings 50)"
	less "$error: it was refused" 5 "$(injected)"
	works
	alive "$error"
done

echo "case 35: signals everywhere"
fails 'recvmmsg,recvmsg,sendmmsg,sendmsg,read,readv,write,writev,poll,ppoll,epoll_wait,epoll_pwait,futex,accept4' EINTR 2+3 ||
	fail "strace"
less "EINTR in every third call: pings of 100 that were answered" 95 "$(pings 100)"
check "status is told" in_ns a timeout 10 taltun status "$ta"
check "wg is served" in_ns a timeout 10 wg show "$ta" dump
check "and sets" in_ns a timeout 10 wg set "$ta" peer "$(pub b)" persistent-keepalive 25
check "reload" in_ns a timeout 10 taltun reload "$ta"
less "it was interrupted" 200 "$(injected)"
works
alive EINTR
# A wake-up that is lost is seen where nothing else makes control look: a packet without a session.
in_ns a wg set "$ta" peer "$(pub b)" remove
check "EINTR: the peer anew" in_ns a wg set "$ta" peer "$(pub b)" allowed-ips 10.77.0.2/32 endpoint 10.8.0.2:51820
check "EINTR: a packet asks for a handshake still" wait_for 20 can_ping a 10.77.0.2
check_not "EINTR: no interface was taken for gone" grep -q 'no such interface' "$(tt_log a "$ta")"

echo "case 35: no memory"
python3 -c '
import base64, os
for i in range(1, 3001):
    print("[Peer]\nPublicKey = %s\nAllowedIPs = 10.%d.%d.0/24"
          % (base64.b64encode(os.urandom(32)).decode(), 100 + i // 256, i % 256))' >"$TT_WORK/many.conf"
# limit BYTES: as the engine itself could, because root may not everywhere.
limit() {
	setpriv --reuid "$(id_of Uid)" --regid "$(id_of Gid)" --clear-groups prlimit --pid "$pid" --as="$1:"
}
id_of() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/$pid/status"; }
# Not one page more than it has.
had=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$pid/status")
check "the limit is set" limit "$had"
equal "no memory: pings of 50 that were answered" 50 "$(pings 50)"
for i in 1 2 3; do
	in_ns a timeout 20 wg addconf "$ta" "$TT_WORK/many.conf" >"$TT_WORK/many.txt" 2>&1
	echo "        wg addconf of 3,000 peers: status $?, $(head -n 1 "$TT_WORK/many.txt")"
	in_ns a timeout 5 taltun status --json "$ta" >/dev/null 2>&1
	in_ns a timeout 5 taltun reload "$ta" 2>&1 | sed 's/^/        /'
done
less "no memory: peers that were added" "$(in_ns a timeout 5 wg show "$ta" peers | wc -l)" 3001
equal "no memory: pings of 50 after it" 50 "$(pings 50)"
check "the limit is lifted" limit unlimited
alive "no memory"
# a reload that took longer than its client waited for may still come, and would take peers away
check "no memory: reload afterwards" in_ns a timeout 20 taltun reload "$ta"
check "what there was no memory for is set now" in_ns a timeout 20 wg addconf "$ta" "$TT_WORK/many.conf"
equal "all of it" 3001 "$(in_ns a timeout 20 wg show "$ta" peers | wc -l)"
check "it stops" tt_stop a "$ta"
finish
