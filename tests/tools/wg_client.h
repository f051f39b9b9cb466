/* SPDX-License-Identifier: MIT
 *
 * A WireGuard initiator without timers, for tools that misbehave on purpose: each handshake
 * message and each packet goes out when the tool says so.
 */
#ifndef TT_TOOLS_WG_CLIENT_H
#define TT_TOOLS_WG_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/b64.h"
#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "plat/clock.h"
#include "wg/cookie.h"
#include "wg/data.h"
#include "wg/noise.h"
#include "wg/tai64n.h"

struct wg_client {
	int fd;
	struct sockaddr_in to;
	struct wg_noise_static self;
	struct wg_noise_remote remote;
	struct wg_cookie cookie;
	struct wg_tai64n stamp;
	struct wg_noise_initiator initiator;
	uint32_t next_index;
};

static inline _Noreturn void wg_client_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline void wg_client_read_key(const char *path, uint8_t key[WG_KEY_LEN])
{
	char text[TT_KEY_B64_LEN + 1] = "";
	FILE *f = fopen(path, "r");

	if (!f || fread(text, 1, TT_KEY_B64_LEN, f) != TT_KEY_B64_LEN ||
	    tt_key_from_b64(text, TT_KEY_B64_LEN, key) != 0)
		wg_client_die(path);
	fclose(f);
}

static inline struct sockaddr_in wg_client_address(const char *ip, const char *udp_port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(udp_port))};

	if (inet_pton(AF_INET, ip, &sa.sin_addr) != 1)
		wg_client_die(ip);
	return sa;
}

/* Files hold keys as wg(8) prints them. */
static inline void wg_client_open(struct wg_client *c, const char *private_key_file,
				  const char *peer_key_file, const char *ip, const char *udp_port)
{
	struct tt_rng rng = plat_rng();
	int size = 4 << 20;

	memset(c, 0, sizeof(*c));
	c->to = wg_client_address(ip, udp_port);
	c->fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (c->fd < 0)
		wg_client_die("socket");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	wg_client_read_key(private_key_file, c->self.private_key);
	crypto_x25519_base(c->self.public_key, c->self.private_key);
	wg_client_read_key(peer_key_file, c->remote.public_key);
	if (!crypto_x25519(c->remote.static_static, c->self.private_key, c->remote.public_key))
		wg_client_die("low-order key");
	wg_cookie_keys_init(&c->cookie.keys, c->remote.public_key);
	c->next_index = tt_rng_u32(&rng);
}

static inline void wg_client_send(const struct wg_client *c, const void *data, size_t len)
{
	if (sendto(c->fd, data, len, 0, (const struct sockaddr *)&c->to, sizeof(c->to)) < 0 &&
	    errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
		wg_client_die("sendto");
}

/* One datagram within timeout_ms; 0: none came. */
static inline size_t wg_client_receive(const struct wg_client *c, uint8_t *buf, size_t cap,
				       int timeout_ms)
{
	struct pollfd p = {c->fd, POLLIN, 0};

	if (timeout_ms && poll(&p, 1, timeout_ms) <= 0)
		return 0;
	ssize_t n = recv(c->fd, buf, cap, MSG_DONTWAIT);
	return n > 0 ? (size_t)n : 0;
}

/* A new initiation, with mac2 where a cookie has come. */
static inline void wg_client_initiation(struct wg_client *c, struct wg_msg_initiation *msg)
{
	struct tt_rng rng = plat_rng();
	struct tt_wall none = {0};
	uint8_t ephemeral[WG_KEY_LEN];

	tt_rng_fill(&rng, ephemeral, sizeof(ephemeral));
	wg_tai64n_next(&c->stamp, &c->stamp, plat_clock_wall(), none);
	if (wg_noise_initiation_create(&c->initiator, msg, &c->self, &c->remote, ephemeral,
				       &c->stamp, c->next_index++) != WG_NOISE_OK)
		wg_client_die("initiation");
	wg_cookie_stamp(&c->cookie, (uint8_t *)msg, sizeof(*msg), plat_clock_mono());
}

/* True where buf answers the last initiation: s is the session. */
static inline bool wg_client_response(struct wg_client *c, const uint8_t *buf, size_t len,
				      struct wg_session *s)
{
	const struct wg_msg_response *msg = (const struct wg_msg_response *)buf;
	struct wg_noise_keys keys;

	if (len != sizeof(*msg) || wg_message_type_of(buf, len) != WG_MSG_RESPONSE ||
	    tt_load_le32(msg->receiver_index) != c->initiator.local_index ||
	    wg_noise_response_consume(&keys, msg, &c->initiator, &c->self, &c->remote) !=
		    WG_NOISE_OK)
		return false;
	memset(s, 0, sizeof(*s));
	memcpy(s->send_key.bytes, keys.send, WG_KEY_LEN);
	memcpy(s->recv_key.bytes, keys.recv, WG_KEY_LEN);
	s->local_index = keys.local_index;
	s->remote_index = keys.remote_index;
	s->initiator = true;
	s->born = plat_clock_mono();
	s->rekey_after_bytes = UINT64_MAX;
	wg_replay_init(&s->replay);
	return true;
}

/* Takes a cookie reply in; true where it was one that counts. */
static inline bool wg_client_cookie(struct wg_client *c, const uint8_t *buf, size_t len)
{
	return len == sizeof(struct wg_msg_cookie) &&
	       wg_message_type_of(buf, len) == WG_MSG_COOKIE &&
	       wg_cookie_reply_consume(&c->cookie, (const struct wg_msg_cookie *)buf,
				       plat_clock_mono()) == WG_COOKIE_STORED;
}

static inline void wg_client_seal(struct wg_client *c, struct wg_session *s, const uint8_t *packet,
				  size_t len)
{
	uint8_t out[2048];

	if (wg_data_seal(s, plat_clock_mono(), packet, len, 1420, out) != WG_SESSION_DEAD)
		wg_client_send(c, out, wg_data_padded_len(len, 1420) + WG_DATA_OVERHEAD);
}

#endif
