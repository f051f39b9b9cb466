# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Library of the namespace tests: `. "$(dirname "$0")/lib.sh"` (or ../netns/lib.sh) first.
#
#   ns_add a b             namespaces, each with its own /run/wireguard, /run/taltun, /var/lib/taltun
#   in_ns a CMD...         runs CMD inside           ns_name a     full name, for `ip -n`
#   bg_ns a LOG CMD...     the same in the background; BG_PID is its pid, ended by the clean-up
#   veth a if0 ADDR[,ADDR] b if1 ADDR[,ADDR]
#   wan_start a if0 ADDR[,ADDR] b if1 ADDR[,ADDR] [WAN OPTION]...; wan_set NAME VALUE; wan_stats
#   router r               forwards; masquerade r OUT_IF [random|fully-random] makes it a NAT
#   udp_timeout r SECONDS  short-lived conntrack entries
#   ifname x               interface name that no other test run uses
#   wait_for SECONDS CMD   polls until CMD succeeds; 1 on time-out
#   pass/fail/skip MESSAGE; check MESSAGE CMD...; check_not MESSAGE CMD...; equal MESSAGE WANT GOT
#   finish                 last line of every test; skip_all REASON ends it as skipped (status 77)
#   wg_keys NAME...        makes keys; key NAME, pub NAME print them; key_file NAME is the path
#   tt_start a CONFIG|IFNAME [ARG]...; tt_stop a IFNAME; tt_pid a IFNAME; tt_log a IFNAME
#   wgo_start a IFNAME; wgo_stop a IFNAME          Debian's wireguard-go, the peer of interop tests
#   iperf_run CLIENT_NS SERVER_NS ADDRESS [IPERF3 ARG]...    prints the receiver's Mbit/s
#
# Whatever way the test ends, everything it made goes away. TT_KEEP=1 keeps the work folder.
#
# TT_MODE=native|generic   every taltund goes by AF_XDP in that mode, where its interfaces can
# TT_XDP_REPORT=FILE       gets a line of JSON for every taltund: what went by AF_XDP and what did not
# TT_PATIENCE=N            waits N times as long for everything: an emulated processor is slow
set -u

TT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
TT_NAME=$(basename "$0" .sh)
TT_WORK=$(mktemp -d "/tmp/tt-$TT_NAME.XXXXXX") || exit 1
TT_BIN=${TT_BIN:-$TT_ROOT/build/bin}
TT_TOOLS=${TT_TOOLS:-$TT_ROOT/build/tests/tools}
TT_MODE=${TT_MODE:-}
TT_PATIENCE=${TT_PATIENCE:-1}
PATH=$TT_BIN:$PATH
[ -z "$TT_MODE" ] || export TALTUN_DATAPATH_MODE=xdp
TT_PRIVATE_DIRS="/run/wireguard /run/taltun /var/lib/taltun"

tt_passed=0 tt_failed=0 tt_skipped=0 tt_done=
tt_pids=()          # everything started, in order
declare -A tt_ns=()    # short name -> full name
declare -A tt_mnt=()   # short name -> pid that holds the namespace's mounts
declare -A tt_proc=()  # "ns ifname" -> pid of the daemon
tt_made_dirs=()
BG_PID=

# --- results ---------------------------------------------------------------------------------

pass() {
	tt_passed=$((tt_passed + 1))
	echo "  ok    $*"
}

fail() {
	tt_failed=$((tt_failed + 1))
	echo "  FAIL  $*"
}

skip() {
	tt_skipped=$((tt_skipped + 1))
	echo "  skip  $*"
}

check() {
	local message=$1
	shift
	# Not in a subshell: what CMD sets stays set.
	if "$@" >"$TT_WORK/check.out" 2>&1; then
		pass "$message"
	else
		fail "$message"
		echo "        $ $*"
		tail -n 20 "$TT_WORK/check.out" | sed 's/^/        | /'
		return 1
	fi
}

check_not() {
	local message=$1
	shift
	if "$@" >/dev/null 2>&1; then
		fail "$message (succeeded: $*)"
		return 1
	fi
	pass "$message"
}

