/* SPDX-License-Identifier: MIT
 *
 * What outlives the engine: the configuration in the memory file (for its successor after a
 * crash), stamps and endpoints in the state file (for the next start of the daemon).
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/mem.h"
#include "node/device_impl.h"
#include "node/engine_impl.h"
#include "node/state.h"
#include "plat/clock.h"
#include "plat/memfile.h"

/* Between two saves, and so what a crash may lose of what was set. */
#define MEMORY_GAP_MS 50

/* --- the memory file -------------------------------------------------------------------------- */

void node_engine_memory_save(struct node_engine *e)
{
	struct node_uapi_get get;
	size_t cap, len = 0, n;
	char *text = node_memory_begin(e->memory, &cap);

	node_uapi_get_begin(&get, e->device);
	/* the others come back with the kept map, or not at all where the hub has revoked them */
	get.own_only = true;
	while (cap - len >= NODE_UAPI_PIECE_MIN &&
	       (n = node_uapi_get_piece(&get, text + len, TT_MIN(cap - len, (size_t)65536))) > 0)
		len += n;
	if (cap - len < NODE_UAPI_PIECE_MIN) {
		tt_log(TT_LOG_WARN, "memory.full",
		       TT_F_STR("hint", "after a crash the engine starts from its configuration"));
		return;
	}
	node_memory_commit(e->memory, len);
}

static void on_memory_due(uv_timer_t *h)
{
	struct node_engine *e = h->data;

	if (e->memory_behind)
		node_engine_memory_soon(e);
}

void node_engine_memory_soon(struct node_engine *e)
{
	e->memory_behind = uv_is_active((uv_handle_t *)&e->memory_due);
	if (e->memory_behind)
		return;
	node_engine_memory_save(e);
	uv_timer_start(&e->memory_due, on_memory_due, MEMORY_GAP_MS, 0);
}

/* Lines of a get reply that are facts, not configuration. */
static bool is_setting(const char *line)
{
	static const char *const facts[] = {"last_handshake_time_",
					    "tx_bytes=", "rx_bytes=", "errno="};

	for (size_t i = 0; i < TT_ARRAY_LEN(facts); i++)
		if (strncmp(line, facts[i], strlen(facts[i])) == 0)
			return false;
	return *line != 0;
}

/* Peers that the text does not name were removed before the crash: the file must not revive them.
 */
static void remove_unseen(struct node_engine *e, const bool *seen)
{
	struct node_peer *p = node_device_next_peer(e->device, NULL);

	while (p) {
		struct node_peer *next = node_device_next_peer(e->device, p);
		if (!seen[node_peer_id(p)])
			node_device_remove_peer(e->device, p);
		p = next;
	}
}

/* Their sessions died with our predecessor, which they cannot know. */
static void ask_for_handshakes(struct node_device *d)
{
	for (struct node_peer *p = node_device_next_peer(d, NULL); p;
	     p = node_device_next_peer(d, p))
		if (tt_endpoint_is_set(&p->dest.to))
			node_peer_want_handshake(d, p);
}

static void restore_line(struct node_uapi_set *set, char *line, bool *seen)
{
	static const char replace[] = "replace_allowed_ips=true";
	char again[sizeof(replace)];

	if (!is_setting(line))
		return;
	bool peer = strncmp(line, "public_key=", 11) == 0;
	node_uapi_set_line(set, line);
	if (!peer || !set->peer)
		return;
	seen[node_peer_id(set->peer)] = true;
	memcpy(again, replace, sizeof(replace));
	node_uapi_set_line(set, again);
}

void node_engine_memory_restore(struct node_engine *e)
{
	struct node_uapi_set set;
	struct node_device_info info;
	char line[NODE_UAPI_LINE_MAX];
	size_t len;
	const char *p = node_memory_read(e->memory, &len);
	bool *seen = calloc(DP_PEERS_MAX, sizeof(*seen));

	if (!p || !seen) {
		free(seen);
		return;
	}
	node_uapi_set_begin(&set, e->device);
	for (const char *end = p + len; p < end;) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((eol ? eol : end) - p);
		if (n < sizeof(line)) {
			memcpy(line, p, n);
			line[n] = 0;
			restore_line(&set, line, seen);
		}
		p += n + 1;
	}
	crypto_wipe(line, sizeof(line));
	remove_unseen(e, seen);
	free(seen);
	int err = node_uapi_set_end(&set);
	ask_for_handshakes(e->device);
	node_device_get_info(e->device, &info);
	tt_log(err ? TT_LOG_WARN : TT_LOG_INFO, "memory.restored", TT_F_U64("peers", info.peers),
	       TT_F_I64("error", err));
}

/* --- the state file --------------------------------------------------------------------------- */

struct restoring {
	struct node_device *device;
	struct node_mesh *mesh; /* NULL: no hub */
	unsigned peers;
};

