#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The Debian packages: built, complete, and lintian finds no error. With TT_ALL=1 (make check-deb)
# they are installed into a fresh Debian, where the node carries traffic, removed and purged.
#
#	a (fresh Debian, taltund of the package)  10.8.0.1 --- 10.8.0.2  b (taltund of this build)
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands make taltun taltund
[ -x "$TT_BIN/taltun-hub" ] || skip_all "taltun-hub is not built"
for c in dpkg-deb dpkg-shlibdeps strip; do
	command -v "$c" >/dev/null || skip_all "$c is not installed"
done
debs=$TT_WORK/debs
# whose packages they are is for whoever makes them to say
export DEBFULLNAME=Taltun DEBEMAIL=taltun@debian.org
check "the packages are built" "$TT_ROOT/packaging/deb/build.sh" "$debs" || finish
version=$(taltun version | cut -d' ' -f2)
node=$(echo "$debs"/taltun_*.deb) hub=$(echo "$debs"/taltun-hub_*.deb)

# --- what is in them -------------------------------------------------------------------------

dpkg-deb -c "$node" | sed -E 's/^([^ ]+ ){2}.* \.//; s/ ->.*//' >"$TT_WORK/node.list"
dpkg-deb -c "$hub" | sed -E 's/^([^ ]+ ){2}.* \.//; s/ ->.*//' >"$TT_WORK/hub.list"
has() { check "$2 is in $1" grep -qxF "$2" "$TT_WORK/$1.list"; }
for f in /usr/sbin/taltund /usr/bin/taltun '/lib/systemd/system/taltund@.service' \
	/usr/lib/sysusers.d/taltun.conf /etc/taltun/ /etc/sysctl.d/70-taltun.conf \
	/usr/share/man/man8/taltund.8.gz /usr/share/man/man8/taltun.8.gz \
	/usr/share/man/man5/taltun.toml.5.gz /usr/share/bash-completion/completions/taltun \
	/usr/share/zsh/vendor-completions/_taltun /usr/share/fish/vendor_completions.d/taltun.fish \
	/usr/share/doc/taltun/copyright /usr/share/doc/taltun/grafana/taltun.json \
	/usr/share/doc/taltun/grafana/alerts.yml; do
	has node "$f"
done
for f in /usr/sbin/taltun-hub /lib/systemd/system/taltun-hub.service \
	/usr/lib/sysusers.d/taltun-hub.conf /etc/taltun/hub.toml /usr/share/man/man8/taltun-hub.8.gz \
	/usr/share/bash-completion/completions/taltun-hub /usr/share/doc/taltun-hub/copyright \
	/usr/share/doc/taltun-hub/fail2ban/taltun-hub.filter; do
	has hub "$f"
done
equal "no file is in both" "" "$(grep -v '/$' "$TT_WORK/node.list" | grep -xFf - "$TT_WORK/hub.list")"
equal "conffiles" "/etc/sysctl.d/70-taltun.conf /etc/taltun/hub.toml" \
	"$({ dpkg-deb -I "$node" conffiles && dpkg-deb -I "$hub" conffiles; } | paste -sd' ')"
check "libraries are depended on" eval "dpkg-deb -f '$node' Depends | grep -q 'libc6 (>= .*libssl3'"
mkdir "$TT_WORK/x"
dpkg-deb -x "$hub" "$TT_WORK/x"
dpkg-deb -x "$node" "$TT_WORK/x"
for f in usr/sbin/taltund usr/bin/taltun usr/sbin/taltun-hub; do
	less "$f has less than 3 MB" "$(stat -c %s "$TT_WORK/x/$f")" 3000000
done
check "the hub.toml of the package is valid" sh -c "cp '$TT_WORK/x/etc/taltun/hub.toml' '$TT_WORK/hub.toml' &&
	mkdir '$TT_WORK/h' && cp '$TT_WORK/hub.toml' '$TT_WORK/h/' && { '$TT_BIN/taltun-hub' --dir '$TT_WORK/h' serve
	test \$? -eq 1; }"
if command -v lintian >/dev/null; then
	check "lintian finds no error, and nothing to warn of" lintian --allow-root --fail-on error,warning \
		"$node" "$hub"
else
	skip "lintian is not installed"
fi
for s in "$TT_ROOT"/packaging/deb/*.p*; do
	check "sh reads ${s##*/}" sh -n "$s"
done

# --- a fresh Debian --------------------------------------------------------------------------

if [ -z "${TT_ALL:-}" ]; then
	skip "installing into a fresh Debian takes a minute: make check-deb"
	finish
fi
if [ "$(id -u)" -ne 0 ] || ! command -v mmdebstrap >/dev/null; then
	skip "needs root and mmdebstrap: a fresh Debian"
	finish