equal() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1: wanted '$2', got '$3'"
		return 1
	fi
}

# less MESSAGE A B: passes where A < B, numbers of any kind.
less() {
	if awk -v a="$2" -v b="$3" 'BEGIN { exit !(a + 0 < b + 0) }'; then
		pass "$1 ($2 < $3)"
	else
		fail "$1: $2 is not below $3"
		return 1
	fi
}

# The logs of what a failed test started say more than the test.
show_logs() {
	local log
	for log in "$TT_WORK"/*.log; do
		[ -s "$log" ] || continue
		echo "  -- $(basename "$log"), the end:"
		tail -n "${TT_LOG_LINES:-25}" "$log" | sed 's/^/        | /'
	done
}

# A sanitizer's words in a daemon's log, of a build that has one.
no_sanitizer_report() {
	grep -lE 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: ' \
		"$TT_WORK"/*.log 2>/dev/null | while read -r log; do
		fail "a sanitizer's report in $(basename "$log")"
		grep -m 1 -A 30 -E 'Sanitizer|: runtime error: ' "$log" | sed 's/^/        | /'
	done
}

finish() {
	local daemon
	for daemon in "${!tt_proc[@]}"; do
		# shellcheck disable=SC2086 # a namespace and an interface
		xdp_note $daemon
	done
	no_sanitizer_report
	[ "$tt_failed" -eq 0 ] || show_logs
	tt_cleanup
	echo "$TT_NAME: $tt_passed passed, $tt_failed failed, $tt_skipped skipped"
	[ "$tt_failed" -eq 0 ]
	exit
}

skip_all() {
	tt_cleanup
	echo "$TT_NAME: skipped: $*"
	exit 77
}

need_root() {
	[ "$(id -u)" -eq 0 ] || skip_all "needs root"
	[ -c /dev/net/tun ] || skip_all "needs /dev/net/tun"
}

need_commands() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || skip_all "needs $c"
	done
}

wait_for() {
	local end=$((${EPOCHREALTIME/[.,]/} + ${1%.*} * 1000000 * TT_PATIENCE))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/[.,]/}" -lt "$end" ] || return 1
		sleep 0.02
	done
}

# --- clean-up ----------------------------------------------------------------------------------

pid_gone() {
	local state
	[ -r "/proc/$1/stat" ] || return 0
	state=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1)
	[ "$state" = Z ] || [ -z "$state" ]
}

# kill_pids SECONDS PID...: TERM, then KILL for those that are left.
kill_pids() {
	local seconds=$1 p
	shift
	[ $# -gt 0 ] || return 0
	kill -TERM "$@" 2>/dev/null
	for p in "$@"; do
		wait_for "$seconds" pid_gone "$p" || kill -KILL "$p" 2>/dev/null
	done
	wait "$@" 2>/dev/null
	return 0
}

# Of PID..., those that are still ours: an ended one's number may be somebody else's by now.
own_pids() {
	local p parent
	for p in "$@"; do
		read -r _ parent < <(grep -s PPid: "/proc/$p/status") &&
			[ "$parent" = "$$" ] && echo "$p"
	done
}

# Daemons that went into the background by themselves are found by the namespaces we made.
ns_pids() {
	local ns
	for ns in "${tt_ns[@]}"; do
		ip netns pids "$ns" 2>/dev/null
	done | sort -u | grep -vx "$$"
}

# What another test has mounted on a folder goes when the folder does, so the last one removes it.
dirs_hold() {
	[ -n "${tt_dirs_lock:-}" ] || exec {tt_dirs_lock}>/tmp/tt-dirs.lock
	flock -s "$tt_dirs_lock"
}

dirs_release() {
	if [ ${#tt_made_dirs[@]} -gt 0 ] && flock -n -x "$tt_dirs_lock"; then
		rmdir "${tt_made_dirs[@]}" 2>/dev/null
	fi
}

tt_cleanup() {
	local ns holder left
	[ -z "$tt_done" ] || return 0
	tt_done=1
	trap '' INT TERM
	mapfile -t left < <(own_pids "${tt_pids[@]}")
	kill_pids 3 "${left[@]}"
	if [ ${#tt_mnt[@]} -gt 0 ]; then
		mapfile -t left < <(comm -23 <(ns_pids) <(printf '%s\n' "${tt_mnt[@]}" | sort -u))
		kill_pids 3 "${left[@]}"
	fi
	for holder in $(own_pids "${tt_mnt[@]}"); do
		kill -KILL "$holder" 2>/dev/null
		wait "$holder" 2>/dev/null
	done
	for ns in "${tt_ns[@]}"; do
		ip netns del "$ns" 2>/dev/null
	done
	dirs_release
	if [ -n "${TT_KEEP:-}" ]; then
		echo "  kept $TT_WORK"
	else
		rm -rf "$TT_WORK"
	fi
}

trap tt_cleanup EXIT
trap 'tt_cleanup; exit 130' INT
trap 'tt_cleanup; exit 143' TERM

# --- namespaces and links ----------------------------------------------------------------------

ns_name() {
	echo "${tt_ns[$1]}"
}

ns_add() {
	local short full d
	dirs_hold
	for d in $TT_PRIVATE_DIRS; do
		[ -d "$d" ] || { mkdir -p "$d" && tt_made_dirs+=("$d"); }
	done
	for short in "$@"; do
		full=tt$$$short
		ip netns add "$full" || exit 1
		tt_ns[$short]=$full
		# A process holds the mounts: mount namespaces bound to a file are not dependable.
		ip netns exec "$full" unshare -m sh -c "
			mount --make-rprivate / || exit 1
			for d in $TT_PRIVATE_DIRS; do mount -t tmpfs -o size=16m none \$d || exit 1; done
			: >'$TT_WORK/$full.held'
			exec sleep infinity" </dev/null &>"$TT_WORK/$full.holder" &
		tt_mnt[$short]=$!
		wait_for 20 test -e "$TT_WORK/$full.held" || {
			fail "namespace $full: $(cat "$TT_WORK/$full.holder")"
			finish
		}
		in_ns "$short" sysctl -qw net.ipv6.conf.default.accept_dad=0 \
			net.ipv6.conf.default.router_solicitations=0
		in_ns "$short" ip link set lo up
	done
}

# Entering replaces the process, so that a pid taken from & is the command's own.
in_ns() {
	local holder=${tt_mnt[$1]}
	shift
	nsenter -t "$holder" -m -n -- "$@"
}

bg_ns() {
	local holder=${tt_mnt[$1]} log=$2
	shift 2
	nsenter -t "$holder" -m -n -- "$@" </dev/null >>"$log" 2>&1 &
	BG_PID=$!
	tt_pids+=("$BG_PID")
}

# Addresses with DAD off: a test does not wait a second for an address nobody else can have.
addr_add() {
	local ns=$1 dev=$2 a
	for a in ${3//,/ }; do
		case $a in
		*:*) in_ns "$ns" ip addr add "$a" dev "$dev" nodad ;;
		*) in_ns "$ns" ip addr add "$a" dev "$dev" ;;
		esac
	done
}

veth() {
	local a=$1 if_a=$2 addr_a=$3 b=$4 if_b=$5 addr_b=$6 queues=()
	# The driver refuses native XDP where the other end has more queues to send by than this one
	# to receive by.
	[ "$TT_MODE" != generic ] || queues=(numtxqueues 2 numrxqueues 1)
	ip link add "$if_a" netns "$(ns_name "$a")" "${queues[@]}" type veth peer name "$if_b" \
		netns "$(ns_name "$b")" "${queues[@]}" || return 1
	addr_add "$a" "$if_a" "$addr_a"
	addr_add "$b" "$if_b" "$addr_b"
	in_ns "$a" ip link set "$if_a" up
	in_ns "$b" ip link set "$if_b" up
	# IPv6 is dead on a link until the kernel has noticed its carrier.
	wait_for 20 link_is_up "$a" "$if_a" && wait_for 20 link_is_up "$b" "$if_b"
}

link_flag_up() {
	in_ns "$1" ip -o link show dev "$2" up | grep -q .
}

link_is_up() {
	in_ns "$1" ip -o link show dev "$2" | grep -q 'state UP' &&
		! in_ns "$1" ip -6 route show dev "$2" | grep -q linkdown
}

router() {
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# masquerade NS OUT_IF [FLAG]: fully-random is a symmetric NAT, a new port for each destination.
masquerade() {
	router "$1"
	in_ns "$1" nft -f - <<-NFT
		table inet tt_nat {
			chain post {
				type nat hook postrouting priority srcnat;
				oifname "$2" masquerade ${3:-}
			}
		}
	NFT
}

udp_timeout() {
	in_ns "$1" sysctl -qw net.netfilter.nf_conntrack_udp_timeout="$2" \
		net.netfilter.nf_conntrack_udp_timeout_stream="$2"
}

ifname() {
	echo "tt$$$1"
}

# --- WAN emulator --------------------------------------------------------------------------------

wan_pid=

wan_start() {
	local left right
	left=$(ns_name "$1"):$2:$3 right=$(ns_name "$4"):$5:$6
	shift 6
	"$TT_TOOLS/wan" --left "$left" --right "$right" --control "$TT_WORK/wan.sock" "$@" \
		</dev/null >"$TT_WORK/wan.log" 2>&1 &
	wan_pid=$!
	tt_pids+=("$wan_pid")
	wait_for 20 grep -qx ready "$TT_WORK/wan.log"
}

wan_do() {
	printf '%s\n' "$*" | socat -t 2 - "UNIX-CONNECT:$TT_WORK/wan.sock"
}

wan_set() {
	[ "$(wan_do set "$@")" = ok ]
}

wan_stats() {
	wan_do stats
}

# wan_count lr.lost: one counter.
wan_count() {
	wan_stats | jq ".$1"
}

# --- keys ----------------------------------------------------------------------------------------

wg_keys() {
	local n
	for n in "$@"; do
		(umask 077 && wg genkey >"$TT_WORK/$n.key")
		wg pubkey <"$TT_WORK/$n.key" >"$TT_WORK/$n.pub"
	done
}

key() {
	cat "$TT_WORK/$1.key"
}

pub() {
	cat "$TT_WORK/$1.pub"
}

key_file() {
	echo "$TT_WORK/$1.key"
}

# --- daemons -------------------------------------------------------------------------------------

tt_config_name() {
	sed -n 's/^[[:space:]]*name[[:space:]]*=[[:space:]]*"\([^"]*\)".*/\1/p' "$1" | head -n 1
}

