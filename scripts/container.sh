#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Makes the container image of the node or of the hub from what is built, without a container daemon, a
# builder, a network, or root. The image has the programs, the libraries that they load, and nothing
# else: no shell, no package manager. docs/containers.md says how it is run.
#
# usage: scripts/container.sh node|hub [--output FILE]     FILE: build/container/taltun-KIND_VERSION_ARCH.tar
#        scripts/container.sh node|hub --root DIRECTORY    its files only, for a Containerfile
#
# FILE is what `docker load` and `podman load` take; its name there is localhost/taltun-KIND:VERSION.
# Libraries, and nft for the node, are those of this Debian: bring it up to date before. The same inputs
# give the same bytes; SOURCE_DATE_EPOCH counts.
set -eu
cd "$(dirname "$0")/.."

user_id=65532      # of the node's engine, and of the hub
bin=${TT_BIN:-build/bin}

fail() {
	echo "container.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '8,9s/^# \{0,1\}//p' "$0"
}

# --- files -------------------------------------------------------------------------------------

# package_of FILE: a library is found below /lib, and may be listed below /usr/lib, or the other way.
package_of() {
	local path
	for path in "$1" "/usr$1" "${1#/usr}"; do
		dpkg-query -S "$path" 2>/dev/null | head -n 1 | sed 's/: .*//' | grep . && return
	done
	fail "no package has $1"
}

# What a scanner for known faults wants to know, and what licences ask for.
put_package() {
	local package=$1 name=${1%%:*}
	mkdir -p "$root/usr/share/doc/$name" "$root/var/lib/dpkg/status.d"
	cp -L "/usr/share/doc/$name/copyright" "$root/usr/share/doc/$name/"
	dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$name"
}

# Debian's /lib and the like are links into /usr, here as well.
put_libraries() {
	local library
	ldd "$@" | sed -nE 's/^.*=> (\/[^ ]+) .*/\1/p; s/^[[:space:]]*(\/[^ ]+) .*/\1/p' | sort -u |
		while read -r library; do
			package_of "$library" >>"$work/packages"
			mkdir -p "$root$(dirname "$library")"
			cp -L "$library" "$root$library"
		done
}

put_program() {
	install -D -m 755 "$1" "$root$2"
	strip --strip-unneeded "$root$2"
}

put_users() {
	local name=$1
	printf 'root:x:0:0:root:/root:/sbin/nologin\n%s:x:%d:%d::/:/sbin/nologin\n' "$name" $user_id \
		$user_id >"$root/etc/passwd"
	printf 'root:x:0:\n%s:x:%d:\n' "$name" $user_id >"$root/etc/group"
}

put_skeleton() {
	mkdir -p "$root"/{etc/taltun,dev,proc,run,sys,tmp,usr/{bin,sbin,lib,lib64},var/lib} \
		"$root/usr/share/doc/taltun"
	ln -s usr/lib "$root/lib"
	ln -s usr/lib64 "$root/lib64"
	ln -s ../run "$root/var/run"
	chmod 1777 "$root/tmp"
	cp -L /etc/os-release "$root/etc/os-release"
	cp LICENSE "$root/usr/share/doc/taltun/copyright"
}

# For taltun top, by whatever terminal it is looked at.
put_terminals() {
	mkdir -p "$root/usr/lib/terminfo"
	cp -RL /lib/terminfo/. "$root/usr/lib/terminfo/"
	echo ncurses-base >>"$work/packages"
}

put_node() {
	local nft
	nft=$(PATH=$PATH:/usr/sbin:/sbin command -v nft) || fail "the node needs nft: apt install nftables"
	put_program "$bin/taltund" /usr/sbin/taltund
	put_program "$bin/taltun" /usr/bin/taltun
	put_program "$nft" /usr/sbin/nft
	package_of "$nft" >>"$work/packages"
	put_users taltun
	put_libraries "$bin/taltund" "$bin/taltun" "$nft"
	put_terminals
	mkdir -m 700 "$root/var/lib/taltun"
}

