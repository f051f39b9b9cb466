#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What testssl.sh finds at the hub's TCP port: nothing below TLS 1.3, no renegotiation, no
# compression. One namespace.
#
. "$(dirname "$0")/../netns/lib.sh"

need_root
need_commands testssl jq openssl
HUB=$TT_BIN/taltun-hub
[ -x "$HUB" ] || skip_all "needs taltun-hub"
ns_add a
in_ns a ip link set lo up
D=$TT_WORK/hub
in_ns a "$HUB" init --name 127.0.0.1:14443 --dir "$D" >/dev/null
cat >"$D/hub.toml" <<-END
	[hub]
	listen = ["127.0.0.1:14443"]
	[stun]
	udp_port = 0
	[relay]
	udp_port = 0
	[limits]
	accepts_per_second = 0
	strangers_per_source = 1000
END
bg_ns a "$TT_WORK/hub.log" "$HUB" serve --dir "$D"
check "the hub serves" wait_for 10 in_ns a "$HUB" status --dir "$D"

# handshake OPTION...: what openssl's client says of it
handshake() {
	in_ns a timeout 10 openssl s_client -connect 127.0.0.1:14443 "$@" </dev/null 2>&1
}
check "TLS 1.3 with the hub's ALPN opens" grep -q 'New, TLSv1.3' <<<"$(handshake -tls1_3 -alpn taltun/1)"
check_not "another ALPN does not" grep -q 'New, TLSv1.3' <<<"$(handshake -tls1_3 -alpn h2)"
check_not "nor none at all" grep -q 'Verify return code.*ALPN' <<<"$(handshake -tls1_3)"
check_not "TLS 1.2 does not" grep -q 'New, TLSv1.2' <<<"$(handshake -tls1_2 -alpn taltun/1)"

in_ns a timeout 300 testssl --quiet --color 0 --warnings off --nodns none -p \
	--jsonfile "$TT_WORK/out.json" 127.0.0.1:14443 >"$TT_WORK/testssl.out" 2>&1 </dev/null
found() { jq -r --arg id "$1" '[.[] | select(.id == $id).finding] | join(" ")' "$TT_WORK/out.json"; }
for id in SSLv2 SSLv3 TLS1 TLS1_1 TLS1_2; do
	check "case 26: testssl: $id is not offered ($(found $id))" grep -q 'not offered' <<<"$(found $id)"
done
check "the hub still answers" in_ns a "$HUB" status --dir "$D"
finish
