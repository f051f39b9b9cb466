# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Contenders and measurements of scripts/bench.sh and scripts/demo.sh. One topology for all:
#
#   namespace a                                   namespace b
#   [v0 10.99.0.1]-------------- veth --------------[v0 10.99.0.2]
#   [tt..a 10.77.0.1] ~~~~~~~~ contender ~~~~~~~~ [tt..b 10.77.0.2]
#
# A contender has three functions: have_X (says why it is absent), start_X, and stop_X where
# stopping the recorded daemons is not enough. Names have _ where the user types -.

. "$(dirname "${BASH_SOURCE[0]}")/../netns/lib.sh"

BENCH_PROTOTYPE=${TALTUN_PROTOTYPE:-$TT_ROOT/../shared/prototype}
BENCH_MTU=1420
ifa=$(ifname a) ifb=$(ifname b)
inner=10.77.0.2   # where the traffic goes: b's address inside the contender
bench_pids=()     # daemons of the contender that is running
bench_contender=  # its name
bench_load_seconds=0

bench_topology() {
	ns_add a b
	veth a v0 10.99.0.1/24 b v0 10.99.0.2/24
}

# bench_daemon NS COMMAND...: a daemon of the running contender.
bench_daemon() {
	local ns=$1
	shift
	bg_ns "$ns" "$TT_WORK/$bench_contender-$ns.log" "$@"
	bench_pids+=("$BG_PID")
}

# Addresses for contenders that leave them to us. $1: interface of a, $2: of b.
bench_addresses() {
	wait_for 10 in_ns a ip link show "$1" && wait_for 10 in_ns b ip link show "$2" || return 1
	in_ns a ip addr replace 10.77.0.1/24 dev "$1"
	in_ns b ip addr replace 10.77.0.2/24 dev "$2"
	in_ns a ip link set "$1" mtu "$BENCH_MTU" up
	in_ns b ip link set "$2" mtu "$BENCH_MTU" up
}

contender_have() {
	"have_${1//-/_}"
}

contender_launch() {
	bench_contender=$1 bench_pids=() inner=10.77.0.2
	"start_${1//-/_}"
}

# Starts the contender and waits until it carries a packet.
contender_start() {
	contender_launch "$1" && wait_for 15 can_ping a "$inner"
}

