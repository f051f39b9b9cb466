/* SPDX-License-Identifier: MIT
 *
 * Load and attach. The attachment is a bpf_link and nothing is pinned: when the last process that
 * has descriptors dies, the kernel takes everything away.
 */
#include "plat/xdp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include "plat/xsk.h"
#include "steer/shared.h"
#include "xdp_object.h"
#include "xdp_threaded.h"

_Static_assert(STEER_SLOTS == PLAT_XDP_SLOTS, "the contract tells the size of the index map");
_Static_assert(STEER_QUEUES == PLAT_XDP_QUEUES_MAX, "and of the socket map");
_Static_assert(STEER_REASON_COUNT <= PLAT_XDP_REASONS_MAX, "and the number of reasons");

#define ETHERNET_VLAN_HEADER 18
#define CONFIG_BYTES	     sizeof(struct steer_config)
#define PORTS_BYTES	     (STEER_UDP_PORT_WORDS * sizeof(uint64_t))

struct plat_xdp {
	struct bpf_object *object;
	uint32_t ifindex;
	int link;
	int threaded_before; /* what plat_xdp_set_threaded() found; -1: nothing to put back */
	int config_fd, index_fd, ports_fd, addrs_fd, counters_fd, xsks_fd;
	struct steer_config *config;
	uint64_t *ports;
};

/* What libbpf complained about last: its error numbers alone say little. */
static _Thread_local char last_complaint[96];

__attribute__((format(printf, 2, 0))) static int on_libbpf(enum libbpf_print_level level,
							   const char *format, va_list ap)
{
	size_t n;

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(last_complaint, sizeof(last_complaint), format, ap);
	n = strcspn(last_complaint, "\n");
	last_complaint[n] = 0;
	return (int)n;
}

/* --- load ------------------------------------------------------------------------------------- */

static int map_fd(const struct bpf_object *o, const char *name)
{
	return bpf_object__find_map_fd_by_name(o, name);
}

static int reuse_map(struct bpf_object *o, const char *name, int fd)
{
	return bpf_map__reuse_fd(bpf_object__find_map_by_name(o, name), fd);
}

static int xdp_load(struct plat_xdp *x, const struct plat_xdp *share)
{
	LIBBPF_OPTS(bpf_object_open_opts, o, .object_name = "taltun");
	const void *elf;
	size_t len;
	int err;

	elf = xdp_object(&len);
	x->object = bpf_object__open_mem(elf, len, &o);
	if (!x->object)
		return -errno;
	if (share) {
		err = reuse_map(x->object, XDP_MAP_INDEX, share->index_fd);
		if (!err)
			err = reuse_map(x->object, XDP_MAP_PORTS, share->ports_fd);
		if (!err)
			err = reuse_map(x->object, XDP_MAP_ADDRS, share->addrs_fd);
		if (err)
			return err;
	}
	err = bpf_object__load(x->object);
	if (err)
		return err;
	x->config_fd = map_fd(x->object, XDP_MAP_CONFIG);
	x->index_fd = map_fd(x->object, XDP_MAP_INDEX);
	x->ports_fd = map_fd(x->object, XDP_MAP_PORTS);
	x->addrs_fd = map_fd(x->object, XDP_MAP_ADDRS);
	x->counters_fd = map_fd(x->object, XDP_MAP_COUNTERS);
	x->xsks_fd = map_fd(x->object, XDP_MAP_XSKS);
	err = xdp_map_mmap(x->config_fd, CONFIG_BYTES, (void **)&x->config);
	return err ? err : xdp_map_mmap(x->ports_fd, PORTS_BYTES, (void **)&x->ports);
}

static uint32_t default_frame_limit(const struct plat_xdp_facts *f)
{
	return TT_MIN(f->mtu + ETHERNET_VLAN_HEADER, PLAT_XSK_RX_MAX);
}

static void xdp_configure(struct plat_xdp *x, const struct plat_xdp_options *opt,
			  const struct plat_xdp_facts *f)
{
	snprintf(x->config->owner, sizeof(x->config->owner), "%s", opt->owner);
	x->config->slot_mask = STEER_SLOTS - 1;
	plat_xdp_set_frame_limit(x, opt->frame_limit ? opt->frame_limit : default_frame_limit(f));
}