static void restore_peer(void *arg, const struct node_state_peer *s)
{
	struct restoring *r = arg;
	struct node_peer *p = node_device_find_peer(r->device, s->public_key);

	if (!p)
		return;
	r->peers++;
	memcpy(p->wg->stamp_received.b, s->stamp, WG_TIMESTAMP_LEN);
	if (node_peer_is_managed(p)) {
		p->direct = s->endpoint;
		if (r->mesh && tt_endpoint_is_set(&s->endpoint))
			node_mesh_hint(r->mesh, p, &s->endpoint);
		return;
	}
	/* a configured address or name wins over where the peer was seen last */
	if (tt_endpoint_is_set(&s->endpoint) && !tt_endpoint_is_set(&p->dest.to) && !p->host)
		node_peer_set_endpoint(r->device, p, &s->endpoint);
	/* a node that was killed comes back by itself: its peers would not know */
	if (tt_endpoint_is_set(&p->dest.to))
		node_peer_want_handshake(r->device, p);
}

static char *read_all(int fd, size_t *len)
{
	int64_t size = plat_memfile_size(fd);
	char *text = size > 0 && size <= (int64_t)node_state_size(DP_PEERS_MAX)
			     ? malloc((size_t)size)
			     : NULL;

	if (!text || pread(fd, text, (size_t)size, 0) != size) {
		free(text);
		return NULL;
	}
	*len = (size_t)size;
	return text;
}

void node_engine_state_load(struct node_engine *e)
{
	struct node_priv_request req = {.op = NODE_PRIV_STATE_LOAD};
	struct node_priv_reply reply;
	struct restoring r = {.device = e->device, .mesh = e->mesh};
	uint8_t stamp[WG_TIMESTAMP_LEN];
	int fds[NODE_PRIV_FDS_MAX];
	size_t len;

	e->state_saved = plat_clock_mono();
	if (node_priv_call(e->priv, &req, -1, &reply, fds) != 0 || !reply.fds)
		return;
	char *text = read_all(fds[0], &len);
	close(fds[0]);
	if (!text)
		return;
	if (node_state_parse(text, len, stamp, restore_peer, &r) != NODE_STATE_OK) {
		tt_log(TT_LOG_WARN, "state.damaged",
		       TT_F_STR("hint", "endpoints are learned anew; the file is written afresh"));
	} else {
		node_device_set_stamp(e->device, stamp);
		tt_log(TT_LOG_DEBUG, "state.restored", TT_F_U64("peers", r.peers));
	}
	free(text);
}

static size_t render_state(struct node_engine *e, char *buf)
{
	static const struct wg_tai64n never;
	struct node_peer *p;
	size_t len = node_state_begin(buf, e->device->stamp.b);

	for (p = node_device_next_peer(e->device, NULL); p;
	     p = node_device_next_peer(e->device, p)) {
		struct node_state_peer s = {.endpoint = p->dest.to};
		/* a relay is not where the peer is; it may go before the next start */
		if (p->managed)
			s.endpoint = p->direct;
		memcpy(s.public_key, p->wg->remote.public_key, WG_KEY_LEN);
		memcpy(s.stamp, p->wg->stamp_received.b, WG_TIMESTAMP_LEN);
		/* also of a peer that was answered and never heard of again */
		if (p->wg->timers.established ||
		    wg_tai64n_compare(&p->wg->stamp_received, &never) > 0)
			len = node_state_peer(buf, len, &s);
	}
	return node_state_end(buf, len);
}

static void not_saved(struct node_engine *e, const char *why, int err)
{
	e->not_kept++;
	tt_log_limited(TT_LOG_WARN, "state.not_saved", NULL, plat_clock_mono(), 1,
		       TT_F_STR("error", why), TT_F_ERRNO("errno", err));
}

static void on_saved(void *arg, const struct node_priv_reply *reply, const int *fds)
{
	(void)fds;
	if (reply->result)
		not_saved(arg, reply->error, reply->result);
}

void node_engine_state_save(struct node_engine *e, bool wait)
{
	struct node_device_info info;
	struct node_priv_request req = {.op = NODE_PRIV_STATE_SAVE};

	e->state_saved = plat_clock_mono();
	node_device_get_info(e->device, &info);
	if (!info.peers)
		return;
	char *buf = malloc(node_state_size(info.peers));
	if (!buf)
		return;
	size_t len = render_state(e, buf);
	int fd = plat_memfile_create("taltun-state", 0);
	if (fd >= 0 && pwrite(fd, buf, len, 0) == (ssize_t)len) {
		req.u.state.len = (uint32_t)len;
		if (wait) {
			struct node_priv_reply reply;
			int fds[NODE_PRIV_FDS_MAX];
			node_priv_call(e->priv, &req, fd, &reply, fds);
			on_saved(e, &reply, fds);
		} else {
			node_priv_send(e->priv, &req, fd, on_saved, e);
		}
	} else {
		not_saved(e, "no memory file for it", fd < 0 ? fd : -ENOMEM);
		if (fd >= 0)
			close(fd);
	}
	free(buf);
}
