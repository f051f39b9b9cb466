#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A kernel that has no buffers for us, for good: every send is refused with ENOBUFS. What cannot be
# sent is dropped and counted, nothing spins, and all is well when the kernel is.
#
#   a [tun 10.77.0.1]~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]--veth--[v0 10.8.0.2]
#     strace refuses the sends of its engine
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping strace
need_taltund
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b
toml "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 "listen_port = 51820"
toml_datapath "$TT_WORK/a.toml" "workers = 1"
toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"'
toml "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 "listen_port = 51820"
toml_datapath "$TT_WORK/b.toml" "workers = 1"
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32

sends() {
	grep -c 'ENOBUFS' "$TT_WORK/trace.txt"
}

full_drops() {
	drops a "$ta" tx_socket_full
}

refuse_sends() {
	: >"$TT_WORK/trace.txt"
	strace -f -qq -o "$TT_WORK/trace.txt" -e trace=sendmsg,sendmmsg \
		-e inject=sendmsg,sendmmsg:error=ENOBUFS -p "$(engine_pid a "$ta")" \
		</dev/null >"$TT_WORK/strace.log" 2>&1 &
	tracer=$!
	tt_pids+=("$tracer")
	wait_for 20 traced
}

traced() {
	grep -q 'TracerPid:[[:space:]]*[1-9]' "/proc/$(engine_pid a "$ta")/status"
}

check "a starts" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "the tunnel works" wait_for 20 can_ping a 10.77.0.2
pid=$(engine_pid a "$ta")
strace -qq -o /dev/null -e trace=none -p "$pid" </dev/null >"$TT_WORK/strace.log" 2>&1 &
probe=$!
wait_for 20 traced || skip_all "may not trace: $(head -n 1 "$TT_WORK/strace.log")"
kill_pids 2 "$probe"

echo "case 35: no buffers"
check "sends are refused from now on" refuse_sends
before=$(full_drops) count=$(sends) cpu=$(cpu_ms "$(tt_pid a "$ta")")
in_ns a ping -n -q -c 200 -i 0.01 -W 1 10.77.0.2 >/dev/null
now=$(sends) now_cpu=$(cpu_ms "$(tt_pid a "$ta")")
check_not "nothing comes through" can_ping a 10.77.0.2
# Each of the 200 is tried, once more after a wait, and given up.
check "200 packets are tried" test $((now - count)) -ge 200
less "and not over and over" $((now - count)) 800
check "all are dropped and counted" at_least $((before + 200)) full_drops
less "CPU ms in 2 s of it, tracing included: 5 % of a core" $((now_cpu - cpu)) 100

# Nobody sends: then nobody tries either.
count=$(sends) cpu=$(cpu_ms "$(tt_pid a "$ta")")
sleep 2
less "refused sends in 2 silent seconds" $(($(sends) - count)) 10
less "CPU ms in 2 silent seconds, 5 % of a core" $(($(cpu_ms "$(tt_pid a "$ta")") - cpu)) 100

kill_pids 2 "$tracer"
check "the tunnel works again" wait_for 20 can_ping a 10.77.0.2
equal "the engine is the same" "$pid" "$(engine_pid a "$ta")"
finish
