#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# STUN with coturn's tools: `taltun stun` asks turnserver, turnutils_stunclient asks our server, and
# both with a NAT between.
#
#   c -- 10.8.0.0/24, fd08::/64 -- r -- 198.51.100.0/24, fd51::/64 -- s
#   client                         NAT (IPv4)                         server
#
. "$(dirname "$0")/../netns/lib.sh"

need_root
need_commands turnserver turnutils_stunclient taltun jq nft socat xxd
[ -x "$TT_TOOLS/stun_server" ] || skip_all "needs build/tests/tools/stun_server"

ns_add c r s
veth c v0 10.8.0.2/24,fd08::2/64 r v0 10.8.0.1/24,fd08::1/64
veth r v1 198.51.100.1/24,fd51::1/64 s v0 198.51.100.9/24,fd51::9/64
router r
in_ns c ip route add default via 10.8.0.1
in_ns c ip -6 route add default via fd08::1
in_ns s ip -6 route add default via fd51::1
in_ns r nft -f - <<-NFT
	table ip tt_nat {
		chain post {
			type nat hook postrouting priority srcnat;
			oifname v1 masquerade
		}
	}
NFT

# ask [OPTION]... SERVER: as JSON in $answer
ask() {
	answer=$(in_ns c timeout 15 taltun stun --json "$@")
}

# field NAME: of the last answer
field() { jq -r ".$1" <<<"$answer"; }

# clients WHICH UDP_PORT: what our client has to get from any server
clients() {
	local which=$1 udp_port=$2
	check "$which: our client, IPv4" ask --port 40001 "198.51.100.9:$udp_port"
	equal "$which: it is behind a NAT" true "$(field nat)"
	equal "$which: the NAT's address" 198.51.100.1 "$(field reflexive | cut -d: -f1)"
	equal "$which: its own address" 10.8.0.2:40001 "$(field local)"
	less "$which: a round trip" 0 "$(field rtt_ms)"
	check "$which: our client, IPv6" ask --port 40002 "[fd51::9]:$udp_port"
	equal "$which: no NAT" false "$(field nat)"
	equal "$which: its address over IPv6" '[fd08::2]:40002' "$(field reflexive)"
	equal "$which: plain output" '[fd08::2]:40003' \
		"$(in_ns c taltun stun --port 40003 "[fd51::9]:$udp_port")"
}

udp_is_open() {
	in_ns s ss -Hlnu "sport = :$1" | grep -q .
}

# --- their server --------------------------------------------------------------------------------

bg_ns s "$TT_WORK/turnserver.log" turnserver -n --stun-only --no-cli --no-tls --no-dtls \
	--listening-ip 198.51.100.9 --listening-ip fd51::9 --listening-port 3478 \
	--userdb "$TT_WORK/turndb" --log-file stdout --simple-log --pidfile "$TT_WORK/turnserver.pid"
turnserver=$BG_PID
check "turnserver starts" wait_for 20 udp_is_open 3478
clients turnserver 3478
check_not "a udp_port where nobody is" ask 198.51.100.9:3999
kill_pids 5 "$turnserver"

# --- our server ----------------------------------------------------------------------------------

bg_ns s "$TT_WORK/stun_server.log" "$TT_TOOLS/stun_server" 3480
stun_server=$BG_PID
check "stun_server starts" wait_for 20 grep -q ready "$TT_WORK/stun_server.log"
clients stun_server 3480

# their_client ADDRESS: what turnutils_stunclient says that its reflexive address is
their_client() {
	in_ns c timeout 15 turnutils_stunclient -p 3480 "$1" >"$TT_WORK/client.out" 2>&1
	sed -nE 's/.*UDP reflexive addr: *//p' "$TT_WORK/client.out" | tail -n 1
}

got=$(their_client 198.51.100.9)
equal "turnutils_stunclient, IPv4" 198.51.100.1 "${got%:*}"
got=$(their_client fd51::9)
equal "turnutils_stunclient, IPv6" fd08::2 "$(sed -E 's/^\[?([0-9a-f:]*)\]?:[0-9]+$/\1/' <<<"$got" | sed 's/\]$//')"

# --- what is broken (case 24) --------------------------------------------------------------------

# raw HEX: sends it to our server; prints what comes back
raw() {
	xxd -r -p <<<"$1" | in_ns c timeout 5 socat -t 0.5 - UDP4:198.51.100.9:3480 | xxd -p | tr -d '\n'
}
id=000102030405060708090a0b
less "case_24: a plain request is answered" 0 "$(raw "000100002112a442$id" | wc -c)"
equal "case_24: unknown required attribute gets 420 with its type" \
	"011100102112a442${id}0009000400000414000a000200030000" "$(raw "000100082112a442${id}0003000400000006")"
equal "case_24: length not a multiple of four" "" "$(raw "000100012112a442${id}00")"
equal "case_24: attribute past the end" "" "$(raw "000100042112a442${id}8022ffff")"
equal "case_24: bad fingerprint" "" "$(raw "000100082112a442${id}8028000412345678")"
equal "case_24: a response" "" "$(raw "010100002112a442$id")"
equal "case_24: an indication" "" "$(raw "001100002112a442$id")"
equal "case_24: WireGuard's first byte" "" "$(raw "010000002112a442$id")"
equal "case_24: cut short" "" "$(raw "000100002112a442")"

kill_pids 5 "$stun_server"
result=$(tail -n 1 "$TT_WORK/stun_server.log")
equal "the server counted what it was silent about" 7 "$(jq '[.silent[]] | add' <<<"$result")"
equal "one bad fingerprint" 1 "$(jq '.silent.stun_bad_fingerprint' <<<"$result")"
equal "two that nobody asked for" 2 "$(jq '.silent.stun_unexpected' <<<"$result")"

# --- an answer that is not the server's (case 24) ------------------------------------------------

# Everything that leaves s from 3480 comes from another udp_port: the id is right, the source is not.
bg_ns s "$TT_WORK/stun_server2.log" "$TT_TOOLS/stun_server" 3481
check "stun_server starts again" wait_for 20 grep -q ready "$TT_WORK/stun_server2.log"
check "it answers" ask '[fd51::9]:3481'
in_ns s nft -f - <<-NFT
	table ip6 tt_other {
		chain out {
			type filter hook output priority raw;
			udp sport 3481 udp sport set 3499
		}
	}
NFT
check_not "case_24: from another udp_port it does not count" ask '[fd51::9]:3481'

# --- whom we do not ask (case 23) ----------------------------------------------------------------

for target in 127.0.0.1 0.0.0.0 169.254.1.1 224.0.0.1 255.255.255.255 '[::1]' '[::]' \
	'[::ffff:127.0.0.1]:3478' '[ff02::1]' ::1; do
	said=$(in_ns c taltun stun "$target" 2>&1)
	case $said in
	*"are not asked"*) pass "case_23: $target is refused" ;;
	*) fail "case_23: $target: $said" ;;
	esac
done
finish
