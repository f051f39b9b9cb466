/* SPDX-License-Identifier: MIT */
#include "taltun/enroll.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "node/config_load.h"
#include "plat/clock.h"

#define NEW ".new"

/* --- folders and paths ----------------------------------------------------------------------- */

/* Text into a buffer of PATH_MAX, with room for NEW behind it. */
static bool set_path(struct enroll *e, char *out, const char *dir, const char *format,
		     const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), format, name);
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", dir, file) + sizeof(NEW) < PATH_MAX)
		return true;
	return enroll_fail(e, "the path %.100s... is too long", dir);
}

static bool name_files(struct enroll *e, struct enroll_files *f)
{
	return set_path(e, f->path[ENROLL_FILE_WG_KEY], e->config_dir, "%s.key", e->interface) &&
	       set_path(e, f->path[ENROLL_FILE_CONFIG], e->config_dir, "%s.toml", e->interface) &&
	       set_path(e, f->hub_dir, e->state_dir, "%s.hub", e->interface) &&
	       set_path(e, f->path[ENROLL_FILE_KEY], f->hub_dir, "%s", "node.key") &&
	       set_path(e, f->path[ENROLL_FILE_CERT], f->hub_dir, "%s", "node.crt") &&
	       set_path(e, f->path[ENROLL_FILE_CA], f->hub_dir, "%s", "ca.crt");
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static bool refuse_to_overwrite(struct enroll *e, const struct enroll_files *f)
{
	char other[PATH_MAX];

	if (is_there(f->path[ENROLL_FILE_CONFIG]))
		return enroll_fail(e,
				   "%s is there already, and is left alone; choose another "
				   "interface with --interface, or move it away to enrol anew",
				   f->path[ENROLL_FILE_CONFIG]);
	if (!set_path(e, other, e->config_dir, "%s.conf", e->interface))
		return false;
	if (is_there(other))
		return enroll_fail(e,
				   "%s is there already, and describes the same interface; choose "
				   "another with --interface, or move it away",
				   other);
	for (int i = ENROLL_FILE_KEY; i <= ENROLL_FILE_CA; i++)
		if (is_there(f->path[i]))
			return enroll_fail(e,
					   "%s is there already, from an earlier enrolment; move "
					   "%s away to enrol anew",
					   f->path[i], f->hub_dir);
	return true;
}

static const char *hint_of(int err)
{
	return err == EACCES || err == EPERM ? "; run it as root" : "";
}

static bool make_dir(struct enroll *e, struct enroll_files *f, const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0) {
		snprintf(f->made[f->made_count++], PATH_MAX, "%s", path);
		return true;
	}
	return errno == EEXIST ||
	       enroll_fail(e, "cannot make %s: %s%s", path, strerror(errno), hint_of(errno));
}

/* --- writing --------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) == 0;
}

static bool write_file(struct enroll *e, struct enroll_files *f, enum enroll_file which,
		       const char *text, mode_t mode)
{
	char temp[PATH_MAX + sizeof(NEW)];

	snprintf(temp, sizeof(temp), "%s" NEW, f->path[which]);
	unlink(temp); /* of an enrolment that was killed */
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return enroll_fail(e, "cannot write %s: %s%s", temp, strerror(errno),
				   hint_of(errno));
	f->written[which] = true;
	bool ok = write_all(fd, text, strlen(text));
	int err = errno;
	ok = close(fd) == 0 && ok;
	return ok || enroll_fail(e, "cannot write %s: %s", temp, strerror(err));
}

static bool sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* link() instead of rename(): a file that has appeared meanwhile is not replaced. */
static bool give_name(struct enroll *e, struct enroll_files *f, enum enroll_file which)
{
	char temp[PATH_MAX + sizeof(NEW)];

	if (f->kept[which])
		return true;
	snprintf(temp, sizeof(temp), "%s" NEW, f->path[which]);
	if (link(temp, f->path[which]) != 0)
		return enroll_fail(e, "cannot write %s: %s", f->path[which], strerror(errno));
	f->named[which] = true;
	unlink(temp);
	f->written[which] = false;
	return true;
}

