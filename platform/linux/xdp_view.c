/* SPDX-License-Identifier: MIT
 *
 * The engine's side of steering. Everything here works through passed descriptors, without rights
 * (Linux 5.19 and later let unprivileged processes use map descriptors).
 */
#include "plat/xdp.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "steer/shared.h"
#include "xdp_object.h"

#define INDEX_BYTES (STEER_SLOTS * sizeof(uint32_t))

struct plat_xdp_view {
	struct plat_xdp_fds fds;
	struct steer_config *config;
	uint32_t *index;
	uint32_t slot_mask;
	int cpus;
	uint64_t *per_cpu; /* [cpus], one reason at a time */
};

static void close_fds(struct plat_xdp_fds *f)
{
	int *fd[] = {&f->sockets, &f->index, &f->config, &f->counters};

	for (unsigned i = 0; i < TT_ARRAY_LEN(fd); i++)
		if (*fd[i] >= 0)
			close(*fd[i]);
}

int plat_xdp_view_open(const struct plat_xdp_fds *fds, struct plat_xdp_view **out)
{
	struct plat_xdp_view *v = calloc(1, sizeof(*v));
	struct plat_xdp_fds taken = *fds;
	int err;

	if (!v) {
		close_fds(&taken);
		return -ENOMEM;
	}
	v->fds = taken;
	v->cpus = libbpf_num_possible_cpus();
	v->per_cpu = v->cpus > 0 ? calloc((size_t)v->cpus, sizeof(*v->per_cpu)) : NULL;
	err = v->cpus < 0 ? v->cpus : v->per_cpu ? 0 : -ENOMEM;
	if (!err)
		err = xdp_map_mmap(fds->config, sizeof(*v->config), (void **)&v->config);
	if (!err)
		err = xdp_map_mmap(fds->index, INDEX_BYTES, (void **)&v->index);
	if (err) {
		plat_xdp_view_close(v);
		return err;
	}
	v->slot_mask = v->config->slot_mask;
	*out = v;
	return 0;
}

void plat_xdp_view_close(struct plat_xdp_view *v)
{
	if (!v)
		return;
	xdp_map_munmap(v->config, sizeof(*v->config));
	xdp_map_munmap(v->index, INDEX_BYTES);
	close_fds(&v->fds);
	free(v->per_cpu);
	free(v);
}

void plat_xdp_view_set_capacity(struct plat_xdp_view *v, uint32_t capacity)
{
	v->slot_mask = capacity - 1;
	__atomic_store_n(&v->config->slot_mask, v->slot_mask, __ATOMIC_RELEASE);
}

static void index_store(struct plat_xdp_view *v, uint32_t index, uint32_t value)
{
	uint32_t slot = index & v->slot_mask;

	if (slot < STEER_SLOTS)
		__atomic_store_n(&v->index[slot], value, __ATOMIC_RELEASE);
}

void plat_xdp_view_index_set(struct plat_xdp_view *v, uint32_t index)
{
	index_store(v, index, index);
}

void plat_xdp_view_index_clear(struct plat_xdp_view *v, uint32_t index)
{
	index_store(v, index, 0);
}

void plat_xdp_view_index_clear_all(struct plat_xdp_view *v)
{
	/* Pages that were never written stay as they are. */
	for (uint32_t i = 0; i < STEER_SLOTS; i++)
		if (v->index[i])
			__atomic_store_n(&v->index[i], 0, __ATOMIC_RELEASE);
}

void plat_xdp_view_set_unknown_pass(struct plat_xdp_view *v, bool pass)
{
	__atomic_store_n(&v->config->unknown_pass, pass, __ATOMIC_RELEASE);
}

int plat_xdp_view_queue_set(struct plat_xdp_view *v, uint32_t queue, int xsk_fd)
{
	return bpf_map_update_elem(v->fds.sockets, &queue, &xsk_fd, BPF_ANY);
}

int plat_xdp_view_queue_clear(struct plat_xdp_view *v, uint32_t queue)
{
	int err = bpf_map_delete_elem(v->fds.sockets, &queue);

	return err == -ENOENT ? 0 : err;
}

int plat_xdp_view_counters(struct plat_xdp_view *v, uint32_t queue, uint64_t *count, unsigned n)
{
	uint32_t row = TT_MIN(queue, STEER_QUEUES);

	for (uint32_t r = 0; r < STEER_REASON_COUNT && r < n; r++) {
		uint32_t key = row * STEER_REASON_COUNT + r;
		int err = bpf_map_lookup_elem(v->fds.counters, &key, v->per_cpu);

		if (err)
			return err;
		count[r] = 0;
		for (int c = 0; c < v->cpus; c++)
			count[r] += v->per_cpu[c];
	}
	return STEER_REASON_COUNT;
}

const char *plat_xdp_reason_name(unsigned reason)
{
	static const char *const names[] = {
#define X(sym, text) text,
		STEER_REASONS(X)
#undef X
	};

	return reason < TT_ARRAY_LEN(names) ? names[reason] : NULL;
}
