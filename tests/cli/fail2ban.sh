#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The fail2ban filter finds who failed to authenticate in what a real hub logs, in both formats, and
# nobody else; what a stranger may put into a line does not make him another.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun taltun-hub openssl jq
[ "$(id -u)" -eq 0 ] || skip_all "needs root"
command -v fail2ban-regex >/dev/null || skip_all "fail2ban is not installed"
conf=/etc/fail2ban
filter=$TT_WORK/fail2ban/filter.d/taltun-hub.conf
mkdir "$TT_WORK/fail2ban"
cp -R "$conf/filter.d" "$TT_WORK/fail2ban/"
cp "$TT_ROOT/scripts/fail2ban/taltun-hub.filter" "$filter"

# matched LOG: failures, one a line: their source
matched() { fail2ban-regex -o ip "$1" "$filter" 2>/dev/null | sort; }

chmod 755 "$TT_WORK" # the hub becomes nobody
ns_add h
hub_logs() {
	local format=$1 dir=$TT_WORK/hub-$1
	check "a hub that logs as $format" taltun-hub --dir "$dir" init --name 127.0.0.1:14443
	printf '[hub]\nlisten = ["127.0.0.1:14443"]\nuser = "nobody"\n[stun]\nudp_port = 0\n[relay]\nudp_port = 0\n[log]\nformat = "%s"\n' \
		"$format" >"$dir/hub.toml"
	bg_ns h "$TT_WORK/$format.log" taltun-hub --dir "$dir" serve
	check "serves" wait_for 10 grep -q hub.loaded "$TT_WORK/$format.log"
	# no TLS at all; TLS 1.2; a token of nobody
	in_ns h timeout 20 bash -c 'exec 3<>/dev/tcp/127.0.0.1/14443
		printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3 >/dev/null'
	in_ns h timeout 20 openssl s_client -connect 127.0.0.1:14443 -tls1_2 </dev/null >/dev/null 2>&1
	token=$(taltun-hub --dir "$dir" token create --name x)
	taltun-hub --dir "$dir" token revoke "$(taltun-hub --dir "$dir" token list --json | jq -r '.[0].id')" >/dev/null
	in_ns h taltun enroll --no-start --config-dir "$TT_WORK/etc" "$token" >"$TT_WORK/enroll.out" 2>&1
	check "three failures are in the log" wait_for 10 eval \
		"test \$(grep -c 'auth\.failed' '$TT_WORK/$format.log') -eq 3"
	kill "$BG_PID"
	equal "the filter finds them in $format" "127.0.0.1 127.0.0.1 127.0.0.1" \
		"$(matched "$TT_WORK/$format.log" | paste -sd' ')"
	check "one by its token" grep -q 'method[=":]*token' "$TT_WORK/$format.log"
}
hub_logs logfmt
hub_logs json

cat >"$TT_WORK/made.log" <<'END'
ts=2026-01-02T03:04:05.678Z level=warn event=auth.failed source=2001:db8::7 method=tls why=protocol
<4>ts=2026-01-02T03:04:05.678Z level=warn event=auth.failed source=203.0.113.5 method=certificate why=unknown
ts=2026-01-02T03:04:05.678Z level=warn event=auth.failed source=203.0.113.6 method=tls why=protocol suppressed=812
Jan  2 03:04:05 host taltun-hub[77]: ts=2026-01-02T03:04:05.678Z level=warn event=auth.failed source=203.0.113.7 method=token why="no such token"
END
equal "IPv6, and what syslog and the journal put in front" "2001:db8::7 203.0.113.5 203.0.113.6 203.0.113.7" "$(matched "$TT_WORK/made.log" | paste -sd' ')"
cat >"$TT_WORK/other.log" <<'END'
ts=2026-01-02T03:04:05.678Z level=info event=hub.node_joined node=x from=203.0.113.7:99
ts=2026-01-02T03:04:05.678Z level=warn event=enrol.refused from=203.0.113.7:99 why="x event=auth.failed source=203.0.113.8 method=token why=y"
ts=2026-01-02T03:04:05.678Z level=info event=hub.node_left node="level=warn event=auth.failed source=203.0.113.9 method=tls why=z"
ts=2026-01-02T03:04:05.678Z level=warn event=log.suppressed of=auth.failed reason=tls count=7
END
equal "others are left alone" "" "$(matched "$TT_WORK/other.log")"
finish
