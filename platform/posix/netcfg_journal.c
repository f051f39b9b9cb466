/* SPDX-License-Identifier: MIT */
#include "netcfg_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NO_ENTRY	  UINT32_MAX
#define JOURNAL_LINES_MAX 64 /* of a file; one default route per family needs five */

void netcfg_journal_free(struct netcfg_journal *j)
{
	free(j->entries);
	free(j->next);
	free(j->buckets);
	*j = (struct netcfg_journal){0};
}

/* FNV-1a */
static uint32_t journal_bucket(const struct netcfg_journal *j, const struct netcfg_entry *e)
{
	const uint8_t *p = (const uint8_t *)e;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof(*e); i++)
		h = (h ^ p[i]) * 16777619u;
	return (h ^ h >> 15) & (j->capacity - 1);
}

/* The link that leads to the entry, for unlinking; it holds NO_ENTRY where there is none. */
static uint32_t *journal_link(const struct netcfg_journal *j, const struct netcfg_entry *e)
{
	uint32_t *link = &j->buckets[journal_bucket(j, e)];

	while (*link != NO_ENTRY && memcmp(&j->entries[*link], e, sizeof(*e)) != 0)
		link = &j->next[*link];
	return link;
}

bool netcfg_journal_has(const struct netcfg_journal *j, const struct netcfg_entry *e)
{
	return j->count && *journal_link(j, e) != NO_ENTRY;
}

static void journal_link_in(struct netcfg_journal *j, uint32_t i)
{
	uint32_t b = journal_bucket(j, &j->entries[i]);

	j->next[i] = j->buckets[b];
	j->buckets[b] = i;
}

static int journal_grow(struct netcfg_journal *j)
{
	uint32_t capacity = j->capacity ? j->capacity * 2 : 64;
	struct netcfg_journal n = {
		.entries = malloc(capacity * sizeof(*n.entries)),
		.next = malloc(capacity * sizeof(*n.next)),
		.buckets = malloc(capacity * sizeof(*n.buckets)),
		.count = j->count,
		.capacity = capacity,
	};

	if (!n.entries || !n.next || !n.buckets || capacity > UINT32_MAX / 4) {
		netcfg_journal_free(&n);
		return -ENOMEM;
	}
	memset(n.buckets, 0xff, capacity * sizeof(*n.buckets));
	if (j->count)
		memcpy(n.entries, j->entries, j->count * sizeof(*n.entries));
	for (uint32_t i = 0; i < n.count; i++)
		journal_link_in(&n, i);
	netcfg_journal_free(j);
	*j = n;
	return 0;
}

int netcfg_journal_add(struct netcfg_journal *j, const struct netcfg_entry *e)
{
	int err;

	if (netcfg_journal_has(j, e))
		return 0;
	if (j->count == j->capacity && (err = journal_grow(j)) != 0)
		return err;
	j->entries[j->count] = *e;
	journal_link_in(j, j->count);
	j->count++;
	return 0;
}

void netcfg_journal_remove(struct netcfg_journal *j, const struct netcfg_entry *e)
{
	uint32_t *link, at, last;

	if (!j->count || *(link = journal_link(j, e)) == NO_ENTRY)
		return;
	at = *link;
	*link = j->next[at];
	last = --j->count;
	if (at == last)
		return;
	link = journal_link(j, &j->entries[last]);
	*link = j->next[last];
	j->entries[at] = j->entries[last];
	journal_link_in(j, at);
}

const struct netcfg_entry *netcfg_journal_find(const struct netcfg_journal *j,
					       enum netcfg_kind kind, enum tt_family family)
{
	for (uint32_t i = 0; i < j->count; i++)
		if (j->entries[i].kind == kind &&
		    (!family || j->entries[i].prefix.ip.family == family))
			return &j->entries[i];
	return NULL;
}

/* --- the file -------------------------------------------------------------------------------- */

static bool journal_outlives(const struct netcfg_entry *e)
{
	return e->kind == NETCFG_RULE_MARK || e->kind == NETCFG_RULE_MAIN ||
	       e->kind == NETCFG_SRC_VALID_MARK || e->kind == NETCFG_GUARD;
}

static unsigned journal_write(const struct netcfg_journal *j, FILE *f)
{
	unsigned lines = 0;

	for (uint32_t i = 0; i < j->count; i++) {
		const struct netcfg_entry *e = &j->entries[i];

		if (!journal_outlives(e))
			continue;
		/* kind, family, table, metric, fwmark */
		fprintf(f, "%u %u %u %u %u\n", e->kind, e->prefix.ip.family, e->table, e->metric,
			e->fwmark);
		lines++;
	}
	return lines;
}

int netcfg_journal_save(const struct netcfg_journal *j, const char *path)
{
	char temp[512];
	FILE *f;
	int fd, err = 0;
	unsigned lines;

	if (!path)
		return 0;
	if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
		return -ENAMETOOLONG;
	(void)unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "w");
	if (!f) {
		err = -errno;
		close(fd);
		return err;
	}
	lines = journal_write(j, f);
	if (fflush(f) != 0 || ferror(f))
		err = errno ? -errno : -EIO;
	fclose(f);
	if (!err && lines)
		err = rename(temp, path) < 0 ? -errno : 0;
	else
		(void)unlink(temp);
	if (!err && !lines && unlink(path) < 0 && errno != ENOENT)
		err = -errno;
	return err;
}

static int journal_load_line(struct netcfg_journal *j, const char *line)
{
	struct netcfg_entry e = {0};
	unsigned family;
	char rest;

	if (sscanf(line, "%u %u %u %u %u %c", &e.kind, &family, &e.table, &e.metric, &e.fwmark,
		   &rest) != 5)
		return 0;
	if (!journal_outlives(&e) || (family != TT_FAMILY_V4 && family != TT_FAMILY_V6))
		return 0;
	e.prefix.ip.family = (uint8_t)family;
	return netcfg_journal_add(j, &e);
}

int netcfg_journal_load(struct netcfg_journal *j, const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK), err = 0;
	char line[128];
	FILE *f;

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (!f) {
		err = -errno;
		close(fd);
		return err;
	}
	for (unsigned i = 0; !err && i < JOURNAL_LINES_MAX && fgets(line, sizeof(line), f); i++)
		err = journal_load_line(j, line);
	fclose(f);
	return err;
}
