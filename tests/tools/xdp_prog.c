/* SPDX-License-Identifier: MIT
 *
 * Another tool's hand on the XDP hook of an interface.
 *
 *	xdp_prog INTERFACE pass|drop   attaches a program of one verdict, native, by a link; prints
 *	                               "attached" and stays until it is ended
 *	xdp_prog INTERFACE detach      takes off whatever link is attached there
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "xdp_prog: %s: %s\n", what, strerror(err));
	exit(1);
}

static int program_load(int verdict)
{
	const struct bpf_insn insn[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
		{.code = BPF_JMP | BPF_EXIT}};

	return bpf_prog_load(BPF_PROG_TYPE_XDP, "tt_other", "GPL", insn,
			     sizeof(insn) / sizeof(insn[0]), NULL);
}

static void attach(unsigned ifindex, int verdict)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int prog = program_load(verdict);
	int link = prog < 0 ? prog : bpf_link_create(prog, (int)ifindex, BPF_XDP, &opts);

	if (link < 0)
		die("attach", -link);
	puts("attached");
	fflush(stdout);
	pause();
}

/* Numbers of interfaces repeat in other namespaces, those of programs do not. */
static bool link_holds(int fd, uint32_t program)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.type == BPF_LINK_TYPE_XDP &&
	       info.prog_id == program;
}

static unsigned detach(unsigned ifindex)
{
	uint32_t id = 0, program = 0;
	unsigned n = 0;

	if (bpf_xdp_query_id((int)ifindex, 0, &program) < 0 || !program)
		die("nothing is attached", ENOENT);
	while (bpf_link_get_next_id(id, &id) == 0) {
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		if (link_holds(fd, program) && bpf_link_detach(fd) == 0)
			n++;
		close(fd);
	}
	return n;
}

int main(int argc, char **argv)
{
	unsigned ifindex = argc == 3 ? if_nametoindex(argv[1]) : 0;

	if (!ifindex) {
		fprintf(stderr, "usage: xdp_prog INTERFACE pass|drop|detach\n");
		return 64;
	}
	if (strcmp(argv[2], "detach") == 0)
		return detach(ifindex) ? 0 : 1;
	attach(ifindex, strcmp(argv[2], "drop") == 0 ? XDP_DROP : XDP_PASS);
	return 0;
}
