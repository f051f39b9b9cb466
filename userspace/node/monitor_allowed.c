/* SPDX-License-Identifier: MIT
 *
 * What an engine may ask of the host's addresses, routes and network interfaces: what the
 * configuration says, and nothing else. One that was taken over must not draw the host's traffic
 * to itself.
 */
#include "node/monitor_impl.h"

#include <errno.h>

#include "node/net.h"

int node_monitor_allow(const void *blob, size_t size, struct node_monitor_allowed *out)
{
	const struct node_config *cfg = blob;

	*out = (struct node_monitor_allowed){0};
	if (!node_config_valid(blob, size))
		return -EBADMSG;
	out->table = cfg->table;
	out->fwmark = cfg->fwmark;
	out->given = true;
	node_xdp_settings_of(cfg, &out->xdp);
	out->metrics = cfg->metrics;
	out->hub = cfg->hub.given;
	if (out->hub && (size_t)snprintf(out->certificate_file, sizeof(out->certificate_file), "%s",
					 node_config_str(cfg, cfg->hub.certificate_file)) >=
				sizeof(out->certificate_file))
		return -ENAMETOOLONG;
	return node_net_set_make(cfg, &out->set);
}

void node_monitor_disallow(struct node_monitor_allowed *a)
{
	node_net_set_free(&a->set);
	*a = (struct node_monitor_allowed){0};
}

static bool number_allowed(uint32_t asked, uint32_t configured)
{
	return configured ? asked == configured
			  : asked >= NODE_NET_MARK_FIRST &&
				    asked < NODE_NET_MARK_FIRST + NODE_NET_MARK_COUNT;
}

static bool addition_allowed(const struct node_monitor_allowed *a,
			     const struct node_priv_request *req)
{
	const struct node_net_entry e = {.prefix = req->u.net.prefix,
					 .is_route = req->op != NODE_PRIV_ADDR};

	if (!node_net_set_has(&a->set, &e))
		return false;
	if (req->op == NODE_PRIV_DEFAULT_ROUTE)
		return node_net_is_default(&e) && number_allowed(req->u.net.table, a->table) &&
		       number_allowed(req->u.net.fwmark, a->fwmark);
	if (req->op == NODE_PRIV_ROUTE)
		return !node_net_is_default(&e) && req->u.net.table == a->table &&
		       req->u.net.metric == 0;
	return true;
}

bool node_monitor_is_allowed(const struct node_monitor *m, const struct node_priv_request *req)
{
	if (m->opt->mode != NODE_MODE_CONFIG)
		return false;
	/* the platform removes what it added, and nothing else */
	return !req->u.net.on || addition_allowed(&m->allowed_loaded, req) ||
	       addition_allowed(&m->allowed_committed, req);
}

/* --- metrics -----------------------------------------------------------------------------------
 */

struct node_config_metrics node_monitor_metrics_wanted(const struct node_monitor *m)
{
	if (m->opt->mode != NODE_MODE_CONFIG)
		return m->opt->settings ? m->opt->settings->metrics
					: (struct node_config_metrics){0};
	return m->allowed_loaded.given ? m->allowed_loaded.metrics : m->allowed_committed.metrics;
}

/* --- the hub -----------------------------------------------------------------------------------
 */

bool node_monitor_hub_is_allowed(const struct node_monitor *m)
{
	return m->opt->mode == NODE_MODE_CONFIG &&
	       (m->allowed_loaded.hub || m->allowed_committed.hub);
}

const char *node_monitor_certificate_file(const struct node_monitor *m)
{
	if (m->opt->mode != NODE_MODE_CONFIG)
		return NULL;
	if (m->allowed_committed.hub)
		return m->allowed_committed.certificate_file;
	return m->allowed_loaded.hub ? m->allowed_loaded.certificate_file : NULL;
}

/* --- the way past the kernel -------------------------------------------------------------------
 */

/*
 * Where no interface is named, packets to peers may leave by any: peers roam, and an engine that
 * was taken over could claim one anywhere. Naming interfaces is what holds it to them.
 */
static bool attachment_allowed(const struct node_xdp_settings *s, const char *interface,
			       enum plat_xdp_mode mode)
{
	if (s->mode == NODE_DATAPATH_SOCKET ||
	    (s->mode == NODE_DATAPATH_AUTO && mode == PLAT_XDP_MODE_GENERIC))
		return false;
	for (unsigned i = 0; i < s->interfaces; i++)
		if (strcmp(s->interface[i], interface) == 0)
			return true;
	return s->interfaces == 0;
}

/* The settings in force, and those of a file that is being taken into use. Returns their number. */
static unsigned settings_in_force(const struct node_monitor *m, struct node_xdp_settings out[2])
{
	unsigned n = 0;

	if (m->opt->mode != NODE_MODE_CONFIG) {
		node_xdp_settings_of(m->opt->settings, &out[0]);
		return 1;
	}
	if (m->allowed_committed.given)
		out[n++] = m->allowed_committed.xdp;
	if (m->allowed_loaded.given)
		out[n++] = m->allowed_loaded.xdp;
	return n;
}

bool node_monitor_xdp_is_allowed(const struct node_monitor *m, const char *interface,
				 enum plat_xdp_mode mode)
{
	struct node_xdp_settings s[2];
	unsigned n = settings_in_force(m, s);

	while (n)
		if (attachment_allowed(&s[--n], interface, mode))
			return true;
	return false;
}

bool node_monitor_xsk_is_allowed(const struct node_monitor *m)
{
	struct node_xdp_settings s[2];
	unsigned n = settings_in_force(m, s);

	while (n)
		if (s[--n].mode != NODE_DATAPATH_SOCKET)
			return true;
	return false;
}
