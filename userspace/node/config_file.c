/* SPDX-License-Identifier: MIT */
#include "node/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "crypto/mem.h"
#include "node/config_schema.h"

static int read_all(int fd, size_t max, struct node_file *out)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	/* one byte more than its size now: a file that grows while it is read is noticed */
	size_t cap = (size_t)st.st_size + 1;
	*out = (struct node_file){malloc(cap + 1), 0, st.st_mode};
	if (!out->text)
		return -ENOMEM;
	while (out->len < cap) {
		ssize_t n = read(fd, out->text + out->len, cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		out->len += (size_t)n;
	}
	out->text[out->len] = '\0';
	return out->len == cap ? -EAGAIN : 0;
}

int node_file_read(const char *path, size_t max, struct node_file *out)
{
	/* non-blocking: opening a FIFO must not hang */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int rc;

	*out = (struct node_file){0};
	if (fd < 0)
		return -errno;
	rc = read_all(fd, max, out);
	close(fd);
	if (rc)
		node_file_free(out);
	return rc;
}

void node_file_free(struct node_file *f)
{
	if (f->text)
		crypto_wipe(f->text, f->len);
	free(f->text);
	*f = (struct node_file){0};
}

/* --- key files ------------------------------------------------------------------------------- */

/* A relative path of the configuration file is relative to that file, whatever the cwd. */
bool node_full_path(const struct node_draft *d, enum node_level level, const char *path, char *out,
		    size_t size)
{
	const char *slash = strrchr(d->path, '/');
	int dir = 0;

	if (level == NODE_LEVEL_FILE && path[0] != '/' && slash)
		dir = (int)(slash - d->path + 1);
	return (size_t)snprintf(out, size, "%.*s%s", dir, d->path, path) < size;
}

static const char *why_unreadable(int rc)
{
	switch (rc) {
	case -EISDIR:
	case -EINVAL:
		return "is not a regular file";
	case -EFBIG:
		return "is too big for a key file";
	case -EAGAIN:
		return "changed while it was read";
	default:
		return NULL;
	}
}

int node_named_file_is_private(struct node_draft *d, struct node_where at, const char *label,
			       const char *path, const struct node_file *f)
{
	if (!(f->mode & 077))
		return 0;
	return node_draft_fail(d, at,
			       "%s: %s is open to group or others (mode %04o); run: chmod 600 %s",
			       label, path, (unsigned)(f->mode & 07777), path);
}

static int parse_keyfile(struct node_draft *d, struct node_where at, const char *label,
			 const char *path, const struct node_file *f, uint8_t key[TT_KEY_LEN])
{
	size_t len = f->len;

	if (node_named_file_is_private(d, at, label, path, f))
		return -EINVAL;
	while (len && strchr(" \t\r\n", f->text[len - 1]))
		len--;
	if (len == 0)
		return node_draft_fail(d, at, "%s: %s is empty", label, path);
	if (tt_key_from_b64(f->text, len, key))
		return node_draft_fail(d, at,
				       "%s: %s holds no key; expected 44 characters of base64",
				       label, path);
	if (crypto_is_zero(key, TT_KEY_LEN))
		return node_draft_fail(d, at, "%s: the key in %s is all zero", label, path);
	return 0;
}

int node_named_file_read(struct node_draft *d, struct node_where at, const char *label,
			 const char *path, const char *full, size_t max, struct node_file *out)
{
	int rc = node_file_read(full, max, out);

	if (!rc)
		return 0;
	if (rc == -ENOMEM)
		return node_draft_no_memory(d);
	const char *why = why_unreadable(rc);
	return node_draft_fail(d, at, "%s: %s%s%s", label, path, why ? " " : ": ",
			       why ? why : strerror(-rc));
}

int node_keyfile_read(struct node_draft *d, enum node_level level, struct node_where at,
		      const char *label, const char *path, uint8_t key[TT_KEY_LEN])
{
	char full[4096];
	struct node_file f;

	if (!node_full_path(d, level, path, full, sizeof(full)))
		return node_draft_fail(d, at, "%s: the path is too long", label);
	int rc = node_named_file_read(d, at, label, path, full, 4096, &f);
	if (rc)
		return rc;
	rc = parse_keyfile(d, at, label, path, &f, key);
	node_file_free(&f);
	return rc;
}
