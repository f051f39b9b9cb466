#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Boots the systemd of a Debian in ROOT: boot.sh ROOT. The caller has made namespaces of mounts, pids, names and
# control groups, in which this is process 1.
set -e
root=$1

mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc none "$root/proc"
mount -t sysfs none "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 none "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/net"
mount -t devpts -o newinstance,ptmxmode=0666 none "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for device in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0" "net/tun 10 200"; do
	# shellcheck disable=SC2086 # name, major, minor
	set -- $device
	mknod -m 666 "$root/dev/$1" c "$2" "$3"
done
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/tmp"
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
exec chroot . env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
	--log-target=console --show-status=no </dev/null
