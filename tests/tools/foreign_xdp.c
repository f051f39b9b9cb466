/* SPDX-License-Identifier: MIT
 *
 * Somebody else's XDP program, which lets everything pass.
 *
 *	foreign_xdp hold INTERFACE native|generic    attaches it, says "attached", stays until
 *killed foreign_xdp take INTERFACE native|generic    the same, and tears off what is there before
 *	foreign_xdp tear INTERFACE                   tears off what is there
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "foreign_xdp: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

/* The link whose program is the interface's. */
static int link_of(uint32_t program)
{
	uint32_t id = 0;

	while (bpf_link_get_next_id(id, &id) == 0) {
		struct bpf_link_info info = {0};
		uint32_t len = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0 &&
		    info.type == BPF_LINK_TYPE_XDP && info.prog_id == program)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENOENT;
}

static void tear(int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int err = bpf_xdp_query(ifindex, 0, &q);
	int fd = err ? err : link_of(q.drv_prog_id ? q.drv_prog_id : q.skb_prog_id);

	if (fd < 0)
		die("nothing to tear off", fd);
	err = bpf_link_detach(fd);
	if (err)
		die("detach", err);
	close(fd);
}

static void hold(int ifindex, const char *mode)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_link_create_opts, o,
		    .flags = strcmp(mode, "generic") ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "MIT", pass, 2, NULL);

	if (fd < 0)
		die("load", fd);
	fd = bpf_link_create(fd, ifindex, BPF_XDP, &o);
	if (fd < 0)
		die("attach", fd);
	puts("attached");
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int ifindex = argc > 2 ? (int)if_nametoindex(argv[2]) : 0;
	bool taking = argc == 4 && !strcmp(argv[1], "take");

	if (!ifindex || !(taking || (argc == 4 && !strcmp(argv[1], "hold")) ||
			  (argc == 3 && !strcmp(argv[1], "tear")))) {
		fputs("usage: foreign_xdp hold|take INTERFACE native|generic\n"
		      "       foreign_xdp tear INTERFACE\n",
		      stderr);
		return 2;
	}
	if (taking || argc == 3)
		tear(ifindex);
	if (argc == 4)
		hold(ifindex, argv[3]);
	return 0;
}
