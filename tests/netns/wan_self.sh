#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The WAN emulator does what it says.
#
#   namespace a                                 namespace b
#   [w0 10.9.0.1, fd09::1]---- tools/wan ----[w0 10.9.0.2, fd09::2]
#
. "$(dirname "$0")/lib.sh"

need_root
need_commands jq socat python3 ping iperf3
[ -x "$TT_TOOLS/wan" ] || skip_all "needs $TT_TOOLS/wan (make tools)"
ns_add a b

start() {
	wan_start a w0 10.9.0.1/24,fd09::1/64 b w0 10.9.0.2/24,fd09::2/64 "$@"
}

stop() {
	kill_pids 3 "$wan_pid"
}

median_rtt() {
	in_ns a ping -n -c 11 -i 0.02 10.9.0.2 | sed -n 's/.*time=\([0-9.]*\).*/\1/p' | sort -n | sed -n 6p
}

# What b receives of N numbered datagrams sent by a, in the order of arrival: all that the emulator has let
# through, and then a moment, whatever time sender and emulator have taken.
numbered() {
	local count=$1 gap_us=$2 pid taken
	rm -f "$TT_WORK/sent"
	in_ns b python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.9.0.2", 7000)); print("up", flush=True)
s.settimeout(0.2)
while True:
    try: print(int(s.recv(64)))
    except socket.timeout:
        if os.path.exists(sys.argv[1]): break' "$TT_WORK/sent" >"$TT_WORK/seq" &
	pid=$!
	wait_for 20 grep -q up "$TT_WORK/seq"
	taken=$(wan_count lr.in)
	in_ns a python3 -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[1])):
    s.sendto(b"%d" % i, ("10.9.0.2", 7000)); time.sleep(int(sys.argv[2]) / 1e6)' "$count" "$gap_us"
	wait_for 20 let_through $((taken + count))
	: >"$TT_WORK/sent"
	wait "$pid"
	grep -v up "$TT_WORK/seq"
}
let_through() { [ "$(wan_stats | jq --argjson n "$1" '.lr.in >= $n and .in_flight == 0')" = true ]; }

sorted() {
	sort -nc 2>/dev/null
}

check "starts and says ready" start
check "IPv4 passes" can_ping a 10.9.0.2
check "IPv6 passes" can_ping a fd09::2
less "no delay adds little" "$(median_rtt)" 5

wan_set delay-ms 20
less "delay 20 ms each way is felt" 39.9 "$(median_rtt)"
less "and not doubled" "$(median_rtt)" 60
wan_set delay-ms lr:0
less "one direction alone" "$(median_rtt)" 35
wan_set delay-ms 0

wan_set loss 20
got=$(in_ns a ping -n -q -c 500 -i 0.002 -W 1 10.9.0.2 | sed -n 's/.* \([0-9]*\) received.*/\1/p')
less "loss 20 % each way leaves about 64 % of echoes" "$got" 375
less "and not fewer" 265 "$got"
wan_set loss 0

wan_set dup lr:100
check "dup 100 % gives duplicates" in_ns a sh -c "ping -n -c 3 -i 0.05 10.9.0.2 | grep -q DUP"
wan_set dup 0

wan_set jitter-ms 5
check "jitter keeps the order" sorted < <(numbered 200 200)
wan_set jitter-ms 0
wan_set reorder lr:20
# Those held back come in order where the next ones are late, on a machine with too much to do.
disordered() { ! sorted < <(numbered 200 100); }
check "reorder does not" wait_for 30 disordered
less "reordered packets are counted" 10 "$(wan_count lr.reordered)"
wan_set reorder 0

wan_set rate-mbit 10
wan_set queue-packets 200
rate=$(iperf_run a b 10.9.0.2 -u -b 40M -l 1200 -t 2)
less "rate 10 Mbit/s is kept" "$rate" 10.5
less "and used" 7 "$rate"
less "a full queue drops and counts" 0 "$(wan_count lr.queue_full)"
wan_set rate-mbit 0

wan_set mtu 1300
check_not "MTU 1300 stops 1400 bytes with DF" can_ping a 10.9.0.2 -M 'do' -s 1372
check "and says so with the MTU" in_ns a sh -c "ip route get 10.9.0.2 | grep -q 'mtu 1300'"
in_ns a ip route flush cache
check "DF clear is fragmented" can_ping b 10.9.0.1 -M dont -s 1372
less "which is counted" 0 "$(wan_count rl.fragmented)"
check_not "MTU 1300 stops 1400 bytes of IPv6" can_ping a fd09::2 -M 'do' -s 1352
check "and says so" in_ns a sh -c "ip -6 route get fd09::2 | grep -q 'mtu 1300'"
in_ns a ip -6 route flush cache
wan_set drop-icmp on
check_not "drop-icmp: still too big" can_ping a 10.9.0.2 -M 'do' -s 1372
check_not "drop-icmp: and silent" in_ns a sh -c "ip route get 10.9.0.2 | grep -q 'mtu 1300'"
wan_set mtu 65535

wan_set blackhole rl:on
check_not "a black hole one way stops echoes" can_ping a 10.9.0.2
wan_set blackhole off
check "and they come back" can_ping a 10.9.0.2

equal "a bad value is refused" "error: bad value" "$(wan_do set loss 101)"
equal "an unknown setting is refused" "error: no such setting" "$(wan_do set lag 1)"
check_not "nonsense is refused" wan_set
check "counters are JSON" jq -e '.lr.in > 0 and .rl.out > 0 and .in_flight == 0' <(wan_stats)

stop
check_not "the devices go with it" in_ns a ip link show w0
check "the last words are the counters" jq -e .lr.in <(tail -n 1 "$TT_WORK/wan.log")

# Only what the test sends may draw from the generator.
in_ns a sysctl -qw net.ipv6.conf.default.disable_ipv6=1
in_ns b sysctl -qw net.ipv6.conf.default.disable_ipv6=1
for run in 1 2 3; do
	seed=$((run == 3 ? 8 : 7))
	wan_start a w0 10.9.0.1/24 b w0 10.9.0.2/24 --seed "$seed" --loss 10 --reorder 5
	numbered 400 1000 >"$TT_WORK/run$run"
	wan_count lr.lost >"$TT_WORK/lost$run"
	sort -n "$TT_WORK/run$run" >"$TT_WORK/set$run"
	stop
done
less "of 400 most arrive" 300 "$(wc -l <"$TT_WORK/set1")"
check "the same seed loses the same packets" cmp "$TT_WORK/set1" "$TT_WORK/set2"
check_not "another seed loses others" cmp "$TT_WORK/set1" "$TT_WORK/set3"
less "and about 10 %" "$(cat "$TT_WORK/lost1")" 65

check_not "a missing side is refused" "$TT_TOOLS/wan" --left x:y:1.2.3.4/24
check_not "a bad option value is refused" "$TT_TOOLS/wan" --loss 200
finish
