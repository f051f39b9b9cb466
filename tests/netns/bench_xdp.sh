#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# taltun bench xdp: both ends of a wire, one of them in another namespace. Not how fast: that packets
# go and come, that it refuses what cannot be, and that nothing stays attached.
#
#   a [v0]---- veth ----[v0] b
#
. "$(dirname "$0")/lib.sh"

need_root
need_commands taltun jq setpriv
ns_add b a # a sees only the namespaces that were there before it
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
b=$(ns_name b)

bench() { in_ns a taltun bench xdp "$@" >"$TT_WORK/out" 2>"$TT_WORK/err"; }
# The answer is whole, and the filter true of it.
has() { [ "$(jq "$1" "$TT_WORK/out")" = true ]; }
# fails WORDS ARGUMENT...: bench refuses, and says so.
fails() {
	local words=$1
	shift
	! bench "$@" && grep -qF -- "$words" "$TT_WORK/err"
}
attached() { in_ns b ip -details link show v0 | grep -q 'prog/xdp'; }

bench v0 --peer "$b:v0" --ms 50 --json || {
	grep -qE 'AF_XDP socket|steering' "$TT_WORK/err" && skip_all "$(cat "$TT_WORK/err")"
	fail "$(cat "$TT_WORK/err")"
}
check "both ends: 64 and 1420 bytes are sent and received" \
	has '[.rows[] | select(.tx_pps > 0 and .rx_pps > 0) | .bytes] == [64, 1420]'
check "by native copy" has 'all(.rows[]; .mode == "native copy")'
check_not "nothing stays attached" attached
check "one end, to itself" bench v0 --ms 20 --json
check "without received packets" \
	has '[.rows[] | select(.tx_pps > 0 and has("rx_pps") == false)] | length == 2'
check "an absent namespace" fails "namespace nosuch" v0 --peer nosuch:v0
check "an absent peer" fails "v9" v0 --peer "$b:v9"
check "an interface that is down" fails "down" \
	"$(in_ns a ip link add d0 type veth peer name d1 && echo d0)"
unprivileged() {
	! in_ns a setpriv --reuid 65534 --clear-groups --bounding-set=-all "$(command -v taltun)" \
		bench xdp v0 >/dev/null 2>"$TT_WORK/err" && grep -qF root "$TT_WORK/err"
}
check "without rights" unprivileged
in_ns a ip link set v0 mtu 1400
check "what does not fit the MTU is left out" bench v0 --ms 20 --json
check "and the rest is measured" has '[.rows[].bytes] == [64]'
finish
