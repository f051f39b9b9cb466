/* SPDX-License-Identifier: MIT
 *
 * What a service manager hears of the node. It hears WATCHDOG=1 only while the engine answers: a
 * monitor that lives over an engine that hangs serves nobody.
 */
#include "node/monitor_impl.h"

#include "plat/notify.h"

void node_monitor_notify_ready(struct node_monitor *m)
{
	char lines[96];

	snprintf(lines, sizeof(lines), "READY=1\nSTATUS=Serving %s", m->name);
	plat_notify(lines);
}

void node_monitor_notify_reloading(struct node_monitor *m)
{
	if (m->reported && !m->stopping)
		plat_notify_reloading();
}

void node_monitor_notify_crashed(struct node_monitor *m)
{
	if (m->reported && !m->stopping)
		plat_notify("STATUS=The engine crashed and is started again");
}

void node_monitor_notify_stopping(struct node_monitor *m)
{
	(void)m;
	plat_notify("STOPPING=1");
}

struct tt_mono node_monitor_notify_timer(struct node_monitor *m, struct tt_mono now)
{
	uint64_t within = plat_notify_watchdog_ns();

	if (!within || !m->reported || m->stopping)
		return (struct tt_mono){0};
	if (tt_mono_is_set(m->ping_at) && tt_mono_before(now, m->ping_at))
		return m->ping_at;
	/* two may be late or lost */
	m->ping_at = tt_mono_add_ns(now, within / 3 + 1);
	if (m->engine.pid)
		node_monitor_engine_signal(m, NODE_SIGNAL_PING);
	return m->ping_at;
}

void node_monitor_notify_alive(void)
{
	plat_notify("WATCHDOG=1");
}
