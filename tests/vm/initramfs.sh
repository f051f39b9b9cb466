#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Makes the initramfs of one virtual machine: busybox, the commands and libraries of this host that
# the tests use, the programs of this build, and the kernel modules they need.
#
# usage: tests/vm/initramfs.sh MODULES_FOLDER OUTPUT [TEST]...
#   MODULES_FOLDER   .../lib/modules/VERSION as unpacked from a kernel package
#   TEST             scripts of tests/, run in this order by tests/vm/guest/init
set -eu
cd "$(dirname "$0")/../.."

[ $# -ge 2 ] || { sed -n '7,9s/^# \{0,1\}//p' "$0" >&2; exit 64; }
modules=$(cd "$1" && pwd) out=$2
shift 2
version=$(basename "$modules")
root=$(mktemp -d "${TMPDIR:-/tmp}/tt-initramfs.XXXXXX")
trap 'rm -rf "$root"' EXIT
# It becomes "/", which the engine has to pass without rights.
chmod 755 "$root"

bin=${TT_BIN:-build/bin}
commands="bash ip ss wg jq socat ping ethtool nsenter unshare sysctl pgrep sha256sum comm flock timeout
	mount awk od mktemp nft tc"
wanted_modules="wireguard veth tun virtio_pci virtio_net nf_tables nft_ct nft_fib_inet nft_chain_nat nft_masq 8021q
	sch_netem macvlan"

# What an ELF file needs, at the same place; the loader is among it.
copy_libraries() {
	local lib
	ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r lib; do
		[ -e "$root$lib" ] || install -D -m 755 "$lib" "$root$lib"
	done
}

copy_program() {
	install -D -m 755 "$1" "$root$2"
	copy_libraries "$1"
}

mkdir -p "$root"/{bin,dev,etc,proc,sys,run,tmp,root,modules,var/lib}
ln -s bin "$root/sbin"
mkdir -p "$root/usr"
ln -s ../bin "$root/usr/bin"
ln -s ../bin "$root/usr/sbin"
ln -s ../run "$root/var/run"

install -m 755 "$(command -v busybox)" "$root/bin/busybox"
for c in $("$root/bin/busybox" --list); do
	[ -e "$root/bin/$c" ] || ln -s busybox "$root/bin/$c"
done
for c in $commands; do
	path=$(readlink -f "$(command -v "$c")") || { echo "initramfs: no command '$c'" >&2; exit 1; }
	rm -f "$root/bin/$c"
	copy_program "$path" "/bin/$c"
done
# That of busybox takes commands of its own where we have the real ones.
ln -sf bash "$root/bin/sh"
echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
echo 'nobody:x:65534:65534:nobody:/:/bin/false' >>"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"

# nft says numbers where it does not know the names.
printf '%s\n' 'icmp 1 ICMP' 'tcp 6 TCP' 'udp 17 UDP' 'ipv6-icmp 58 IPv6-ICMP' >"$root/etc/protocols"

# The programs and tests lie as in the repository, so that the tests find them as they do there.
for p in taltund taltun; do
	copy_program "$bin/$p" "/taltun/build/bin/$p"
done
mkdir -p "$root/taltun/tests"
for p in build/tests/bpf/test_* build/tests/unit/plat/test_*; do
	[ ! -x "$p" ] || copy_program "$p" "/taltun/$p"
done
install -D -m 644 build/bpf/steer.bpf.o "$root/taltun/build/bpf/steer.bpf.o"
cp -r tests/netns tests/vm "$root/taltun/tests/"
install -m 755 tests/vm/guest/init "$root/init"
printf '%s\n' "$@" >"$root/tests.list"

# Modules in the order in which they load, plain, for insmod of busybox.
work=$root/depmod
mkdir -p "$work/lib/modules"
ln -s "$modules" "$work/lib/modules/$version"
depmod -b "$work" "$version"
for m in $wanted_modules; do
	modprobe -d "$work" -S "$version" --ignore-install --show-depends "$m" | awk '$1 == "insmod" { print $2 }'
done | awk '!seen[$0]++' >"$root/modules/files"
rm "$work/lib/modules/$version"
rmdir -p "$work/lib/modules" 2>/dev/null || :
while read -r file; do
	file=$modules${file#*"/lib/modules/$version"}
	name=$(basename "$file")
	case $name in
	*.xz) xz -dc "$file" >"$root/modules/${name%.xz}" ;;
	*.zst) zstd -dcq "$file" >"$root/modules/${name%.zst}" ;;
	*) cp "$file" "$root/modules/$name" ;;
	esac
	name=${name%.xz}
	echo "${name%.zst}" >>"$root/modules/order"
done <"$root/modules/files"
rm "$root/modules/files"

(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$out.$$"
mv "$out.$$" "$out"