/* --- keys ------------------------------------------------------------------------------------ */

static bool use_wg_key(struct enroll *e, struct enroll_files *f)
{
	const char *path = f->path[ENROLL_FILE_WG_KEY];
	char text[128];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return enroll_fail(e, "cannot read %s: %s%s", path, strerror(errno),
				   hint_of(errno));
	ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, sizeof(text)) : -1;
	close(fd);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		n--;
	bool ok = n > 0 && tt_key_from_b64(text, (size_t)n, e->private_key) == 0;
	crypto_wipe(text, sizeof(text));
	if (!ok)
		return enroll_fail(e, "%s holds no key; move it away, and a new one is made", path);
	if (st.st_mode & 077)
		return enroll_fail(e,
				   "%s is open to group or others (mode %04o); run: chmod 600 %s",
				   path, (unsigned)(st.st_mode & 07777), path);
	f->kept[ENROLL_FILE_WG_KEY] = true;
	enroll_step(e, "using the key in %s", path);
	return true;
}

static bool draw_wg_key(struct enroll *e, struct enroll_files *f)
{
	char text[TT_KEY_B64_LEN + 2];
	struct tt_rng rng = plat_rng();

	tt_rng_fill(&rng, e->private_key, sizeof(e->private_key));
	crypto_x25519_clamp(e->private_key);
	tt_key_to_b64(e->private_key, text);
	memcpy(text + TT_KEY_B64_LEN, "\n", 2);
	bool ok = write_file(e, f, ENROLL_FILE_WG_KEY, text, 0600);
	crypto_wipe(text, sizeof(text));
	return ok;
}

static bool draw_key(struct enroll *e, struct enroll_files *f)
{
	char pem[TLS_CERT_PEM_MAX];

	if (tls_key_generate(&e->key) != 0 || tls_key_to_pem(&e->key, pem, sizeof(pem)) != 0)
		return enroll_fail(e, "cannot make a key for the certificate: %s",
				   tls_error(pem, sizeof(pem)));
	bool ok = write_file(e, f, ENROLL_FILE_KEY, pem, 0600);
	crypto_wipe(pem, sizeof(pem));
	return ok;
}

bool enroll_files_begin(struct enroll *e, struct enroll_files *f)
{
	memset(f, 0, sizeof(*f));
	if (!name_files(e, f) || !refuse_to_overwrite(e, f) ||
	    !make_dir(e, f, e->config_dir, 0755) || !make_dir(e, f, e->state_dir, 0700) ||
	    !make_dir(e, f, f->hub_dir, 0700))
		return false;
	return (is_there(f->path[ENROLL_FILE_WG_KEY]) ? use_wg_key(e, f) : draw_wg_key(e, f)) &&
	       draw_key(e, f);
}

/* --- the configuration ------------------------------------------------------------------------ */

static void put_prefixes(FILE *out, const char *key, const struct tt_cidr *list, unsigned count)
{
	char text[TT_CIDR_TEXT_MAX];

	fprintf(out, "%s = [", key);
	for (unsigned i = 0; i < count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "", tt_cidr_format(&list[i], text));
	fputs("]\n", out);
}

static void put_hub(const struct enroll *e, const struct enroll_files *f, FILE *out)
{
	const char *host = e->at.host[0] ? e->at.host : e->token.host;
	uint16_t tcp_port = e->at.host[0] ? e->at.tcp_port : e->token.tcp_port;

	fprintf(out,
		strchr(host, ':') ? "\n[hub]\nserver = \"[%s]:%u\"\n"
				  : "\n[hub]\nserver = \"%s:%u\"\n",
		host, tcp_port);
	if (strcmp(host, e->token.host) != 0)
		fprintf(out, "name = \"%s\"\n", e->token.host);
	if (strcmp(e->state_dir, NODE_CONFIG_STATE_DIR) != 0)
		fprintf(out, "certificate_file = \"%s\"\nkey_file = \"%s\"\nca_file = \"%s\"\n",
			f->path[ENROLL_FILE_CERT], f->path[ENROLL_FILE_KEY],
			f->path[ENROLL_FILE_CA]);
	fputs("# Subnets and default routes of gateways that this node takes, as "
	      "\"192.168.50.0/24\" or \"0.0.0.0/0\".\n",
	      out);
	put_prefixes(out, "accept", e->accept, e->accept_count);
	put_prefixes(out, "networks", e->result.networks, e->result.network_count);
}

