/* SPDX-License-Identifier: MIT
 *
 * ip_forward of [gateway]. The host has one such sysctl per family and perhaps several nodes that
 * want it: each notes in RUN_DIR/IFNAME.forward, before it is set, that it was off ("ipv4", "ipv6"
 * a line); the last of them puts it back. A node that was killed does at its next start.
 */
#include "node/monitor_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "plat/forwarding.h"

#define SUFFIX ".forward"
#define NOTE_SYSCTL                                                                         \
	"set it for good in /etc/sysctl.d/70-taltun.conf, then: sysctl --system (the unit " \
	"taltund@ may not set it, on purpose)"

enum { BIT_V4 = 1, BIT_V6 = 2 };

static const struct {
	enum tt_family family;
	unsigned bit;
	const char *word;
} families[] = {{TT_FAMILY_V4, BIT_V4, "ipv4"}, {TT_FAMILY_V6, BIT_V6, "ipv6"}};

/* --- notes ---------------------------------------------------------------------------------------
 */

/*
 * Of several nodes, one looks and writes at a time. -1: no lock, which is as good as alone. No
 * interface is named so.
 */
static int notes_lock(const struct node_monitor *m)
{
	char path[MONITOR_PATH_MAX];
	int fd = -1;

	/* a file of our own: anybody could hold the folder, and we would wait for ever */
	if (node_monitor_path(path, m->run_dir, "", SUFFIX) == 0)
		fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)flock(fd, LOCK_EX);
	return fd;
}

static void notes_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}

static unsigned note_read(const char *dir, const char *file)
{
	char path[MONITOR_PATH_MAX], text[64] = "";
	unsigned bits = 0;
	int fd;

	if (node_monitor_path(path, dir, file, ""))
		return 0;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	for (size_t i = 0; i < TT_ARRAY_LEN(families); i++)
		if (strstr(text, families[i].word))
			bits |= families[i].bit;
	return bits;
}

static unsigned note_own(const struct node_monitor *m)
{
	char file[PLAT_IFNAME_MAX + sizeof(SUFFIX)];

	snprintf(file, sizeof(file), "%s" SUFFIX, m->name);
	return note_read(m->run_dir, file);
}

static int note_write(const struct node_monitor *m, unsigned bits)
{
	char path[MONITOR_PATH_MAX], text[16] = "";
	int err = node_monitor_path(path, m->run_dir, m->name, SUFFIX);

	if (err)
		return err;
	if (!bits)
		return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	for (size_t i = 0; i < TT_ARRAY_LEN(families); i++)
		if (bits & families[i].bit) {
			strcat(text, families[i].word);
			strcat(text, "\n");
		}
	return node_monitor_replace(path, text, 0600);
}

/* A daemon of this name runs: it holds its lock. */
static bool runs(const struct node_monitor *m, const char *name)
{
	char path[MONITOR_PATH_MAX];
	bool held;
	int fd;

	if (node_monitor_path(path, m->run_dir, name, ".lock"))
		return false;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	held = flock(fd, LOCK_SH | LOCK_NB) < 0;
	close(fd);
	return held;
}

/* What other nodes have noted: of those that run, or of all. */
static unsigned note_others(const struct node_monitor *m, bool running)
{
	DIR *d = opendir(m->run_dir);
	unsigned bits = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name), end = sizeof(SUFFIX) - 1;
		char name[PLAT_IFNAME_MAX];

		if (len <= end || len - end >= sizeof(name) ||
		    strcmp(e->d_name + len - end, SUFFIX) != 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)(len - end), e->d_name);
		if (strcmp(name, m->name) != 0 && (!running || runs(m, name)))
			bits |= note_read(m->run_dir, e->d_name);
	}
	if (d)
		closedir(d);
	return bits;
}

/* --- on and back ---------------------------------------------------------------------------------
 */

/* The words go to log and reply; err 0: nothing went wrong. */
struct trouble {
	int err;
	char what[160], hint[320];
};

static int trouble_of_route(struct trouble *t, const char *name, const char *interface)
{
	t->err = -EBUSY;
	snprintf(t->what, sizeof(t->what),
		 "%s has the host's default route from router advertisements, and would lose it",
		 interface);
	snprintf(t->hint, sizeof(t->hint),
		 "set net.ipv6.conf.%s.accept_ra = 2 and reload, or set %s yourself", interface,
		 name);
	return t->err;
}

