#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Attaches the steering program by hand, to see what it makes of an interface's traffic before (or
# without) taltund using it. Nothing is taken away from the kernel: there are no sessions, no sockets,
# and unknown indices pass. What it would do is counted; scripts/xdp-status.sh shows it and
# scripts/xdp-unload.sh takes it off again.
#
# usage: scripts/xdp-load.sh [--generic] [--udp-port N]... INTERFACE
#   --generic      without the driver's help; works on every interface, slower
#   --udp-port N   count packets to this tunnel udp_port (51820)
. "$(dirname "$0")/xdp-common.bash"

usage() { sed -n '4,11s/^# \{0,1\}//p' "$0"; }

mode=xdpdrv udp_ports=() interface=
while [ $# -gt 0 ]; do
	case $1 in
	--generic) mode=xdpgeneric ;;
	--udp-port)
		shift
		if ! [[ ${1:-} =~ ^[0-9]{1,5}$ ]] || [ "$1" -lt 1 ] || [ "$1" -gt 65535 ]; then
			die "--udp-port takes a number from 1 to 65535"
		fi
		udp_ports+=("$1")
		;;
	-h | --help) usage && exit 0 ;;
	-*) usage >&2 && exit 64 ;;
	*) interface=$1 ;;
	esac
	shift
done
[ -n "$interface" ] || { usage >&2 && exit 64; }
[ ${#udp_ports[@]} -gt 0 ] || udp_ports=(51820)

# An address as 16 bytes; IPv4 in its mapped form.
address_bytes() {
	local left right n groups=() g
	if [[ $1 != *:* ]]; then
		echo "0 0 0 0 0 0 0 0 0 0 255 255 ${1//./ }"
		return
	fi
	left=${1%%::*} right=
	[[ $1 == *::* ]] && right=${1#*::}
	IFS=: read -ra groups <<<"$left"
	if [[ $1 == *::* ]]; then
		n=0
		[ -z "$right" ] || n=$(($(tr -cd : <<<"$right" | wc -c) + 1))
		while [ $((${#groups[@]} + n)) -lt 8 ]; do groups+=(0); done
		IFS=: read -ra right <<<"$right"
		groups+=("${right[@]}")
	fi
	for g in "${groups[@]}"; do printf '%d %d ' $((0x$g >> 8)) $((0x$g & 255)); done
}

set_udp_ports() {
	local id p word bits
	id=$(xdp_map "$program" steer_ports)
	declare -A bits=()
	for p in "${udp_ports[@]}"; do
		word=$((p >> 6))
		bits[$word]=$((${bits[$word]:-0} | 1 << (p & 63)))
	done
	for word in "${!bits[@]}"; do
		# shellcheck disable=SC2046 # words on purpose
		bpftool map update id "$id" key $(le32 "$word") value $(le64 "${bits[$word]}")
	done
}

set_addresses() {
	local id a
	id=$(xdp_map "$program" steer_addrs)
	ip -o addr show | awk '{ sub(/\/.*/, "", $4); print $4 }' | while read -r a; do
		case $a in 127.* | ::1) continue ;; esac
		# shellcheck disable=SC2046 # words on purpose
		bpftool map update id "$id" key $(address_bytes "$a") value 1
	done
}

set_config() {
	local mtu owner=xdp-load.sh i
	mtu=$(ip -o link show dev "$interface" | sed -nE 's/.* mtu ([0-9]+).*/\1/p')
	# frame limit, slot mask, unknown indices pass, reserved, owner[32]
	# shellcheck disable=SC2046 # words on purpose
	bpftool map update id "$(xdp_map "$program" steer_config)" key 0 0 0 0 value \
		$(le32 $((mtu + 18 > 3840 ? 3840 : mtu + 18))) $(le32 $((0x3ffff))) $(le32 1) $(le32 0) \
		$(for ((i = 0; i < 32; i++)); do printf '%d ' "'${owner:i:1}" 2>/dev/null || printf '0 '; done)
}

xdp_require "$interface"
[ "$interface" != lo ] || die "not on loopback: its packets are up to 64 KiB long and would be copied for it"
object=$(xdp_object)
[ -r "$object" ] || die "there is no $object: run make"
[ -r /sys/kernel/btf/vmlinux ] || die "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): its bpftool tables would not be readable"
read -r _ held < <(xdp_attached "$interface") || held=
[ -z "${held:-}" ] || die "$interface: xdp held by $(xdp_holder "$held"); nothing was changed"

if ! out=$(ip link set dev "$interface" "$mode" obj "$object" sec xdp 2>&1); then
	echo "$out" | grep -v '^libbpf' | sed 's/^/  /' >&2
	[ "$mode" = xdpgeneric ] || die "$interface: driver $(xdp_driver "$interface") refuses native XDP (try --generic)"
	die "$interface: the kernel refuses generic XDP"
fi
read -r got program < <(xdp_attached "$interface")
[ -n "${program:-}" ] || die "$interface: attached, but not to be found again"
set_udp_ports
set_addresses
set_config
echo "$interface: steering program attached ($got), program id $program"
echo "show its counters: scripts/xdp-status.sh $interface      take it off: scripts/xdp-unload.sh $interface"
