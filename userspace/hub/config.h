/* SPDX-License-Identifier: MIT
 *
 * hub.toml, and where a hub keeps its files. Every key is optional; what is not known is an error
 * with its place.
 */
#ifndef TT_HUB_CONFIG_H
#define TT_HUB_CONFIG_H

#include "hub/conn.h"
#include "hub/relay_udp.h"
#include "mesh/hub_codec.h"

#define HUB_PATH_MAX	      512
#define HUB_LISTEN_MAX	      8
#define HUB_CONFIG_BYTES_MAX  (256 * 1024)
#define HUB_CONFIG_ERROR_MAX  512
#define HUB_NODE_CERT_DAYS    30
#define HUB_SERVER_CERT_YEARS 5
#define HUB_CA_YEARS	      20
/* A gateway may be in use by as many laptops that only a relay reaches, and sixteen like it by
 * theirs. */
#define HUB_RELAY_PAIRS_PER_NODE 4096

/* Files. dir NULL: /etc/taltun and /var/lib/taltun-hub; otherwise all of it below dir. */
struct hub_paths {
	char config_dir[HUB_PATH_MAX], state_dir[HUB_PATH_MAX];
	char config[HUB_PATH_MAX];
	char db[HUB_PATH_MAX];
	char ca_cert[HUB_PATH_MAX], ca_key[HUB_PATH_MAX];
	char cert[HUB_PATH_MAX], key[HUB_PATH_MAX];
	char control[HUB_PATH_MAX]; /* socket of the running hub */
};
/* False: dir is too long. */
bool hub_paths_make(const char *dir, struct hub_paths *out);

struct hub_config {
	struct tt_endpoint listen[HUB_LISTEN_MAX]; /* TCP; none: the port of the hub's name */
	unsigned listen_count;
	char user[32]; /* whom a hub that is started as root becomes */
	struct hub_conn_limits limits;
	uint32_t node_cert_days;
	uint16_t stun_udp_port;				     /* 0: none */
	uint16_t relay_udp_port;			     /* 0: no relay by UDP */
	struct tt_endpoint relay_at[MESH_HUB_ENDPOINTS_MAX]; /* what nodes are told; none: found */
	unsigned relay_at_count;
	uint64_t relay_udp_bytes_per_s, relay_tcp_bytes_per_s; /* of one node; 0: any */
	uint32_t relay_udp_pairs;      /* that one node may have opened; 0: any */
	struct tt_endpoint metrics_at; /* port 0: not by TCP */
	char metrics_path[108];	       /* of a Unix socket; "": none */
	int log_level;		       /* enum tt_log_level */
	int log_format;		       /* enum tt_log_format */
};

void hub_config_defaults(struct hub_config *c);
/* 0; -EINVAL with error = "FILE:LINE:COLUMN: what"; other -errno with error. A file that is not
 * there is one that says nothing. */
int hub_config_load(const char *path, struct hub_config *out, char error[HUB_CONFIG_ERROR_MAX]);

#endif
