/* SPDX-License-Identifier: MIT */
#include "node/monitor_impl.h"

#include <errno.h>

static int tun_explain(const struct node_monitor *m, struct node_priv_reply *reply, int err)
{
	switch (err) {
	case -EEXIST:
		return node_monitor_fail(reply, err,
					 "an interface named %s exists already and is not ours",
					 m->name);
	case -EBUSY:
		return node_monitor_fail(reply, err, "%s is in use by another program", m->name);
	case -ENOENT:
	case -ENODEV:
		return node_monitor_fail(reply, err, "/dev/net/tun is missing; try: modprobe tun");
	case -EPERM:
	case -EACCES:
		return node_monitor_fail(reply, err,
					 "no right to create %s: run as root or with CAP_NET_ADMIN",
					 m->name);
	default:
		return node_monitor_fail(reply, err, "cannot create %s: %s", m->name,
					 strerror(-err));
	}
}

void node_monitor_log_offload(const char *name, enum plat_offload offload)
{
	if (offload == PLAT_OFFLOAD_BROKEN)
		tt_log(TT_LOG_WARN, "offload.off", TT_F_STR("offload", name),
		       TT_F_STR("reason",
				"the kernel grants it, but in a test its packets came out "
				"wrong or not at all"));
	else if (offload == PLAT_OFFLOAD_REFUSED)
		tt_log(TT_LOG_INFO, "offload.off", TT_F_STR("offload", name),
		       TT_F_STR("reason", "the kernel does not have it"));
	else if (offload == PLAT_OFFLOAD_UNPROVED)
		tt_log(TT_LOG_INFO, "offload.unproved", TT_F_STR("offload", name),
		       TT_F_STR("reason", "the kernel grants it; a test was not possible here"));
}

/* What the kernel lies about is not asked for; what it then grants is as good as the probe said. */
static int tun_create_proved(struct node_monitor *m, const struct node_priv_request *req)
{
	struct plat_tun_offloads *o = &m->tun_offloads;
	unsigned want = req->u.tun.want_flags;
	int err;

	plat_tun_probe(o);
	if (o->tso == PLAT_OFFLOAD_BROKEN)
		want &= ~(unsigned)PLAT_TUN_TSO;
	if (o->uso == PLAT_OFFLOAD_BROKEN)
		want &= ~(unsigned)PLAT_TUN_USO;
	err = plat_tun_create(m->name, req->u.tun.queues, want, &m->tun);
	if (err)
		return err;
	if (plat_offload_is_on(o->tso) && !(m->tun.flags & PLAT_TUN_TSO))
		o->tso = PLAT_OFFLOAD_REFUSED;
	if (plat_offload_is_on(o->uso) && !(m->tun.flags & PLAT_TUN_USO))
		o->uso = PLAT_OFFLOAD_REFUSED;
	if (req->u.tun.want_flags & PLAT_TUN_TSO)
		node_monitor_log_offload("tun_tso", o->tso);
	if (req->u.tun.want_flags & PLAT_TUN_USO)
		node_monitor_log_offload("tun_uso", o->uso);
	return 0;
}

static int tun_create(struct node_monitor *m, const struct node_priv_request *req,
		      struct node_priv_reply *reply)
{
	int err = tun_create_proved(m, req);

	if (err)
		return tun_explain(m, reply, err);
	m->tun_open = true;
	err = node_monitor_net_begin(m);
	if (err) {
		node_monitor_tun_close(m);
		return node_monitor_fail(reply, err, "cannot configure %s: %s", m->name,
					 strerror(-err));
	}
	tt_log(TT_LOG_INFO, "tun.opened", TT_F_STR("name", m->tun.name),
	       TT_F_U64("ifindex", m->tun.ifindex), TT_F_U64("queues", m->tun.queues),
	       TT_F_BOOL("vnet_hdr", m->tun.flags & PLAT_TUN_VNET_HDR),
	       TT_F_BOOL("tso", m->tun.flags & PLAT_TUN_TSO),
	       TT_F_BOOL("uso", m->tun.flags & PLAT_TUN_USO));
	return 0;
}

int node_monitor_tun_open(struct node_monitor *m, const struct node_priv_request *req,
			  struct node_priv_reply *reply, int *fds, unsigned *nfds)
{
	if (!m->tun_open) {
		int err = tun_create(m, req, reply);
		if (err)
			return err;
	} else {
		/* the engine before this one may have taken a stalled queue out */
		for (unsigned i = 0; i < m->tun.queues; i++)
			(void)plat_tun_queue_attach(m->tun.fd[i]);
	}
	memcpy(reply->u.tun.name, m->tun.name, sizeof(reply->u.tun.name));
	reply->u.tun.ifindex = m->tun.ifindex;
	reply->u.tun.flags = m->tun.flags;
	reply->u.tun.queues = m->tun.queues;
	reply->u.tun.mtu = node_monitor_net_mtu(m);
	reply->u.tun.tso = (uint8_t)m->tun_offloads.tso;
	reply->u.tun.uso = (uint8_t)m->tun_offloads.uso;
	*nfds = m->tun.queues;
	memcpy(fds, m->tun.fd, m->tun.queues * sizeof(int));
	return 0;
}

int node_monitor_tun_queue(struct node_monitor *m, const struct node_priv_request *req,
			   struct node_priv_reply *reply)
{
	uint32_t queue = req->u.tun_queue.queue;
	int err;

	if (!m->tun_open || queue >= m->tun.queues)
		return node_monitor_fail(reply, -ENODEV, "no such queue");
	err = req->u.tun_queue.on ? plat_tun_queue_attach(m->tun.fd[queue])
				  : plat_tun_queue_detach(m->tun.fd[queue]);
	/* it is so already, or it is the only one */
	if (err == -EINVAL && m->tun.queues > 1)
		err = 0;
	return err ? node_monitor_fail(reply, err, "cannot switch queue %u of %s: %s", queue,
				       m->name, strerror(-err))
		   : 0;
}

void node_monitor_tun_close(struct node_monitor *m)
{
	if (!m->tun_open)
		return;
	plat_tun_close(&m->tun);
	m->tun_open = false;
}