/*
 * The same udp_port after every start: peers and NATs that know it need not learn it anew, which
 * without the hub they could not. One of the dynamic range (RFC 6335), another one on each node.
 */
static unsigned draw_udp_port(void)
{
	struct tt_rng rng = plat_rng();

	return 49152 + tt_rng_below(&rng, 65536 - 49152);
}

static char *config_text(const struct enroll *e, const struct enroll_files *f)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out,
		"# Written by `taltun enroll`: this node is %s. See taltun.toml(5).\n"
		"[interface]\nname = \"%s\"\nprivate_key_file = \"%s\"\n",
		e->result.name, e->interface, f->path[ENROLL_FILE_WG_KEY]);
	put_prefixes(out, "address", e->result.addresses, e->result.address_count);
	fprintf(out, "listen_port = %u\n", draw_udp_port());
	put_hub(e, f, out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool write_certificates(struct enroll *e, struct enroll_files *f)
{
	char pem[TLS_CERT_PEM_MAX];

	if (tls_cert_to_pem(&e->result.cert, pem, sizeof(pem)) != 0)
		return enroll_fail(e, "cannot write the certificate as text");
	if (!write_file(e, f, ENROLL_FILE_CERT, pem, 0644))
		return false;
	if (tls_cert_to_pem(&e->result.ca, pem, sizeof(pem)) != 0)
		return enroll_fail(e, "cannot write the CA's certificate as text");
	return write_file(e, f, ENROLL_FILE_CA, pem, 0644);
}

/* What was written is what the daemon will take. */
static bool try_config(struct enroll *e, const struct enroll_files *f, const char *text)
{
	static struct node_config_error err;
	struct node_config_source src = {.path = f->path[ENROLL_FILE_CONFIG],
					 .text = text,
					 .text_len = strlen(text),
					 .syntax = NODE_CONFIG_TOML,
					 .state_dir = e->state_dir};
	struct node_config *cfg = NULL;

	if (node_config_load(&src, &err, &cfg) != 0)
		return enroll_fail(e, "%s", err.text);
	node_config_free(cfg);
	return true;
}

bool enroll_files_commit(struct enroll *e, struct enroll_files *f)
{
	char *text = config_text(e, f);

	bool ok = text && write_certificates(e, f) &&
		  write_file(e, f, ENROLL_FILE_CONFIG, text, 0644);
	if (!text)
		enroll_fail(e, "out of memory");
	for (int i = 0; ok && i < ENROLL_FILE_CONFIG; i++)
		ok = give_name(e, f, (enum enroll_file)i);
	ok = ok && try_config(e, f, text) && give_name(e, f, ENROLL_FILE_CONFIG);
	free(text);
	if (ok && (!sync_dir(f->hub_dir) || !sync_dir(e->config_dir)))
		enroll_step(e, "the file system does not say whether the files are on the disk");
	return ok;
}

void enroll_files_undo(struct enroll_files *f)
{
	char temp[PATH_MAX + sizeof(NEW)];

	for (int i = 0; i < ENROLL_FILE_COUNT; i++) {
		snprintf(temp, sizeof(temp), "%s" NEW, f->path[i]);
		if (f->written[i])
			unlink(temp);
		if (f->named[i])
			unlink(f->path[i]);
	}
	while (f->made_count)
		rmdir(f->made[--f->made_count]);
}