static int trouble_of_write(struct trouble *t, int err)
{
	t->err = err;
	snprintf(t->what, sizeof(t->what), "%s", strerror(-err));
	snprintf(t->hint, sizeof(t->hint), "%s", NOTE_SYSCTL);
	return err;
}

static int forward_on(struct node_monitor *m, size_t i, struct trouble *t)
{
	unsigned bit = families[i].bit;
	const char *name = plat_forwarding_name(families[i].family);
	int is = plat_forwarding_get(families[i].family);
	char interface[PLAT_IFNAME_MAX];
	int err;

	if (is < 0)
		return trouble_of_write(t, is);
	/* on, and not by one of us: whoever has set it means it */
	if (is == 1 && (m->forward & bit || !(note_others(m, false) & bit)))
		return 0;
	if (is == 0 && plat_forwarding_costs_route(families[i].family, interface))
		return trouble_of_route(t, name, interface);
	m->forward |= bit;
	err = note_write(m, m->forward);
	if (!err && is == 0)
		err = plat_forwarding_set(families[i].family, true);
	if (err) {
		m->forward &= ~bit;
		(void)note_write(m, m->forward);
	} else if (is == 0) {
		tt_log(TT_LOG_INFO, "gateway.forwarding", TT_F_STR("sysctl", name),
		       TT_F_STR("value", "1"));
	}
	return err ? trouble_of_write(t, err) : 0;
}

static void forward_off(struct node_monitor *m, size_t i)
{
	unsigned bit = families[i].bit;
	const char *name = plat_forwarding_name(families[i].family);
	int err = 0;

	if (!(m->forward & bit))
		return;
	/* another node goes on with it, and puts it back in its turn */
	if (!(note_others(m, true) & bit) && plat_forwarding_get(families[i].family) == 1) {
		err = plat_forwarding_set(families[i].family, false);
		if (err)
			tt_log(TT_LOG_WARN, "gateway.forwarding_left", TT_F_STR("sysctl", name),
			       TT_F_ERRNO("error", err));
		else
			tt_log(TT_LOG_INFO, "gateway.forwarding_put_back", TT_F_STR("sysctl", name),
			       TT_F_STR("value", "0"));
	}
	m->forward &= ~bit;
	(void)note_write(m, m->forward);
}

static int forward_explain(struct node_priv_reply *reply, enum tt_family family,
			   const struct trouble *t)
{
	const char *name = plat_forwarding_name(family);

	tt_log(TT_LOG_ERROR, "gateway.not_forwarding", TT_F_STR("sysctl", name),
	       TT_F_STR("error", t->what), TT_F_STR("hint", t->hint));
	if (reply->error[0])
		return t->err;
	return node_monitor_fail(reply, t->err, "ip_forward: cannot set %s = 1: %s; %s", name,
				 t->what, t->hint);
}

int node_monitor_forward(struct node_monitor *m, const struct node_firewall *plan,
			 struct node_priv_reply *reply)
{
	int lock = notes_lock(m), first = 0;

	for (size_t i = 0; i < TT_ARRAY_LEN(families); i++) {
		bool want = plan->ip_forward && (families[i].family == TT_FAMILY_V4 || plan->v6);
		struct trouble t = {0};

		/* also where it was set before: somebody may have taken it back */
		if (want)
			(void)forward_on(m, i, &t);
		else if (!want)
			forward_off(m, i);
		if (t.err) {
			int err = forward_explain(reply, families[i].family, &t);
			first = first ? first : err;
		}
	}
	notes_unlock(lock);
	return first;
}

void node_monitor_forward_recover(struct node_monitor *m)
{
	int lock;

	if (m->forward || !note_own(m))
		return;
	lock = notes_lock(m);
	m->forward = note_own(m);
	for (size_t i = 0; i < TT_ARRAY_LEN(families); i++)
		forward_off(m, i);
	notes_unlock(lock);
}

void node_monitor_forward_undo(struct node_monitor *m)
{
	int lock;

	if (!m->forward)
		return;
	lock = notes_lock(m);
	for (size_t i = 0; i < TT_ARRAY_LEN(families); i++)
		forward_off(m, i);
	notes_unlock(lock);
}