/* --- attach ----------------------------------------------------------------------------------- */

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static int xdp_link(struct plat_xdp *x, enum plat_xdp_mode mode)
{
	struct bpf_program *p = bpf_object__find_program_by_name(x->object, XDP_PROGRAM_NAME);
	LIBBPF_OPTS(bpf_link_create_opts, o,
		    .flags =
			    mode == PLAT_XDP_MODE_DRIVER ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
	struct plat_xdp_held held;
	int err;

	x->link = bpf_link_create(bpf_program__fd(p), (int)x->ifindex, BPF_XDP, &o);
	if (x->link < 0)
		return x->link == -EEXIST ? -EBUSY : x->link;
	err = plat_xdp_held_get(x->ifindex, &held);
	if (err)
		return err;
	return held.mode == mode && held.program_id == program_id(bpf_program__fd(p)) ? 0
										      : -EOPNOTSUPP;
}

/* The steps that the kernel would refuse anyway, or worse, would not. */
static int check_interface(const struct plat_xdp_options *opt, struct plat_xdp_facts *f, char *why)
{
	struct plat_xdp_held held;
	char text[PLAT_XDP_WHY_MAX];
	int err = plat_xdp_facts_get(opt->ifindex, f);

	if (err) {
		snprintf(why, PLAT_XDP_WHY_MAX, "interface %u: %s", opt->ifindex, strerror(-err));
		return err;
	}
	if (!f->ethernet) {
		snprintf(why, PLAT_XDP_WHY_MAX, "%s is no Ethernet interface", f->name);
		return -EOPNOTSUPP;
	}
	if (f->mtu > plat_xdp_mtu_max(false)) {
		snprintf(why, PLAT_XDP_WHY_MAX, "%s has MTU %u; frames carry up to %u", f->name,
			 f->mtu, plat_xdp_mtu_max(false));
		return -ERANGE;
	}
	if (plat_xdp_held_get(opt->ifindex, &held) == 0 && held.mode != PLAT_XDP_MODE_NONE) {
		snprintf(why, PLAT_XDP_WHY_MAX, "%s: %s", f->name,
			 plat_xdp_held_format(&held, text, sizeof(text)));
		return -EBUSY;
	}
	return 0;
}

static void explain(int err, const char *step, const struct plat_xdp_options *opt,
		    const struct plat_xdp_facts *f, char *why)
{
	const char *mode = plat_xdp_mode_name(opt->mode);
	struct plat_xdp_held held;
	char text[PLAT_XDP_WHY_MAX];

	if (err == -EBUSY && plat_xdp_held_get(opt->ifindex, &held) == 0 &&
	    held.mode != PLAT_XDP_MODE_NONE)
		snprintf(why, PLAT_XDP_WHY_MAX, "%s: %s", f->name,
			 plat_xdp_held_format(&held, text, sizeof(text)));
	else if (err == -EPERM)
		snprintf(why, PLAT_XDP_WHY_MAX,
			 "%s: no right to %s XDP (CAP_BPF and CAP_NET_ADMIN)", f->name, step);
	else if (err == -EOPNOTSUPP)
		snprintf(why, PLAT_XDP_WHY_MAX, "%s: driver %s has no %s XDP", f->name, f->driver,
			 mode);
	else if (err == -ERANGE)
		snprintf(why, PLAT_XDP_WHY_MAX,
			 "%s: MTU %u (or the peer's) is too large for %s XDP", f->name, f->mtu,
			 mode);
	else
		snprintf(why, PLAT_XDP_WHY_MAX, "%s: cannot %s %s XDP: %s%s%s", f->name, step, mode,
			 strerror(-err), last_complaint[0] ? ": " : "", last_complaint);
}

int plat_xdp_attach(const struct plat_xdp_options *opt, struct plat_xdp **out,
		    char why[PLAT_XDP_WHY_MAX])
{
	const char *step = "load";
	struct plat_xdp_facts f;
	struct plat_xdp *x;
	int err;

	why[0] = last_complaint[0] = 0;
	libbpf_set_print(on_libbpf);
	err = check_interface(opt, &f, why);
	if (err)
		return err;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->ifindex = opt->ifindex;
	x->link = -1;
	x->threaded_before = -1;
	err = xdp_load(x, opt->share);
	if (!err) {
		xdp_configure(x, opt, &f);
		step = "attach";
		err = xdp_link(x, opt->mode);
	}
	if (err) {
		explain(err, step, opt, &f, why);
		plat_xdp_detach(x);
		return err;
	}
	*out = x;
	return 0;
}

void plat_xdp_detach(struct plat_xdp *x)
{
	if (!x)
		return;
	if (x->threaded_before >= 0)
		(void)xdp_threaded_write(x->ifindex, x->threaded_before);
	if (x->link >= 0) {
		/* Now, and not when the last duplicate of the descriptor goes. */
		bpf_link_detach(x->link);
		close(x->link);
	}
	xdp_map_munmap(x->config, CONFIG_BYTES);
	xdp_map_munmap(x->ports, PORTS_BYTES);
	bpf_object__close(x->object);
	free(x);
}

int plat_xdp_set_threaded(struct plat_xdp *x, bool on)
{
	if (x->threaded_before < 0 && !on)
		return 0;
	if (x->threaded_before < 0)
		x->threaded_before = xdp_threaded_read(x->ifindex);
	if (x->threaded_before < 0)
		return x->threaded_before;
	/* an operator who has turned it on means it */
	return x->threaded_before ? 0 : xdp_threaded_write(x->ifindex, on);
}

int plat_xdp_threaded_get(uint32_t ifindex)
{
	return xdp_threaded_read(ifindex);
}

int plat_xdp_threaded_off(uint32_t ifindex)
{
	return xdp_threaded_write(ifindex, false);
}

bool plat_xdp_is_attached(const struct plat_xdp *x)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(x->link, &info, &len) == 0 && info.xdp.ifindex == x->ifindex;
}

