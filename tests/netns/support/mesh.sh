# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# A hub and its nodes; sourced after lib.sh and support/nats.sh. Everything goes by the commands that
# a user has: the hub in namespace h, a node in the namespace of its own name, its interface tt0.
#
#   hub CMD...                   taltun-hub in h
#   hub_start [INIT OPTION]...   init and serve
#   hub_serve; hub_stop; hub_kill
#   enroll NODE [TOKEN OPTION]...    makes a token, enrols with it: the node is up
#   node_up NODE; node_down NODE     taltun up and down
#   node_kill NODE                   kill -9 of all of it
#   mesh_finish                      finish, with the nodes' logs
#   node_ip NODE [4|6]           its address in the tunnel
#   st NODE JQ                   of `taltun status --json`
#   of NODE PEER FIELD           a field of that peer there
#   path NODE PEER               the kind of path; path_is NODE PEER KIND[|KIND]...
#   connected NODE               the hub knows it as connected, and it knows the hub
#   events NODE                  from now on into $TT_WORK/events.NODE
#   event_time NODE JQ           time of the first event that JQ selects, in seconds, or nothing
#   hub_up_time NODE             when it was connected for the last time
#   pings NODE ADDRESS FILE SECONDS [OPTION]...   in the background, with times; BG_PID
#   gap FILE                     the longest time without an answer, to the end, in ms
#   ms FROM TO                   seconds to milliseconds between, one decimal

declare -A mesh_ip4=() mesh_ip6=()
hub_pid=

hub() {
	in_ns h taltun-hub "$@" --dir "$TT_WORK/hub"
}

hub_answers() {
	hub status --json
}

hub_start() {
	hub init --name "$HUB" "$@" && hub_serve
}

hub_serve() {
	bg_ns h "$TT_WORK/hub.log" taltun-hub serve --dir "$TT_WORK/hub"
	hub_pid=$BG_PID
	wait_for 10 hub_answers
}

hub_stop() {
	kill -TERM "$hub_pid" 2>/dev/null
	wait_for 20 pid_gone "$hub_pid" || kill -KILL "$hub_pid" 2>/dev/null
	wait "$hub_pid" 2>/dev/null || fail "the hub ended with status $?"
}

hub_kill() {
	kill -KILL "$hub_pid" 2>/dev/null
	wait "$hub_pid" 2>/dev/null
	return 0
}

need_mesh() {
	local tool
	need_root
	need_commands nft conntrack jq ping socat
	for tool in taltund taltun taltun-hub; do
		[ -x "$TT_BIN/$tool" ] || skip_all "needs $TT_BIN/$tool (make)"
	done
	[ -x "$TT_TOOLS/wan" ] || skip_all "needs $TT_TOOLS/wan (make tools)"
}

enroll() {
	local name=$1 token shown
	shift
	token=$(hub token create --name "$name" "$@") || return 1
	TALTUN_LOG_LEVEL=debug in_ns "$name" timeout 30 taltun enroll "$token" || return 1
	shown=$(hub node show "$name" --json) || return 1
	mesh_ip4[$name]=$(jq -r '[.addresses[] | select(contains(":") | not)][0]' <<<"$shown")
	mesh_ip6[$name]=$(jq -r '[.addresses[] | select(contains(":"))][0]' <<<"$shown")
}

node_up() {
	TALTUN_LOG_LEVEL=debug in_ns "$1" timeout 20 taltun up tt0
}

node_down() {
	in_ns "$1" timeout 20 taltun down tt0
}

# Daemons in the background log where only their namespace sees it.
mesh_finish() {
	local name
	for name in "${!mesh_ip4[@]}"; do
		in_ns "$name" cat /run/taltun/tt0.log >"$TT_WORK/node-$name.log" 2>/dev/null
	done
	finish
}

node_pids() {
	local p
	for p in $(ip netns pids "$(ns_name "$1")"); do
		case $(cat "/proc/$p/comm" 2>/dev/null) in taltun*) echo "$p" ;; esac
	done
}

# Of all that are the node: the engine has threads.
node_engine() {
	local p
	for p in $(node_pids "$1"); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" != taltun-engine ] || echo "$p"
	done
}

node_kill() {
	local p
	for p in $(node_pids "$1"); do
		kill -KILL "$p" 2>/dev/null
	done
	wait_for 5 node_is_gone "$1"
}

node_is_gone() {
	[ -z "$(node_pids "$1")" ]
}

node_ip() {
	if [ "${2:-4}" = 6 ]; then echo "${mesh_ip6[$1]}"; else echo "${mesh_ip4[$1]}"; fi
}

st() {
	in_ns "$1" timeout 5 taltun status --json tt0 | jq -r ".[0] | $2"
}

of() {
	st "$1" "[.peers[] | select(.name == \"$2\")][0].$3"
}

path() {
	of "$1" "$2" path
}

path_is() {
	case "|$3|" in *"|$(path "$1" "$2")|"*) ;; *) return 1 ;; esac
}

connected() {
	hub status --json | jq -e --arg n "$1" 'any(.connected[]?; .name == $n)' >/dev/null
}

events() {
	bg_ns "$1" "$TT_WORK/events.$1" taltun events --json
}

event_time() {
	jq -r "select($2) | .time" "$TT_WORK/events.$1" 2>/dev/null | head -n 1
}

# From the log: nobody can listen early enough.
hub_up_time() {
	date +%s.%3N -d "$(in_ns "$1" cat /run/taltun/tt0.log |
		sed -n 's/^ts=\([^ ]*\) .*event=hub.up .*/\1/p' | tail -n 1)"
}

ms() {
	awk -v a="${1:-x}" -v b="${2:-x}" 'BEGIN {
		if (a == "x" || b == "x") print "-"; else printf "%.0f\n", (b - a) * 1000 }'
}

pings() {
	local ns=$1 addr=$2 file=$3 seconds=$4
	shift 4
	# not -w, which ends with the first ICMP error
	bg_ns "$ns" "$file" timeout -s INT "$seconds" ping -n -D -i 0.05 "$@" "$addr"
}

# calm_start SECONDS; limit=$(calm_limit MS): and what the machine itself kept a packet waiting in that
# time, from the gateway to the hub, by no tunnel.
calm_start() {
	: >"$TT_WORK/calm.out"
	pings gw "$HUB" "$TT_WORK/calm.out" "$1"
	calm_pinger=$BG_PID
}

calm_limit() {
	local ms
	kill -INT "$calm_pinger" 2>/dev/null
	wait "$calm_pinger" 2>/dev/null
	ms=$(gap "$TT_WORK/calm.out")
	case $ms in
	*[!0-9]*) echo "$1" ;;
	*) echo $(($1 + (ms > 100 ? ms - 100 : 0))) ;;
	esac
}

gap() {
	awk -v end="$(stat -c %.Y "$1")" 'match($0, /^\[[0-9.]+\]/) && /icmp_seq/ && !/Unreachable/ {
		t = substr($0, 2, RLENGTH - 2)
		if (last && t - last > worst) worst = t - last
		last = t
	}
	END {
		if (last && end - last > worst) worst = end - last
		if (last) printf "%.0f\n", worst * 1000; else print "no answer"
	}' "$1"
}