put_hub() {
	put_program "$bin/taltun-hub" /usr/sbin/taltun-hub
	put_users taltun-hub
	put_libraries "$bin/taltun-hub"
	install -m 644 packaging/deb/taltun-hub.files/etc/taltun/hub.toml "$root/etc/taltun/"
	mkdir -m 700 "$root/var/lib/taltun-hub"
}

put_files() {
	local package
	put_skeleton
	"put_$kind"
	sort -u "$work/packages" | while read -r package; do
		put_package "$package"
	done
	chmod -R go-w,a+rX "$root/etc" "$root/usr" "$root/var/lib/dpkg"
}

# --- image -------------------------------------------------------------------------------------

sum_of() { sha256sum "$1" | cut -d' ' -f1; }

# pack FILE DIRECTORY [OPTION]... [PATH]...: the same bytes for the same files.
pack() {
	local file=$1 directory=$2
	shift 2
	tar -C "$directory" --format=gnu --numeric-owner --sort=name --mtime="@$SOURCE_DATE_EPOCH" "$@" \
		-f "$file"
}

pack_layer() {
	local state=./var/lib/taltun
	[ "$kind" = node ] || state=./var/lib/taltun-hub
	pack "$1" "$root" --owner=0 --group=0 --exclude="$state" -c .
	if [ "$kind" = hub ]; then
		pack "$1" "$root" --owner=$user_id --group=$user_id -r "$state"
	else
		pack "$1" "$root" --owner=0 --group=0 -r "$state"
	fi
}

# The form of `docker save`.
write_image() {
	local layer config created tag=localhost/taltun-$kind:$version
	mkdir "$work/image"
	pack_layer "$work/layer.tar"
	layer=$(sum_of "$work/layer.tar")
	mkdir "$work/image/$layer"
	mv "$work/layer.tar" "$work/image/$layer/layer.tar"
	created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
	printf '{"architecture":"%s","os":"linux","created":"%s","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","created_by":"scripts/container.sh %s"}]}' \
		"$arch" "$created" "$(awk -f packaging/container/config.awk "packaging/container/Containerfile.$kind")" "$layer" \
		"$created" "$kind" >"$work/config"
	config=$(sum_of "$work/config")
	mv "$work/config" "$work/image/$config.json"
	printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]\n' "$config" "$tag" \
		"$layer" >"$work/image/manifest.json"
	mkdir -p "$(dirname "$output")"
	pack "$output" "$work/image" --owner=0 --group=0 -c manifest.json "$config.json" "$layer"
	echo "$output: $tag, $(du -sk --apparent-size "$root" | cut -f1) KiB of files"
}

kind=${1:-} output='' root=''
case $kind in
node | hub) shift ;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 64 ;;
esac
while [ $# -gt 0 ]; do
	case $1 in
	--output) output=${2:?"--output needs a file"} && shift 2 ;;
	--root) root=${2:?"--root needs a directory"} && shift 2 ;;
	*) usage >&2 && exit 64 ;;
	esac
done

command -v dpkg-query >/dev/null || fail "not a Debian: use packaging/container/Containerfile.$kind"
command -v strip >/dev/null || fail "needs strip: apt install binutils"
for program in taltun taltund taltun-hub; do
	[ -x "$bin/$program" ] || fail "$bin/$program is not built: make"
done
version=$("$bin/taltun" version | cut -d' ' -f2)
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH LC_ALL=C
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -n "$root" ]; then
	mkdir -p "$root"
	[ -z "$(ls -A "$root")" ] || fail "$root is not empty"
	root=$(cd "$root" && pwd)
	put_files
	echo "$root: files of the $kind"
else
	root=$work/root
	mkdir "$root"
	put_files
	output=${output:-build/container/taltun-${kind}_${version}_$arch.tar}
	write_image
fi
