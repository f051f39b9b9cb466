# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced by xdp_core_native.sh and xdp_core_generic.sh: the core's tests once more, with every
# taltund going by AF_XDP in one mode. `again_all MODE` runs two of them that take most ways there
# are; with TT_ALL=1 all of them, which takes some minutes (make check-xdp).
#
# The second column: how many per mille of all data messages must have gone by AF_XDP, in each
# direction, summed up over the nodes that have it. Less than 990 where a test takes it away for a
# while: by an interface that is to be learned first, another MTU, addresses that go.

again_short="
interop/wireguard_go 990 990
netns/two_nodes      850 100"

# A bridge is no interface for AF_XDP: those behind it are in hub30 and reload.
again_long="
interop/wireguard_go  990 990
interop/wg_tools      0   0
netns/two_nodes       850 100
netns/small_mss       990 990
netns/rekey_load      990 990
netns/roaming         900 900
netns/nat             850 850
netns/isolation       900 900
netns/sticky_source   900 900
netns/moved_tun       850 850
netns/deleted         0   0
netns/reload          950 950
netns/hub30           950 950
netns/kill9           850 850
netns/stalls          900 900
netns/handshake_flood 850 850
netns/default_route   0   0
netns/clock           0   0
netns/lossy           0   0"

# sum FILTER: over the lines of the nodes that had AF_XDP at the end.
again_sum() {
	jq -s "[.[] | select(.mode != \"socket\") | $1] | add // 0" "$TT_WORK/report"
}

# again_share NAME rx|tx LEAST
again_share() {
	local all xdp
	all=$(again_sum ".$2") xdp=$(again_sum ".xdp_$2")
	less "$1: $xdp of $all data messages $2 by AF_XDP (per mille)" "$3" \
		$((all > 0 ? xdp * 1000 / all : 0))
}

# again MODE TEST LEAST
again() {
	local mode=$1 name wanted=$1 rc
	name=$(basename "$2")
	[ "$mode" = generic ] || wanted="native copy"
	: >"$TT_WORK/report"
	TT_MODE=$mode TT_XDP_REPORT=$TT_WORK/report timeout -k 10 170 bash "$TT_ROOT/tests/$2.sh" \
		</dev/null >"$TT_WORK/$name.txt" 2>&1
	rc=$?
	if [ "$rc" -eq 77 ]; then
		skip "$(tail -n 1 "$TT_WORK/$name.txt")"
		return
	elif [ "$rc" -ne 0 ]; then
		fail "$(tail -n 1 "$TT_WORK/$name.txt") (status $rc)"
		grep -A 12 FAIL "$TT_WORK/$name.txt" | head -n 60 | sed 's/^/        | /'
		return
	fi
	pass "$(tail -n 1 "$TT_WORK/$name.txt")"
	[ "$3" -gt 0 ] || return 0
	check_not "$name: no node had another mode" eval \
		"jq -r '.mode' '$TT_WORK/report' | grep -vxE '$wanted|socket'"
	again_share "$name" rx "$3"
	again_share "$name" tx "$3"
	less "$name: handshakes went by the kernel's socket" 0 "$(again_sum .handshakes)"
}

again_all() {
	local test native generic
	[ -z "${TT_MODE:-}" ] || skip_all "runs other tests with TT_MODE, and is no test for it"
	while read -r test native generic; do
		[ -z "$test" ] ||
			again "$1" "$test" "$([ "$1" = native ] && echo "$native" || echo "$generic")"
	done <<<"$([ -n "${TT_ALL:-}" ] && echo "$again_long" || echo "$again_short")"
	finish
}