contender_stop() {
	local name=${bench_contender//-/_}
	if declare -F "stop_$name" >/dev/null; then
		"stop_$name"
	fi
	kill_pids 3 "${bench_pids[@]}"
	bench_pids=()
	wait_for 3 link_absent a "$ifa"
	wait_for 3 link_absent b "$ifb"
	return 0
}

link_absent() {
	! in_ns "$1" ip link show "$2"
}

# --- contenders --------------------------------------------------------------------------------

have_veth() { :; }

start_veth() {
	inner=10.99.0.2
}

# How the next taltund moves its packets; the AF_XDP contenders change it.
taltun_mode=socket taltun_poll=adaptive

# taltun_config FILE IFNAME KEY ADDRESS: the part before the peers.
taltun_config() {
	cat >"$1" <<-TOML
		[interface]
		name = "$2"
		private_key_file = "$(key_file "$3")"
		address = ["$4"]
		listen_port = 51820
		mtu = $BENCH_MTU
		routes = "allowed-ips"
		[datapath]
		mode = "$taltun_mode"
		poll = "$taltun_poll"
		$([ "$taltun_mode" = socket ] || echo 'interfaces = ["v0"]')
		[log]
		level = "warn"
	TOML
}

taltun_peer() {
	cat >>"$1" <<-TOML
		[[peer]]
		name = "$2"
		public_key = "$3"
		allowed_ips = ["$4"]
		${5:+endpoint = \"$5\"}
	TOML
}

start_taltun_binary() {
	local bin=$1 conf=$TT_WORK/taltun
	taltun_config "$conf-a.toml" "$ifa" a 10.77.0.1/24
	taltun_peer "$conf-a.toml" b "$(pub b)" 10.77.0.2/32 10.99.0.2:51820
	taltun_config "$conf-b.toml" "$ifb" b 10.77.0.2/24
	taltun_peer "$conf-b.toml" a "$(pub a)" 10.77.0.1/32 10.99.0.1:51820
	bench_daemon a "$bin" -f --config "$conf-a.toml"
	bench_daemon b "$bin" -f --config "$conf-b.toml"
	wait_for 10 link_flag_up a "$ifa" && wait_for 10 link_flag_up b "$ifb"
}

BENCH_NULL=$TT_ROOT/build/variant-nullaead/bin/taltund

# start_taltun_as MODE POLL BINARY
start_taltun_as() {
	taltun_mode=$1 taltun_poll=$2
	start_taltun_binary "$3"
	local status=$?
	taltun_mode=socket taltun_poll=adaptive
	return $status
}

have_taltun() { [ -x "$TT_BIN/taltund" ] || { echo "no $TT_BIN/taltund (make)" && false; }; }
start_taltun() { start_taltun_binary "$TT_BIN/taltund"; }

have_taltun_null() { [ -x "$BENCH_NULL" ] || { echo "not built (make BENCH_NULL_AEAD=1)" && false; }; }
start_taltun_null() { start_taltun_binary "$BENCH_NULL"; }

# AF_XDP, native copy on veth: the same binary past the kernel.
have_taltun_xdp() { have_taltun; }
start_taltun_xdp() { start_taltun_as xdp adaptive "$TT_BIN/taltund"; }
have_taltun_xdp_null() { have_taltun_null; }
start_taltun_xdp_null() { start_taltun_as xdp adaptive "$BENCH_NULL"; }
have_taltun_busy() { have_taltun; }
start_taltun_busy() { start_taltun_as xdp busy "$TT_BIN/taltund"; }

have_wireguard_go() { have_command wireguard-go && have_command wg; }

start_wireguard_go() {
	wgo_start a "$ifa" && bench_pids+=("$BG_PID") || return 1
	wgo_start b "$ifb" && bench_pids+=("$BG_PID") || return 1
	in_ns a wg set "$ifa" listen-port 51820 private-key "$(key_file a)" peer "$(pub b)" \
		allowed-ips 10.77.0.2/32 endpoint 10.99.0.2:51820
	in_ns b wg set "$ifb" listen-port 51820 private-key "$(key_file b)" peer "$(pub a)" \
		allowed-ips 10.77.0.1/32 endpoint 10.99.0.1:51820
	bench_addresses "$ifa" "$ifb"
}

have_command() {
	command -v "$1" >/dev/null || { echo "$1 is not installed (scripts/setup.sh bench)" && false; }
}

have_nebula() { have_command nebula && have_command nebula-cert; }

# nebula_config NAME IFNAME PEER-INNER PEER-OUTER
nebula_config() {
	cat >"$TT_WORK/nebula-$1.yml" <<-YAML
		pki: {ca: $TT_WORK/neb-ca.crt, cert: $TT_WORK/neb-$1.crt, key: $TT_WORK/neb-$1.key}
		static_host_map: {"$3": ["$4:4242"]}
		lighthouse: {am_lighthouse: false, hosts: []}
		listen: {host: 0.0.0.0, port: 4242}
		tun: {dev: $2, mtu: $BENCH_MTU}
		logging: {level: error}
		firewall:
		  outbound: [{port: any, proto: any, host: any}]
		  inbound: [{port: any, proto: any, host: any}]
	YAML
}

start_nebula() {
	if [ ! -f "$TT_WORK/neb-ca.crt" ]; then
		(cd "$TT_WORK" && nebula-cert ca -name bench -out-crt neb-ca.crt -out-key neb-ca.key &&
			for n in a:1 b:2; do
				nebula-cert sign -ca-crt neb-ca.crt -ca-key neb-ca.key -name "${n%:*}" \
					-ip "10.77.0.${n#*:}/24" -out-crt "neb-${n%:*}.crt" -out-key "neb-${n%:*}.key"
			done) || return 1
	fi
	nebula_config a "$ifa" 10.77.0.2 10.99.0.2
	nebula_config b "$ifb" 10.77.0.1 10.99.0.1
	bench_daemon a nebula -config "$TT_WORK/nebula-a.yml"
	bench_daemon b nebula -config "$TT_WORK/nebula-b.yml"
}

have_fastd() { have_command fastd; }

# fastd_config NAME IFNAME PEER PEER-OUTER
fastd_config() {
	cat >"$TT_WORK/fastd-$1.conf" <<-CONF
		mode tun;
		interface "$2";
		mtu $BENCH_MTU;
		method "salsa2012+umac";
		bind 0.0.0.0:10000;
		secret "$(sed -n 1p "$TT_WORK/fastd-$1.key")";
		log level warn;
		peer "$3" {
			key "$(sed -n 2p "$TT_WORK/fastd-$3.key")";
			remote $4:10000;
		}
	CONF
}

start_fastd() {
	local n
	for n in a b; do
		[ -s "$TT_WORK/fastd-$n.key" ] || fastd --generate-key --machine-readable |
			sed 's/.*: //' >"$TT_WORK/fastd-$n.key"
		# The machine-readable form has the secret alone; the public key is asked for.
		[ "$(wc -l <"$TT_WORK/fastd-$n.key")" -ge 2 ] || {
			echo "secret \"$(cat "$TT_WORK/fastd-$n.key")\";" >"$TT_WORK/fastd-key.conf"
			fastd -c "$TT_WORK/fastd-key.conf" --show-key --machine-readable >>"$TT_WORK/fastd-$n.key"
		}
	done
	fastd_config a "$ifa" b 10.99.0.2
	fastd_config b "$ifb" a 10.99.0.1
	# Two handshakes that cross leave the ends with different sessions: one after the other.
	bench_daemon b fastd -c "$TT_WORK/fastd-b.conf"
	wait_for 10 in_ns b ip link show "$ifb" || return 1
	sleep 0.5
	bench_daemon a fastd -c "$TT_WORK/fastd-a.conf"
	bench_addresses "$ifa" "$ifb"
}

have_openvpn() { have_command openvpn && have_command openssl; }

openvpn_daemon() {
	local ns=$1 ifname=$2 local=$3 remote=$4 peer=$5 role=$6 outer=$7
	bench_daemon "$ns" openvpn --dev "$ifname" --dev-type tun --ifconfig "$local" "$remote" \
		--"$role" --cert "$TT_WORK/ovpn-$ns.crt" --key "$TT_WORK/ovpn-$ns.key" --dh none \
		--peer-fingerprint "$(openssl x509 -in "$TT_WORK/ovpn-$peer.crt" -noout -sha256 \
			-fingerprint | cut -d= -f2)" \
		--remote "$outer" --proto udp --port 1194 --tun-mtu "$BENCH_MTU" --disable-dco \
		--data-ciphers AES-256-GCM --sndbuf 1048576 --rcvbuf 1048576 --txqueuelen 1000 --verb 2
}

start_openvpn() {
	local n
	for n in a b; do
		[ -s "$TT_WORK/ovpn-$n.crt" ] || openssl req -x509 -newkey ec -pkeyopt \
			ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$n" -keyout "$TT_WORK/ovpn-$n.key" \
			-out "$TT_WORK/ovpn-$n.crt" 2>/dev/null
	done
	openvpn_daemon a "$ifa" 10.77.0.1 10.77.0.2 b tls-client 10.99.0.2
	openvpn_daemon b "$ifb" 10.77.0.2 10.77.0.1 a tls-server 10.99.0.1
}

have_prototype() {
	[ -f "$BENCH_PROTOTYPE/socket_tunnel.c" ] || { echo "no $BENCH_PROTOTYPE (TALTUN_PROTOTYPE=DIR)" && return 1; }
	[ -x "$TT_WORK/prototype" ] ||
		gcc -O3 -march=native -w "$BENCH_PROTOTYPE/socket_tunnel.c" -o "$TT_WORK/prototype" \
			-lIPSec_MB -lpthread 2>/dev/null || { echo "does not compile here" && false; }
}

# Its arguments: interface, local, remote, cipher (1: ChaCha20-Poly1305), seconds to live.
start_prototype() {
	bench_daemon a "$TT_WORK/prototype" "$ifa" 10.99.0.1 10.99.0.2 1 3600
	bench_daemon b "$TT_WORK/prototype" "$ifb" 10.99.0.2 10.99.0.1 1 3600
	bench_addresses "$ifa" "$ifb"
}

# --- measurements: each prints one number ---------------------------------------------------------

# iperf_json SECONDS [IPERF3 ARG]...: leaves the receiver's report in $TT_WORK/server.json.
iperf_json() {
	local seconds=$1 server rc
	shift
	in_ns b timeout $((seconds + 15)) iperf3 -s -1 -J </dev/null >"$TT_WORK/server.json" 2>&1 &
	server=$!
	wait_for 5 listening b 5201
	in_ns a timeout $((seconds + 10)) iperf3 -J -c "$inner" -t "$seconds" "$@" >"$TT_WORK/client.json" 2>&1
	rc=$?
	[ "$rc" -eq 0 ] || kill_pids 2 "$server"
	wait "$server" 2>/dev/null
	return "$rc"
}

# received FILTER: a number of the receiver's report; the sender's copy of it where the receiver
# could not write one; 0 where there is neither.
received() {
	local v f
	for f in server client; do
		v=$(jq -r ".end.sum_received | $1 // 0" "$TT_WORK/$f.json" 2>/dev/null) || continue
		[ -n "$v" ] && [ "$v" != 0 ] && echo "$v" && return
	done
	echo 0
}

# One TCP stream, Mbit/s.
measure_tcp() {
	iperf_json "$1"
	received '.bits_per_second / 1e6'
}

# Flood of datagrams of $2 bytes, thousands received a second.
measure_udp_flood() {
	iperf_json "$1" -u -b 0 -l "$2"
	received "if .seconds > 0 then .bytes / $2 / .seconds / 1000 else 0 end"
}

# Highest rate of 1372-byte datagrams that arrives with less than 1 % loss, Mbit/s. Eight
# halvings of 0..$2 Mbit/s, a rate fails when it fails twice; what was received counts, since a
# sender may not reach what it was asked for.
measure_udp_loss() {
	local seconds=$1 low=0 high=${2:-4096} best=0 rate got
	for _ in 1 2 3 4 5 6 7 8; do
		rate=$(((low + high) / 2))
		if got=$(without_loss "$seconds" "$rate") || got=$(without_loss "$seconds" "$rate"); then
			best=$(awk -v a="$best" -v b="$got" 'BEGIN { print (a > b) ? a : b }')
			low=$rate
		else
			high=$rate
		fi
	done
	echo "$best"
}

# The Mbit/s received of $2 sent; fails where 1 % or more is lost.
without_loss() {
	local got loss
	iperf_json "$1" -u -b "$2M" -l 1372 || return 1
	got=$(received '.bits_per_second / 1e6')
	loss=$(received 'if .packets > 0 then .lost_packets * 100 / .packets + 1e-9 else 100 end')
	echo "$got"
	awk -v l="$loss" -v g="$got" 'BEGIN { exit !(l < 1 && g > 0) }'
}

# ping_us PERCENTILE COUNT: round trip in µs, echoes 10 ms apart.
ping_us() {
	in_ns a ping -n -c "$2" -i 0.01 -W 2 "$inner" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' |
		sort -n | awk -v p="$1" '{ v[NR] = $1 * 1000 }
			END { i = int(NR * p / 100 + 0.999); if (i < 1) i = 1; print NR ? v[i] : 0 }'
}

measure_ping_idle() {
	ping_us 50 300
}

# The 99th percentile while one TCP stream runs.
measure_ping_load() {
	local seconds=$1 pid
	iperf_json $((seconds + 1)) &
	pid=$!
	sleep 0.5
	ping_us 99 $((seconds * 100))
	wait "$pid"
}

# --- idle peers -----------------------------------------------------------------------------------

# random_keys N: N public keys nobody has.
random_keys() {
	base64 -w 44 /dev/urandom 2>/dev/null | head -n "$1" | sed 's/..$/A=/'
}

# taltun_many FILE N: a node with N peers of one allowed IP each.
taltun_many() {
	taltun_config "$1" "$ifa" a 10.77.0.1/16
	sed -i 's/^routes = .*/routes = "none"/' "$1"
	random_keys "$2" | awk '{ printf "[[peer]]\npublic_key = \"%s\"\nallowed_ips = [\"10.%d.%d.%d/32\"]\n",
		$1, 100 + int(NR / 65536), int(NR / 256) % 256, NR % 256 }' >>"$1"
}

# A process and all below it.
process_tree() {
	local p
	echo "$1"
	cat "/proc/$1"/task/*/children 2>/dev/null | tr ' ' '\n' | while read -r p; do
		[ -z "$p" ] || process_tree "$p"
	done
}

# CPU ticks used so far by the processes of a tree.
tree_ticks() {
	local p sum=0 t
	for p in $(process_tree "$1"); do
		t=$(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null | awk '{ print $12 + $13 }')
		sum=$((sum + ${t:-0}))
	done
	echo "$sum"
}

tree_rss_anon_kib() {
	local p
	for p in $(process_tree "$1"); do
		cat "/proc/$p/status" 2>/dev/null
	done | awk '/^RssAnon:/ { s += $2 } END { print s + 0 }'
}

has_peers() {
	[ "$(in_ns a wg show "$ifa" peers | wc -l)" -eq "$1" ]
}

# taltun_many_start N: started with N peers; bench_load_seconds is the time until it answers.
taltun_many_start() {
	local conf=$TT_WORK/many-$1.toml from
	taltun_many "$conf" "$1"
	from=${EPOCHREALTIME/[.,]/}
	bench_contender=taltun-many bench_pids=()
	bench_daemon a "$TT_BIN/taltund" -f --config "$conf"
	wait_for 30 link_flag_up a "$ifa" && wait_for 30 has_peers "$1" || return 1
	# shellcheck disable=SC2034 # read by bench.sh
	bench_load_seconds=$(awk -v a="$from" -v b="${EPOCHREALTIME/[.,]/}" 'BEGIN { print (b - a) / 1e6 }')
}
