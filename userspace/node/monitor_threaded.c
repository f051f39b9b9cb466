/* SPDX-License-Identifier: MIT
 *
 * Interfaces whose attribute "threaded" we turned on. It outlives whoever set it, so they stand in
 * a file before it is set, a line each ("ifindex name"); after the end of a monitor that could not
 * put it back any more, the next one does.
 */
#include "node/monitor_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int journal_path(const struct node_monitor *m, char path[MONITOR_PATH_MAX])
{
	return node_monitor_path(path, m->run_dir, m->name, ".threaded");
}

static size_t journal_text(const struct node_monitor *m, char *text, size_t size)
{
	size_t len = 0;

	for (int i = 0; i < MONITOR_XDP_MAX; i++)
		if (m->xdp.at[i].xdp && m->xdp.at[i].threaded)
			len += (size_t)snprintf(text + len, size - len, "%u %s\n",
						m->xdp.at[i].ifindex, m->xdp.at[i].name);
	for (unsigned i = 0; i < m->xdp.left_count; i++)
		len += (size_t)snprintf(text + len, size - len, "%u %s\n", m->xdp.left[i].ifindex,
					m->xdp.left[i].name);
	return len;
}

static int journal_save(const struct node_monitor *m)
{
	char path[MONITOR_PATH_MAX], text[2 * MONITOR_XDP_MAX * (PLAT_IFNAME_MAX + 16)];
	int err = journal_path(m, path);
	size_t len = journal_text(m, text, sizeof(text));

	if (err)
		return err;
	if (len)
		return node_monitor_replace(path, text, 0600);
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

void node_monitor_threaded_forget(struct node_monitor *m, int i)
{
	if (!m->xdp.at[i].threaded)
		return;
	m->xdp.at[i].threaded = false;
	(void)journal_save(m);
}

static int threaded_on(struct node_monitor *m, int i)
{
	struct plat_netcfg_link link;
	int err = plat_netcfg_link_get(m->xdp.at[i].ifindex, NULL, &link);

	if (err)
		return err;
	err = plat_xdp_threaded_get(m->xdp.at[i].ifindex);
	if (err) /* an operator who has turned it on means it */
		return err < 0 ? err : 0;
	memcpy(m->xdp.at[i].name, link.name, sizeof(m->xdp.at[i].name));
	m->xdp.at[i].threaded = true;
	err = journal_save(m);
	if (!err)
		err = plat_xdp_set_threaded(m->xdp.at[i].xdp, true);
	if (err)
		node_monitor_threaded_forget(m, i);
	return err;
}

int node_monitor_threaded_set(struct node_monitor *m, int i, bool on)
{
	int err;

	if (on == m->xdp.at[i].threaded)
		return 0;
	if (on)
		return threaded_on(m, i);
	err = plat_xdp_set_threaded(m->xdp.at[i].xdp, false);
	if (!err)
		node_monitor_threaded_forget(m, i);
	return err;
}

/* Of a name and an index that both are the same still: another interface is none of ours. */
static bool is_put_back(const struct node_monitor_threaded *t)
{
	struct plat_netcfg_link link;

	if (plat_netcfg_link_get(t->ifindex, NULL, &link) != 0 || strcmp(link.name, t->name) != 0)
		return true;
	/* a veth takes it only while it has an XDP program, or GRO */
	if (plat_xdp_threaded_off(t->ifindex) != 0)
		return false;
	tt_log(TT_LOG_INFO, "xdp.threaded_put_back", TT_F_STR("interface", t->name));
	return true;
}

void node_monitor_threaded_put_back(struct node_monitor *m)
{
	unsigned kept = 0;

	if (!m->xdp.left_count)
		return;
	for (unsigned i = 0; i < m->xdp.left_count; i++)
		if (!is_put_back(&m->xdp.left[i]))
			m->xdp.left[kept++] = m->xdp.left[i];
	m->xdp.left_count = kept;
	(void)journal_save(m);
}

static void journal_read(struct node_monitor *m, FILE *f)
{
	char line[PLAT_IFNAME_MAX + 16];

	_Static_assert(PLAT_IFNAME_MAX == 16, "the width below");
	while (m->xdp.left_count < MONITOR_XDP_MAX && fgets(line, sizeof(line), f)) {
		struct node_monitor_threaded *t = &m->xdp.left[m->xdp.left_count];

		if (sscanf(line, "%u %15s", &t->ifindex, t->name) == 2)
			m->xdp.left_count++;
	}
}

void node_monitor_threaded_recover(struct node_monitor *m)
{
	char path[MONITOR_PATH_MAX];
	FILE *f;
	int fd;

	for (int i = 0; i < MONITOR_XDP_MAX; i++)
		if (m->xdp.at[i].xdp)
			return; /* what it lists is in use */
	if (m->xdp.left_count || journal_path(m, path))
		return;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return;
	}
	journal_read(m, f);
	fclose(f);
	node_monitor_threaded_put_back(m);
}