tt_log() {
	echo "$TT_WORK/${tt_ns[$1]}-$2.log"
}

tt_pid() {
	echo "${tt_proc["$1 $2"]:-}"
}

# A socket file alone proves nothing: one of a killed daemon stays behind.
daemon_answers() {
	in_ns "$1" wg show "$2" public-key ||
		in_ns "$1" socat -u OPEN:/dev/null "UNIX-CONNECT:/run/taltun/$2.sock"
}

# The daemon answers, or died while starting, which need not be waited for.
daemon_settled() {
	pid_gone "$3" || daemon_answers "$1" "$2"
}

# daemon_start NS IFNAME COMMAND...
daemon_start() {
	local ns=$1 ifname=$2 pid
	shift 2
	bg_ns "$ns" "$(tt_log "$ns" "$ifname")" "$@"
	pid=$BG_PID
	tt_proc["$ns $ifname"]=$pid
	if ! wait_for 10 daemon_settled "$ns" "$ifname" "$pid" || pid_gone "$pid"; then
		echo "  $1 did not start for $ifname:"
		tail -n 15 "$(tt_log "$ns" "$ifname")" | sed 's/^/        | /'
		return 1
	fi
}

daemon_stop() {
	local pid
	pid=$(tt_pid "$1" "$2")
	[ -n "$pid" ] || return 1
	unset "tt_proc[$1 $2]"
	kill_pids 5 "$pid"
}

