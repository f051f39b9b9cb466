/* SPDX-License-Identifier: MIT
 *
 * Enrolment with a hub: the dialog (enroll_dialog.c), the files that come of it (enroll_files.c),
 * and the command (cmd_enroll.c).
 */
#ifndef TT_TALTUN_ENROLL_H
#define TT_TALTUN_ENROLL_H

#include <limits.h>

#include "base/addr.h"
#include "base/b64.h"
#include "mesh/hub_codec.h"
#include "mesh/token.h"
#include "tls/cert.h"

#define ENROLL_ACCEPT_MAX 64
#define ENROLL_ERROR_MAX  768

/* Where the hub is, if not where the token says. */
struct enroll_address {
	char host[MESH_TOKEN_HOST_MAX + 1]; /* "": the token's */
	uint16_t tcp_port;
};

/* What the hub has said, checked. */
struct enroll_result {
	struct tls_der ca, cert;
	struct tls_cert_info info; /* of cert */
	uint32_t node_id;
	char name[MESH_HUB_NAME_MAX + 1];
	struct tt_cidr addresses[MESH_HUB_ADDRESSES_MAX];
	unsigned address_count;
	struct tt_cidr networks[MESH_HUB_NETWORKS_MAX];
	unsigned network_count;
};

struct enroll {
	struct mesh_token token;
	struct enroll_address at;
	char interface[16];
	char config_dir[PATH_MAX], state_dir[PATH_MAX];
	struct tt_cidr accept[ENROLL_ACCEPT_MAX];
	unsigned accept_count;
	bool start, json, verbose; /* verbose: steps on stderr */

	uint8_t private_key[TT_KEY_LEN]; /* WireGuard's */
	struct tls_der key;		 /* of the certificate */
	struct enroll_result result;
	char error[ENROLL_ERROR_MAX];
};

/* A step's line on a terminal. */
void enroll_step(const struct enroll *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Sets e->error; always false. */
bool enroll_fail(struct enroll *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Speaks with the hub; e->result. False: e->error says what happened and what to do. */
bool enroll_dialog(struct enroll *e);

/* --- files -----------------------------------------------------------------------------------
 *
 * begin() before the hub is asked: it refuses to touch what is there already, takes or draws the
 * WireGuard key, and writes both keys to files with other names, so that a disk that cannot be
 * written does not cost a token. commit() writes the rest and gives all of them their names.
 */

enum enroll_file {
	ENROLL_FILE_WG_KEY,
	ENROLL_FILE_KEY,
	ENROLL_FILE_CERT,
	ENROLL_FILE_CA,
	ENROLL_FILE_CONFIG, /* the last to appear: without it nothing is there */
	ENROLL_FILE_COUNT
};

struct enroll_files {
	char path[ENROLL_FILE_COUNT][PATH_MAX];
	bool kept[ENROLL_FILE_COUNT];	 /* was there, and stays as it is */
	bool written[ENROLL_FILE_COUNT]; /* as path.new */
	bool named[ENROLL_FILE_COUNT];
	char hub_dir[PATH_MAX];
	char made[4][PATH_MAX]; /* folders that we made, outermost first */
	unsigned made_count;
};

bool enroll_files_begin(struct enroll *e, struct enroll_files *f);
bool enroll_files_commit(struct enroll *e, struct enroll_files *f);
/* Takes back whatever begin() and commit() did. */
void enroll_files_undo(struct enroll_files *f);

#endif
