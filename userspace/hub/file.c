/* SPDX-License-Identifier: MIT */
#include "hub/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "crypto/mem.h"

static int fail(const char *path, int err, const char *hint)
{
	tt_log(TT_LOG_ERROR, "file.refused", TT_F_STR("file", path), TT_F_ERRNO("error", err),
	       TT_F_STR("hint", hint));
	return err;
}

static int read_all(int fd, char *buf, size_t max, size_t *len)
{
	*len = 0;
	while (*len <= max) {
		ssize_t n = read(fd, buf + *len, max + 1 - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	return *len > max ? -EFBIG : 0;
}

static int read_file(const char *path, size_t max, bool secret, char **out, size_t *len)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	struct stat st;

	if (fd < 0)
		return fail(path, -errno, "it cannot be opened");
	int err = fstat(fd, &st) < 0 ? -errno : 0;
	if (!err && !S_ISREG(st.st_mode))
		err = fail(path, -EINVAL, "it is no regular file");
	else if (!err && secret && (st.st_mode & 077))
		err = fail(path, -EPERM, "others may read this key: chmod 600");
	if (err) {
		close(fd);
		return err;
	}
	*out = malloc(max + 2);
	err = *out ? read_all(fd, *out, max, len) : -ENOMEM;
	close(fd);
	if (err) {
		free(*out);
		return fail(path, err, err == -EFBIG ? "it is too long" : "it cannot be read");
	}
	(*out)[*len] = 0;
	return 0;
}

int hub_file_read(const char *path, size_t max, char **out, size_t *len)
{
	return read_file(path, max, false, out, len);
}

int hub_file_read_cert(const char *path, struct tls_der *out)
{
	char *text;
	size_t len;
	int err = read_file(path, 16384, false, &text, &len);

	if (err)
		return err;
	err = tls_cert_from_pem(text, len, out);
	free(text);
	return err ? fail(path, err, "it holds no certificate") : 0;
}

int hub_file_read_key(const char *path, struct tls_der *out)
{
	char *text;
	size_t len;
	int err = read_file(path, 16384, true, &text, &len);

	if (err)
		return err;
	err = tls_key_from_pem(text, len, out);
	crypto_wipe(text, len);
	free(text);
	return err ? fail(path, err, "it holds no private key") : 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static void sync_directory(const char *path)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

/* link() does not replace what is there, rename() does. */
static int put_in_place(const char *temporary, const char *path, bool replace)
{
	int err;

	if (replace)
		return rename(temporary, path) < 0 ? -errno : 0;
	err = link(temporary, path) < 0 ? -errno : 0;
	unlink(temporary);
	return err;
}

int hub_file_write(const char *path, const void *data, size_t len, unsigned mode, bool replace)
{
	char temporary[4096];

	if (snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid()) >=
	    (int)sizeof(temporary))
		return -ENAMETOOLONG;
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	if (fd < 0)
		return fail(path, -errno, "it cannot be made");
	int err = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data, len);
	close(fd);
	if (!err)
		err = put_in_place(temporary, path, replace);
	if (err) {
		unlink(temporary);
		return fail(path, err, "it cannot be written");
	}
	sync_directory(path);
	return 0;
}

int hub_file_write_cert(const char *path, const struct tls_der *cert, bool replace)
{
	char pem[TLS_CERT_PEM_MAX];

	if (tls_cert_to_pem(cert, pem, sizeof(pem)) != 0)
		return -EINVAL;
	return hub_file_write(path, pem, strlen(pem), 0644, replace);
}

int hub_file_write_key(const char *path, const struct tls_der *key, bool replace)
{
	char pem[TLS_CERT_PEM_MAX];

	if (tls_key_to_pem(key, pem, sizeof(pem)) != 0)
		return -EINVAL;
	int err = hub_file_write(path, pem, strlen(pem), 0600, replace);
	crypto_wipe(pem, sizeof(pem));
	return err;
}