void plat_xdp_fds_get(const struct plat_xdp *x, struct plat_xdp_fds *out)
{
	*out = (struct plat_xdp_fds){.sockets = x->xsks_fd,
				     .index = x->index_fd,
				     .config = x->config_fd,
				     .counters = x->counters_fd};
}

/* --- settings --------------------------------------------------------------------------------- */

void plat_xdp_set_frame_limit(struct plat_xdp *x, uint32_t bytes)
{
	__atomic_store_n(&x->config->frame_limit, TT_MIN(bytes, PLAT_XSK_RX_MAX), __ATOMIC_RELEASE);
}

int plat_xdp_set_udp_ports(struct plat_xdp *x, const uint16_t *udp_ports, unsigned n)
{
	uint64_t want[STEER_UDP_PORT_WORDS] = {0};

	for (unsigned i = 0; i < n; i++)
		want[udp_ports[i] >> 6] |= UINT64_C(1) << (udp_ports[i] & 63);
	for (unsigned i = 0; i < STEER_UDP_PORT_WORDS; i++)
		if (x->ports[i] != want[i])
			__atomic_store_n(&x->ports[i], want[i], __ATOMIC_RELEASE);
	return 0;
}

static struct steer_address address_key(const struct tt_ip *ip)
{
	struct steer_address k = {.b = {[10] = 0xff, [11] = 0xff}};

	if (ip->family == TT_FAMILY_V4)
		memcpy(k.b + 12, ip->b, 4);
	else
		memcpy(k.b, ip->b, 16);
	return k;
}

static bool address_wanted(const struct steer_address *k, const struct tt_ip *ips, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct steer_address a = address_key(&ips[i]);

		if (memcmp(&a, k, sizeof(a)) == 0)
			return true;
	}
	return false;
}

/* The keys first, then the removals: removing while walking begins the walk anew. */
static int addresses_remove_others(int fd, const struct tt_ip *ips, unsigned n)
{
	struct steer_address *held = calloc(STEER_ADDRESSES, sizeof(*held));
	unsigned count = 0;

	if (!held)
		return -ENOMEM;
	while (count < STEER_ADDRESSES &&
	       bpf_map_get_next_key(fd, count ? &held[count - 1] : NULL, &held[count]) == 0)
		count++;
	for (unsigned i = 0; i < count; i++)
		if (!address_wanted(&held[i], ips, n))
			bpf_map_delete_elem(fd, &held[i]);
	free(held);
	return 0;
}

int plat_xdp_set_addresses(struct plat_xdp *x, const struct tt_ip *ips, unsigned n)
{
	const uint8_t one = 1;
	int err = addresses_remove_others(x->addrs_fd, ips, n);

	for (unsigned i = 0; i < n; i++) {
		struct steer_address k = address_key(&ips[i]);
		int e = bpf_map_update_elem(x->addrs_fd, &k, &one, BPF_ANY);

		if (e && !err)
			err = e;
	}
	return err;
}