fi
root=$TT_WORK/root
# by name alone; what they pull in comes by itself
depends=$({ dpkg-deb -f "$node" Depends && echo , && dpkg-deb -f "$hub" Depends; } | tr ',' '\n' |
	sed -E 's/\(.*//; s/ //g; /^$/d' | sort -u | paste -sd,)
if ! mmdebstrap --quiet --mode=root --variant=essential --include="$depends" \
	--aptopt='Acquire::Retries "2"' bookworm "$root" >"$TT_WORK/mmdebstrap.log" 2>&1; then
	skip "no mirror: $(grep -m1 -E '^E:' "$TT_WORK/mmdebstrap.log")"
	finish
fi
in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
# what a package manager keeps for itself says nothing about ours
files() {
	(cd "$root" && find . -xdev ! -path './proc/*' ! -path './dev/*' ! -path './var/lib/dpkg/*' \
		! -path './var/cache/*' ! -path './var/log/*' ! -path './tmp/*' ! -path './run/adduser' ! -name '*-' | sort)
	# lines of the users, not their order
	sort "$root/etc/passwd" "$root/etc/group"
}

files >"$TT_WORK/before"
cp "$node" "$hub" "$root/tmp/"
check "both install, without a network" in_root sh -c 'dpkg -i /tmp/taltun*.deb'
for u in taltun taltun-hub; do
	check "there is a user $u" in_root getent passwd "$u"
done
check "the node's program runs" in_root taltund --version
check "the hub's as well" in_root taltun-hub version
check "a hub is made beside its conffile" in_root taltun-hub init --name hub.example.com

ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
wg_keys b
mkdir -p "$root/dev/net"
[ -c "$root/dev/net/tun" ] || mknod -m 666 "$root/dev/net/tun" c 10 200
tb=$(ifname b)
check "a key is made there" in_root sh -c 'umask 077; taltun genkey > /etc/taltun/tt0.key'
in_root sh -c 'taltun pubkey < /etc/taltun/tt0.key' >"$TT_WORK/a.pub"
cat >"$root/etc/taltun/tt0.toml" <<END
[interface]
private_key_file = "/etc/taltun/tt0.key"
address = ["10.77.0.1/24"]
listen_port = 51820
[[peer]]
public_key = "$(pub b)"
endpoint = "10.8.0.2:51820"
allowed_ips = ["10.77.0.2/32"]
END
cat >"$TT_WORK/$tb.toml" <<END
[interface]
name = "$tb"
private_key_file = "$(key_file b)"
address = ["10.77.0.2/24"]
listen_port = 51820
[[peer]]
public_key = "$(pub a)"
endpoint = "10.8.0.1:51820"
allowed_ips = ["10.77.0.1/32"]
END
chmod 600 "$TT_WORK/$tb.toml"
node_in_root() { in_ns a chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
check "its configuration is valid" in_root taltun check-config /etc/taltun/tt0.toml
check "the node of the package is up" node_in_root taltun up tt0
check "and the other one" tt_start b "$TT_WORK/$tb.toml"
check "traffic passes" wait_for 20 in_ns b ping -c 1 -W 1 10.77.0.1
equal "its engine is the user taltun" "$(in_root id -u taltun)" \
	"$(ps -o uid= --ppid "$(cat "$root/run/taltun/tt0.lock")" | tr -d ' ' | sort -u)"
# another version, after the administrator has changed a conffile
echo "net.ipv4.ip_forward = 1" >>"$root/etc/sysctl.d/70-taltun.conf"
DEB_VERSION=$version.1 "$TT_ROOT/packaging/deb/build.sh" "$TT_WORK/newer" >/dev/null
cp "$TT_WORK"/newer/*.deb "$root/tmp/"
check "an upgrade installs" in_root sh -c "dpkg -i /tmp/taltun*_$version.1_*.deb"
# shellcheck disable=SC2016 # a word of dpkg-query's
equal "and is what runs next" "$version.1" "$(in_root dpkg-query -W -f '${Version}' taltun)"
check "it leaves a changed conffile alone" grep -qx "net.ipv4.ip_forward = 1" "$root/etc/sysctl.d/70-taltun.conf"
check "and the node that runs" wait_for 20 in_ns b ping -c 1 -W 1 10.77.0.1
check "removal takes the node down" node_in_root dpkg -r taltun taltun-hub
check_not "its interface is gone" in_ns a ip link show tt0
check "the key is left" test -s "$root/etc/taltun/tt0.key"
check "the hub's CA as well" test -s "$root/var/lib/taltun-hub/ca.key"
rm "$root/etc/taltun/tt0.key" "$root/etc/taltun/tt0.toml"
check "purge" in_root dpkg --purge taltun taltun-hub
files >"$TT_WORK/after"
equal "nothing is left" "" "$(diff "$TT_WORK/before" "$TT_WORK/after")"
finish
