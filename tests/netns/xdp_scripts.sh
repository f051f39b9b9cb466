#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The scripts for diagnosis by hand: attach the steering program, look at it, take it off; and the
# queue recipe, against an ethtool that only writes down what it is told.
#
#   a [v0 10.8.0.1]---- veth ----[v0 10.8.0.2] b
#
. "$(dirname "$0")/lib.sh"

need_root
need_commands bpftool ethtool ping socat
[ -r "$TT_ROOT/build/bpf/steer.bpf.o" ] || skip_all "needs build/bpf/steer.bpf.o (make)"
ns_add a b
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
load=$TT_ROOT/scripts/xdp-load.sh
unload=$TT_ROOT/scripts/xdp-unload.sh
status=$TT_ROOT/scripts/xdp-status.sh
recipe=$TT_ROOT/scripts/nic-queues.sh

# says TEXT CMD...: CMD fails, and says so.
says() {
	local text=$1
	shift
	! "$@" >"$TT_WORK/out" 2>&1 && grep -qF -- "$text" "$TT_WORK/out"
}
shows() {
	local text=$1
	shift
	"$@" >"$TT_WORK/out" 2>&1 && grep -qE -- "$text" "$TT_WORK/out"
}
# One datagram from b to a whose first bytes are hexadecimal; the rest is filled up to 64.
datagram() {
	printf '%-128s' "$1" | tr ' ' 0 | sed 's/../\\x&/g' | xargs -0 printf '%b' |
		in_ns b socat -u - "UDP4-DATAGRAM:10.8.0.1:51820"
}

for mode in native generic; do
	flag=$([ $mode = generic ] && echo --generic)
	# shellcheck disable=SC2086 # a flag or nothing
	check "$mode: attach" in_ns a "$load" $flag v0
	check "$mode: who holds it" shows "^v0 \(veth\): xdp held by xdp-load.sh, mode $([ $mode = generic ] && echo generic || echo driver)" in_ns a "$status"
	check "$mode: settings" shows "udp_ports: 51820$" in_ns a "$status" v0
	check "$mode: own addresses" shows "addresses: 3$" in_ns a "$status" v0
	check "$mode: not twice" says "xdp held by xdp-load.sh; nothing was changed" in_ns a "$load" v0
	check "$mode: the host's traffic goes on" in_ns b ping -c 2 -i 0.2 -W 2 -q 10.8.0.1
	datagram 0400000011111111
	check "$mode: unknown data counted, and passed" wait_for 3 shows "pass_unknown_index +1$" in_ns a "$status" v0
	datagram 0100000011111111
	check "$mode: handshakes pass" wait_for 3 shows "pass_type +1$" in_ns a "$status" v0
	check "$mode: detach" in_ns a "$unload" v0
	check "$mode: free again" shows "^v0 \(veth\): xdp free" in_ns a "$status" v0
done
check "nothing to detach is no error" shows "nothing is attached" in_ns a "$unload" v0

check "no such interface" says "there is no interface 'nosuch'" in_ns a "$load" nosuch
check "not on loopback" says "not on loopback" in_ns a "$load" --generic lo
check "a udp_port is a number" says "a number from 1 to 65535" in_ns a "$load" --udp-port 70000 v0
in_ns a ip link set v0 mtu 9000 && in_ns b ip link set v0 mtu 9000
check "a driver that refuses is named" says "driver veth refuses native XDP" in_ns a "$load" v0
in_ns a ip link set v0 mtu 1500 && in_ns b ip link set v0 mtu 1500
check "not without root" says "needs root" in_ns a setpriv --reuid 65534 --clear-groups "$load" v0

# Somebody else's program is left alone.
if in_ns a ip link set dev v0 xdpgeneric obj "$TT_ROOT/build/bpf/steer.bpf.o" sec xdp 2>/dev/null; then
	check "attached without our settings, it is the same program" in_ns a "$unload" v0
fi

# --- queues ----------------------------------------------------------------------------------

check "a NIC that cannot is told so" says "has 0 combined queues" in_ns a "$recipe" v0
check "a wrong number is told so" says "a number from 1 to 64" "$recipe" --queues 0 v0

mkdir "$TT_WORK/bin"
cat >"$TT_WORK/bin/ethtool" <<'END'
#!/bin/sh
case $1 in
-i) echo "driver: pretend" ;;
-l) printf 'Pre-set maximums:\nCombined:\t16\nCurrent hardware settings:\nCombined:\t8\n' ;;
-k) printf 'large-receive-offload: on\nrx-gro-hw: off [fixed]\nrx-vlan-offload: on\nntuple-filters: off\nrx-udp-gro-forwarding: off\n' ;;
*)
	[ "$2" = broken0 ] && [ "$1" = -X ] && { echo "no such operation"; exit 1; }
	echo "$*" >>"$TT_WORK/told"
	case "$*" in
	*"flow-type udp4"*) echo "Added rule with ID 1022" ;;
	*"flow-type udp6"*) echo "Added rule with ID 1023" ;;
	*"context new"*) echo "New RSS context is 3" ;;
	esac
	;;
esac
END
chmod +x "$TT_WORK/bin/ethtool"
PATH=$TT_WORK/bin:$PATH
export TT_WORK TALTUN_RUN_DIR=$TT_WORK/run

check "the recipe is printed" shows "^ethtool -N eth9 flow-type udp6 dst-port 51820 action 7$" "$recipe" eth9
check "and nothing done" test ! -e "$TT_WORK/told"
check "apply" "$recipe" --apply --udp-port 4500 eth9
check "the tunnel has the last queue" grep -qx -- "-N eth9 flow-type udp4 dst-port 4500 action 7" "$TT_WORK/told"
check "the others have the rest" grep -qx -- "-X eth9 equal 7" "$TT_WORK/told"
check_not "a fixed offload is let be" grep -q "rx-gro-hw" "$TT_WORK/told"
check "not twice" says "was changed already" "$recipe" --apply eth9
: >"$TT_WORK/told"
check "undo" "$recipe" --undo eth9
equal "undo does the opposite, the latest first" \
	"-N eth9 delete 1023|-N eth9 delete 1022|-X eth9 default|-K eth9 ntuple off|-K eth9 rx-vlan-offload on|-K eth9 large-receive-offload on|" \
	"$(tr '\n' '|' <"$TT_WORK/told")"
check "nothing left to undo" says "nothing to undo" "$recipe" --undo eth9
: >"$TT_WORK/told"
check "apply two queues" "$recipe" --apply --queues 2 eth9
check "by a context of their own" grep -qx -- "-N eth9 flow-type udp4 dst-port 51820 context 3" "$TT_WORK/told"
check "undo two queues" "$recipe" --undo eth9
check "the context goes" grep -qx -- "-X eth9 context 3 delete" "$TT_WORK/told"
check "a step that fails is told, with the way back" says "put things back with" "$recipe" --apply broken0
check "which works" "$recipe" --undo broken0
finish
