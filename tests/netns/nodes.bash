# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Nodes with configuration files, on top of lib.sh:
#
#   toml FILE IFNAME KEY ADDR[,ADDR] [LINE]...     starts a file with its [interface]
#   toml_datapath FILE LINE...                     its [datapath]
#   toml_peer FILE NAME ADDR[,ADDR] [LINE]...      one [[peer]] with the key of NAME
#   status NS IFNAME JQ                            one value of `taltun status --json`
#   drops NS IFNAME REASON                         one drop counter
#   datapath NS IFNAME COUNTER                     one traffic counter
#   stream FROM TO ADDRESS BYTES                   TCP with a checksum, one way
#   streams FROM TO ADDRESS BYTES N                N of them at once
#   spoof_udp NS SOURCE ADDRESS PORT COUNT         datagrams with any inner source address
#   engine_pid NS IFNAME; cpu_ms PID; rss_kb PID

toml_list() {
	local out='' a
	for a in ${1//,/ }; do
		out="$out${out:+, }\"$a\""
	done
	echo "[$out]"
}

toml() {
	local file=$1 name=$2 key=$3 addr=$4
	shift 4
	{
		echo "[interface]"
		echo "name = \"$name\""
		echo "private_key_file = \"$(key_file "$key")\""
		echo "address = $(toml_list "$addr")"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >"$file"
	chmod 600 "$file"
}

toml_datapath() {
	local file=$1
	shift
	{
		echo "[datapath]"
		printf '%s\n' "$@"
	} >>"$file"
}

toml_peer() {
	local file=$1 name=$2 addr=$3
	shift 3
	{
		echo "[[peer]]"
		echo "name = \"$name\""
		echo "public_key = \"$(pub "$name")\""
		echo "allowed_ips = $(toml_list "$addr")"
		[ $# -eq 0 ] || printf '%s\n' "$@"
	} >>"$file"
}

status() {
	in_ns "$1" taltun status --json "$2" | jq -r ".[0] | $3"
}

drops() {
	status "$1" "$2" ".drops.$3 // 0"
}

datapath() {
	status "$1" "$2" ".datapath.traffic.$3"
}

# handshakes NS IFNAME PEER: how many sessions there were with it.
handshakes() {
	status "$1" "$2" ".peers[] | select(.public_key == \"$(pub "$3")\") | .handshakes"
}

peer_field() {
	status "$1" "$2" ".peers[] | select(.public_key == \"$(pub "$3")\") | .$4"
}

# at_least N CMD...: CMD prints N or more.
at_least() {
	local n=$1 got
	shift
	got=$("$@") && [ "${got:-0}" -ge "$n" ]
}

payload() {
	local file=$TT_WORK/payload.$1
	[ -s "$file" ] || head -c "$1" /dev/urandom >"$file"
	echo "$file"
}

stream_port=6000

# The receiver's checksum against the sender's: a byte lost, doubled or moved shows.
stream() {
	local from=$1 to=$2 addr=$3 file got port pid host=$3 kind=4
	file=$(payload "$4")
	stream_port=$((stream_port + 1))
	port=${5:-$stream_port}
	got=$TT_WORK/got.$port
	rm -f "$got"
	case $addr in *:*) host="[$addr]" kind=6 ;; esac
	in_ns "$to" timeout "${STREAM_TIMEOUT:-30}" socat -u \
		"TCP$kind-LISTEN:$port,reuseaddr" "OPEN:$got,creat,trunc" &
	pid=$!
	wait_for 20 listening "$to" "$port"
	in_ns "$from" timeout "${STREAM_TIMEOUT:-30}" socat -u "OPEN:$file" \
		"TCP$kind:$host:$port" || { kill_pids 1 "$pid"; return 1; }
	wait "$pid"
	cmp "$file" "$got"
}

# streams FROM TO ADDRESS BYTES N: N of them at once.
streams() {
	local i pids=() bad=0
	payload "$4" >/dev/null
	for ((i = 0; i < $5; i++)); do
		stream_port=$((stream_port + 1))
		stream "$1" "$2" "$3" "$4" "$stream_port" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || bad=$((bad + 1))
	done
	[ "$bad" -eq 0 ]
}

# Made by hand, headers and all, so that any source goes.
spoof_udp() {
	local ns=$1
	shift
	in_ns "$ns" python3 - "$@" <<'PY'
import socket, struct, sys
src, dst, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
v6 = ":" in dst
family = socket.AF_INET6 if v6 else socket.AF_INET
addresses = socket.inet_pton(family, src) + socket.inet_pton(family, dst)
data = b"spoofed!"
udp = struct.pack("!HHHH", port, port, 8 + len(data), 0) + data
if v6:
    packet = struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + addresses + udp
else:
    packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addresses + udp
s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
for i in range(count):
    s.sendto(packet, (dst, 0))
PY
}

# The engine is the child of the monitor that has threads.
engine_pid() {
	local monitor p
	monitor=$(tt_pid "$1" "$2")
	for p in $(pgrep -P "$monitor"); do
		[ "$(find "/proc/$p/task" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)" -gt 1 ] && echo "$p"
	done | head -n 1
}

# CPU time of a process and its children that live, in ms.
cpu_ms() {
	local p total=0 n
	for p in "$1" $(pgrep -P "$1"); do
		n=$(awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$p/stat" 2>/dev/null)
		total=$((total + ${n:-0}))
	done
	echo $((total * 10))
}

# Memory that is its own, of a process and its children, in KiB.
rss_kb() {
	local p total=0 n
	for p in "$1" $(pgrep -P "$1"); do
		n=$(awk '/^RssAnon/ { print $2 }' "/proc/$p/status" 2>/dev/null)
		total=$((total + ${n:-0}))
	done
	echo "$total"
}
