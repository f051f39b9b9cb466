#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The way past the kernel on virtio_net with two queues: taltund in native mode on one NIC of the
# virtual machine, the kernel's WireGuard and then a second taltund behind the other one.
#
#   namespace t                                              namespace g
#   [nic0 10.8.0.1, fd08::1]---- taps and bridge outside ----[nic1 10.8.0.2, fd08::2]
#   [tt..t 10.77.0.1, fd77::1] ~~~~~~~ WireGuard ~~~~~~~ [tt..g 10.77.0.2, fd77::2]
#
# Only for the virtual machine of tests/vm/run.sh: it takes the NICs it finds.
. "$(dirname "$0")/../../netns/lib.sh"
. "$(dirname "$0")/../../netns/support/traffic.sh"

[ -n "${TT_VM:-}" ] || skip_all "runs in the virtual machine of tests/vm/run.sh only"
need_root
need_taltund
need_commands wg socat jq ping ethtool
bytes=${TT_VM_BYTES:-1000000}

nics=()
for n in /sys/class/net/*; do
	n=${n##*/}
	[ "$(ethtool -i "$n" 2>/dev/null | sed -n 's/^driver: //p')" != virtio_net ] || nics+=("$n")
done
[ ${#nics[@]} -ge 2 ] || skip_all "needs two virtio_net NICs, found ${#nics[@]}"

ns_add t g
tt=$(ifname t) tg=$(ifname g)
wg_keys t g

# take NS NIC NAME ADDRESSES
take() {
	ip link set "$2" netns "$(ns_name "$1")"
	in_ns "$1" ip link set "$2" name "$3"
	addr_add "$1" "$3" "$4"
	in_ns "$1" ip link set "$3" up
	in_ns "$1" ethtool -L "$3" combined 2 2>/dev/null
}
take t "${nics[0]}" nic0 10.8.0.1/24,fd08::1/64
take g "${nics[1]}" nic1 10.8.0.2/24,fd08::2/64
# queues NS NIC
queues() { in_ns "$1" ethtool -l "$2" | awk '/^Combined/ { n = $2 } END { print n }'; }
queues_of_nic=$(queues t nic0)
echo "  kernel $(uname -r), queues: nic0 $queues_of_nic, nic1 $(queues g nic1)"
check "the wire works" wait_for 10 can_ping t 10.8.0.2
if [ "$queues_of_nic" = 2 ]; then
	pass "two queues"
else
	skip "two queues: the NIC has $queues_of_nic (the host gave no multi-queue taps)"
fi

nic() { status "$1" "$2" ".datapath.interfaces[0]$3"; }
by_xdp() { nic "$1" "$2" "| [.queues[].$3] | add // 0"; }
traffic_of() { status "$1" "$2" ".datapath.traffic.$3"; }
mode_settled() { [ "$(nic "$1" "$2" .mode)" = "native copy" ]; }

# node NS NAME OTHER MODE ADDRESSES ALLOWED [LINE]: taltund in a namespace
node() {
	local ns=$1 other=$3 mode=$4 allowed=$6 file=$TT_WORK/$2.toml
	node_config "$file" "$2" "$ns" "$5" 51820
	printf '[datapath]\nmode = "%s"\n' "$mode" >>"$file"
	node_peer "$file" "$other" "$allowed" "${@:7}"
	tt_start "$ns" "$file"
}

report() {
	echo "        $1: $(nic "$1" "$2" .mode), refused $(nic "$1" "$2" '.refused | tojson')"
	echo "        $1: by queue rx $(nic "$1" "$2" '| [.queues[].rx_packets] | tojson'), tx $(nic "$1" "$2" '| [.queues[].tx_packets] | tojson') of $(traffic_of "$1" "$2" rx_packets), $(traffic_of "$1" "$2" tx_packets)"
}

# share NS IFNAME rx|tx: per mille of all data messages that went past the kernel.
share() {
	local all
	all=$(traffic_of "$1" "$2" "$3_packets")
	echo $((all > 0 ? $(by_xdp "$1" "$2" "$3_packets") * 1000 / all : 0))
}

# Under emulation, on a busy host, a packet may take longer than a ping waits.
pings() { wait_for 4 can_ping "$1" "$2"; }

both_ways() {
	check "$1: ping, inner IPv4 and IPv6" eval "pings t 10.77.0.2 && pings g fd77::1"
	check "$1: $bytes bytes from t" tcp_copy t g 10.77.0.2 "$bytes"
	check "$1: $bytes bytes from g, inner IPv6" tcp_copy g t fd77::1 "$bytes"
	check "$1: inner packets in fragments" wait_for 4 can_ping t 10.77.0.2 -s 8000
}

past_the_kernel() {
	report "$2" "$3"
	less "$1: received past the kernel (per mille)" 900 "$(share "$2" "$3" rx)"
	less "$1: sent past the kernel (per mille)" 900 "$(share "$2" "$3" tx)"
	equal "$1: no packet of an unknown session" 0 "$(nic "$2" "$3" .steering.unknown_index)"
}

# --- the kernel at the other end -------------------------------------------------------------------

check "taltund starts, mode xdp" node t "$tt" g xdp 10.77.0.1/24,fd77::1/64 10.77.0.2/32,fd77::2/128 \
	'endpoint = "10.8.0.2:51820"' || finish
in_ns g ip link add "$tg" mtu 1420 type wireguard
addr_add g "$tg" 10.77.0.2/24,fd77::2/64
in_ns g ip link set "$tg" up
in_ns g wg set "$tg" listen-port 51820 private-key "$(key_file g)" peer "$(pub t)" \
	allowed-ips 10.77.0.1/32,fd77::1/128
check "kernel: ping" wait_for 15 can_ping t 10.77.0.2
check "native copy on virtio_net" wait_for 5 mode_settled t "$tt" || report t "$tt"
equal "a ring on each queue" "$queues_of_nic" "$(nic t "$tt" '.queues | length')"
both_ways kernel
# Whatever taltund sends before it hears of it leads the kernel back: it is told as often as that takes.
speaks_by_6() {
	in_ns g wg set "$tg" peer "$(pub t)" endpoint '[fd08::1]:51820'
	can_ping g 10.77.0.1 && [ "$(in_ns t wg show "$tt" endpoints | cut -f2)" = '[fd08::2]:51820' ]
}
check "kernel: over to outer IPv6" wait_for 20 speaks_by_6
both_ways "kernel, outer IPv6"
past_the_kernel kernel t "$tt"

in_ns g wg set "$tg" peer "$(pub t)" endpoint 10.8.0.1:51820
in_ns t ip link set nic0 down
in_ns t ip link set nic0 up
addr_add t nic0 fd08::1/64
check "link down and up" wait_for 15 can_ping g 10.77.0.1
check "link down and up: native copy still" wait_for 5 mode_settled t "$tt" || report t "$tt"
in_ns g ip link del "$tg"

# --- taltund at both ends ----------------------------------------------------------------------------

check "a second taltund starts, mode xdp" node g "$tg" t xdp 10.77.0.2/24,fd77::2/64 10.77.0.1/32,fd77::1/128 \
	'endpoint = "10.8.0.1:51820"'
check "both: ping" wait_for 20 can_ping g 10.77.0.1
check "both: native copy there too" wait_for 5 mode_settled g "$tg" || report g "$tg"
both_ways both
past_the_kernel "both, g" g "$tg"
equal "no engine died" "0 0" "$(status t "$tt" .restarts) $(status g "$tg" .restarts)"
check "they stop" eval "tt_stop t $tt && tt_stop g $tg"
check_not "nothing is left on the NIC" eval "in_ns t ip -d link show nic0 | grep -q prog/xdp"

# --- auto --------------------------------------------------------------------------------------------

check "auto: starts" node t "$tt" g auto 10.77.0.1/24,fd77::1/64 10.77.0.2/32,fd77::2/128 \
	'endpoint = "10.8.0.2:51820"'
check "auto: the other end" node g "$tg" t auto 10.77.0.2/24,fd77::2/64 10.77.0.1/32,fd77::1/128
check "auto: ping" wait_for 15 can_ping t 10.77.0.2
report t "$tt"
check "auto: says why" eval "[ -n \"\$(nic t $tt .reason)\" ]"
both_ways auto
finish
