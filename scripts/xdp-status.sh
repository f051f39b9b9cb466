#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Shows who holds XDP on an interface and, where it is the steering program (of taltund, or attached
# by scripts/xdp-load.sh), its settings, sockets, sessions and counters.
#
# usage: scripts/xdp-status.sh [INTERFACE]...      (default: all that have a program)
. "$(dirname "$0")/xdp-common.bash"

usage() { sed -n '4,7s/^# \{0,1\}//p' "$0"; }

reason_names() {
	sed -nE 's/^[[:space:]]*X\([A-Z_]+, "([a-z_]+)"\).*/\1/p' "$xdp_root/bpf/shared.h"
}

# "REASON SUM" of the per-CPU array, whose keys are those of all queues, row by row.
counter_sums() {
	bpftool map dump id "$1" | awk -F'[:,]' -v reasons="$2" '
		/"key"/ { key = $2 % reasons }
		/"value"/ { sum[key] += $2 }
		END { for (k in sum) printf "%d %d\n", k, sum[k] }' | sort -n
}

show_counters() {
	local names key sum
	mapfile -t names < <(reason_names)
	counter_sums "$1" "${#names[@]}" | while read -r key sum; do
		[ "$sum" -eq 0 ] || printf '    %-20s %d\n' "${names[$key]:-reason $key}" "$sum"
	done
}

# "KEY VALUE" of what is not zero in an array of words.
words_set() {
	bpftool map dump id "$1" |
		awk -F'[:,]' '/"key"/ { key = $2 } /"value"/ && !/: 0$/ { gsub(/[^0-9]/, "", $2); print key + 0, $2 }'
}

show_udp_ports() {
	local word value i list=
	while read -r word value; do
		for ((i = 0; i < 64; i++)); do
			[ $((value >> i & 1)) -eq 0 ] || list+=" $((word * 64 + i))"
		done
	done < <(words_set "$1")
	echo "    udp_ports:${list:- none}"
}

show_sessions() {
	local n=0 value
	while read -r _ value; do
		[ $((value & 0xffffffff)) -eq 0 ] || n=$((n + 1))
		[ $((value >> 32 & 0xffffffff)) -eq 0 ] || n=$((n + 1))
	done < <(words_set "$1")
	echo "    sessions: $n"
}

entries() { bpftool map dump id "$1" 2>/dev/null | grep -c '"key"'; }

show_steering() {
	local id=$1 unknown=drop
	[ "$(xdp_config "$id" unknown_pass)" = 0 ] || unknown=pass
	echo "    frame limit: $(xdp_config "$id" frame_limit)   unknown index: $unknown"
	show_udp_ports "$(xdp_map "$id" steer_ports)"
	echo "    addresses: $(entries "$(xdp_map "$id" steer_addrs)")"
	show_sessions "$(xdp_map "$id" steer_index)"
	show_counters "$(xdp_map "$id" steer_counters)"
}

show_interface() {
	local mode id
	read -r mode id < <(xdp_attached "$1") || id=
	if [ -z "${id:-}" ]; then
		echo "$1 ($(xdp_driver "$1")): xdp free"
		return
	fi
	echo "$1 ($(xdp_driver "$1")): xdp held by $(xdp_holder "$id"), mode $mode"
	[ "$(xdp_name "$id")" != "$xdp_program" ] || show_steering "$id"
}

case ${1:-} in
-h | --help) usage && exit 0 ;;
-*) usage >&2 && exit 64 ;;
esac
if [ $# -eq 0 ]; then
	xdp_require lo
	mapfile -t all < <(ip -o link show | awk '/ xdp/ { sub(/[:@].*/, "", $2); print $2 }')
	[ ${#all[@]} -gt 0 ] || echo "no interface has an XDP program"
	set -- "${all[@]}"
fi
for interface in "$@"; do
	xdp_require "$interface"
	show_interface "$interface"
done