tt_start() {
	local ns=$1 what=$2 ifname=$2
	shift 2
	if [ -f "$what" ]; then
		ifname=$(tt_config_name "$what")
		daemon_start "$ns" "$ifname" "$TT_BIN/taltund" -f --config "$what" "$@" &&
			wait_for 20 link_flag_up "$ns" "$ifname"
	else
		daemon_start "$ns" "$ifname" "$TT_BIN/taltund" -f "$@" "$ifname"
	fi
}

tt_stop() {
	xdp_note "$1" "$2"
	daemon_stop "$1" "$2"
}

# xdp_note NS IFNAME: to TT_XDP_REPORT, while the daemon can be asked.
xdp_note() {
	[ -n "${TT_XDP_REPORT:-}" ] || return 0
	in_ns "$1" timeout 2 taltun status --json "$2" 2>/dev/null | jq -c --arg test "$TT_NAME" '.[0] |
		{test: $test, node: .interface, mode: .datapath.mode,
		 reasons: [.datapath.interfaces[] | "\(.interface) \(.mode) (\(.reason))"],
		 rx: .datapath.traffic.rx_packets, tx: .datapath.traffic.tx_packets,
		 xdp_rx: ([.datapath.interfaces[].queues[].rx_packets] | add // 0),
		 xdp_tx: ([.datapath.interfaces[].queues[].tx_packets] | add // 0),
		 handshakes: ([.datapath.interfaces[].steering.pass_type // 0] | add // 0),
		 unknown_index: ([.datapath.interfaces[].steering.unknown_index // 0] | add // 0)}' \
		>>"$TT_XDP_REPORT" 2>/dev/null
	return 0
}

wgo_start() {
	daemon_start "$1" "$2" env LOG_LEVEL="${WGO_LOG_LEVEL:-error}" WG_PROCESS_FOREGROUND=1 \
		wireguard-go "$2"
}

wgo_stop() {
	daemon_stop "$1" "$2"
}

need_taltund() {
	[ -x "$TT_BIN/taltund" ] || skip_all "needs $TT_BIN/taltund (make)"
}

# --- traffic -------------------------------------------------------------------------------------

can_ping() {
	local ns=$1 addr=$2
	shift 2
	in_ns "$ns" ping -n -q -c 1 -W "$TT_PATIENCE" "$@" "$addr"
}

# ping_lost FILE: how many answers are missing in what ping printed (without -q), up to the last one
# that came. Its own summary counts what was still on its way when it was stopped.
ping_lost() {
	awk 'match($0, /icmp_seq=[0-9]+/) && !/Unreachable/ {
		n = substr($0, RSTART + 9, RLENGTH - 9) + turns
		if (n < last - 32768) { turns += 65536; n += 65536 }
		if (!(n in seen)) { seen[n] = 1; got++ }
		if (n > last) last = n
	}
	END { print last ? last - got : "no answer" }' "$1"
}

# listening NS PORT: a TCP server is ready there.
listening() {
	in_ns "$1" ss -Hltn "sport = :$2" | grep -q .
}

iperf_run() {
	local client=$1 server=$2 addr=$3 port=${IPERF_PORT:-5201} json=$TT_WORK/iperf.json pid rc
	shift 3
	in_ns "$server" iperf3 -s -1 -p "$port" </dev/null >"$TT_WORK/iperf-server.txt" 2>&1 &
	pid=$!
	wait_for 20 listening "$server" "$port"
	in_ns "$client" timeout "${IPERF_TIMEOUT:-60}" iperf3 -J -c "$addr" -p "$port" "$@" >"$json" 2>&1
	rc=$?
	[ "$rc" -eq 0 ] || kill_pids 1 "$pid"
	wait "$pid" 2>/dev/null
	jq -r '(.end.sum_received // .end.sum).bits_per_second // 0 | . / 1e6 | . * 100 | round / 100' "$json" 2>/dev/null || echo 0
	return "$rc"
}
