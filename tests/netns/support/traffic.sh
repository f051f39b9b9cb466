# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Sourced after lib.sh by tests that move data and look at a daemon.
#
#   tcp_copy FROM TO ADDRESS [BYTES]   one TCP stream of random bytes; 0 where the checksums match.
#                                      With TT_TCP_SNDBUF, twice that is on its way at most
#   node_config NS FILE IFNAME KEY ADDRESS PORT [LINE]...      an [interface] in TOML; lines after it
#   node_peer FILE KEY ALLOWED_IPS [LINE]...                   appends a [[peer]]
#   status NS IFNAME JQ                one value of the daemon's status
#   drops NS IFNAME REASON             how many packets it dropped for that reason
#   cpu_ms PID...                      CPU time used so far, with everything those started
#   family_pids PID                    the process and its children
#   engine_pid PID                     the engine that a monitor runs now
#   raw_uapi NS IFNAME TEXT            what the UAPI socket answers to exactly this text

: "${TT_TCP_PORT:=7000}"

# The receiver has the sum of what arrived; the sender's half close ends it.
tcp_copy() {
	local from=$1 to=$2 addr=$3 bytes=${4:-5000000} port=$TT_TCP_PORT pid got want
	TT_TCP_PORT=$((TT_TCP_PORT + 1))
	case $addr in
	*:*) addr="[$addr]" listen=TCP6-LISTEN connect=TCP6 ;;
	*) listen=TCP4-LISTEN connect=TCP4 ;;
	esac
	[ -f "$TT_WORK/data.$bytes" ] || head -c "$bytes" /dev/urandom >"$TT_WORK/data.$bytes"
	in_ns "$to" timeout $((60 * TT_PATIENCE)) socat -u "$listen:$port,reuseaddr" STDOUT 2>/dev/null | sha256sum \
		>"$TT_WORK/sum.$port" &
	pid=$!
	wait_for 20 listening "$to" "$port" || return 1
	in_ns "$from" timeout $((60 * TT_PATIENCE)) socat -u "OPEN:$TT_WORK/data.$bytes" \
		"$connect:$addr:$port${TT_TCP_SNDBUF:+,sndbuf=$TT_TCP_SNDBUF}" || {
		wait "$pid"
		return 1
	}
	wait "$pid"
	got=$(cut -d' ' -f1 "$TT_WORK/sum.$port")
	want=$(sha256sum <"$TT_WORK/data.$bytes" | cut -d' ' -f1)
	[ "$got" = "$want" ]
}

# toml_list a,b: ["a", "b"]
toml_list() {
	local list=${1//,/\", \"}
	echo "[\"$list\"]"
}

node_config() {
	local file=$1 ifname=$2 name=$3 addr=$4 port=$5
	shift 5
	{
		printf '[interface]\nname = "%s"\nprivate_key_file = "%s"\naddress = %s\n' \
			"$ifname" "$(key_file "$name")" "$(toml_list "$addr")"
		[ "$port" = 0 ] || printf 'listen_port = %s\n' "$port"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$file"
}

node_peer() {
	local file=$1 name=$2 allowed=$3
	shift 3
	{
		printf '\n[[peer]]\nname = "%s"\npublic_key = "%s"\nallowed_ips = %s\n' \
			"$name" "$(pub "$name")" "$(toml_list "$allowed")"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >>"$file"
}

status() {
	in_ns "$1" taltun status "$2" --json | jq -r ".[0] | $3"
}

drops() {
	status "$1" "$2" ".drops.$3 // 0"
}

drops_above() {
	[ "$(drops "$1" "$2" "$3")" -gt "$4" ]
}

family_pids() {
	local p
	echo "$1"
	for p in $(pgrep -P "$1"); do
		family_pids "$p"
	done
}

engine_pid() {
	local p
	for p in $(pgrep -P "$1"); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" != taltun-engine ] || echo "$p"
	done
}

cpu_ms() {
	local hz
	hz=$(getconf CLK_TCK)
	for p in "$@"; do
		cat "/proc/$p/stat" 2>/dev/null
	done | sed 's/.*) //' | awk -v hz="$hz" '{ t += $12 + $13 } END { print int(t * 1000 / hz) }'
}

raw_uapi() {
	printf '%b' "$3" | in_ns "$1" timeout 10 socat -t 5 - "UNIX-CONNECT:/run/wireguard/$2.sock"
}
