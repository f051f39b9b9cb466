/* SPDX-License-Identifier: MIT */
#include "mesh/token.h"

#include "base/addr.h"
#include "crypto/hmac.h"
#include "crypto/mem.h"

#define SCHEME	   "taltun://"
#define SCHEME_LEN (sizeof(SCHEME) - 1)
#define LABEL	   "taltun enroll v1"
#define LABEL_LEN  (sizeof(LABEL) - 1)

const char *mesh_token_outcome_text(enum mesh_token_outcome o)
{
	switch (o) {
	case MESH_TOKEN_OK:
		return "the token is well formed";
	case MESH_TOKEN_TOO_LONG:
		return "the token is too long";
	case MESH_TOKEN_BAD_SCHEME:
		return "the token does not begin with taltun://";
	case MESH_TOKEN_BAD_HOST:
		return "the token's host is not a name or an address";
	case MESH_TOKEN_BAD_PORT:
		return "the token's port is not a number of 1 to 65535";
	case MESH_TOKEN_BAD_ID:
		return "the token's id is damaged (the part behind the slash)";
	case MESH_TOKEN_BAD_SECRET:
		return "the token's secret is damaged (the part behind the first dot)";
	case MESH_TOKEN_BAD_FINGERPRINT:
		return "the token's fingerprint is damaged or cut off (its last part)";
	}
	return "the token is not understood";
}

/* --- base64url, without tables or branches on the value ------------------------------------------
 */

#define B64_LEN(n) (((n)*8 + 5) / 6)

/* 0xff where a <= x <= b, else 0; all of them below 256. */
static uint32_t within(uint32_t x, uint32_t a, uint32_t b)
{
	return ~((x - a) >> 8 | (b - x) >> 8) & 0xff;
}

static char digit_to_char(uint32_t d)
{
	uint32_t c = (within(d, 0, 25) & (d + 'A')) | (within(d, 26, 51) & (d - 26 + 'a')) |
		     (within(d, 52, 61) & (d - 52 + '0')) | (within(d, 62, 62) & '-') |
		     (within(d, 63, 63) & '_');

	return (char)c;
}

/* The digit, or 0x100 where c is none. */
static uint32_t digit_from_char(uint8_t c)
{
	uint32_t upper = within(c, 'A', 'Z'), lower = within(c, 'a', 'z');
	uint32_t number = within(c, '0', '9'), minus = within(c, '-', '-');
	uint32_t line = within(c, '_', '_');
	uint32_t d = (upper & (c - 'A')) | (lower & (c - 'a' + 26u)) | (number & (c - '0' + 52u)) |
		     (minus & 62) | (line & 63);

	return d | ((~(upper | lower | number | minus | line) & 0xff) << 8 & 0x100);
}

/* Writes B64_LEN(len) characters. */
static void b64url_write(const uint8_t *data, size_t len, char *text)
{
	uint32_t bits = 0, have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | data[i];
		for (have += 8; have >= 6; have -= 6)
			*text++ = digit_to_char(bits >> (have - 6) & 63);
	}
	if (have)
		*text = digit_to_char(bits << (6 - have) & 63);
}

/* B64_LEN(len) characters to len bytes. False where one is no digit or the spare bits are set. */
static bool b64url_read(const char *text, uint8_t *data, size_t len)
{
	uint32_t bits = 0, have = 0, bad = 0;

	for (size_t i = 0; i < B64_LEN(len); i++) {
		uint32_t d = digit_from_char((uint8_t)text[i]);

		bad |= d & 0x100;
		bits = (bits << 6 | (d & 63)) & 0x3fff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*data++ = (uint8_t)(bits >> have);
		}
	}
	return !(bad | (bits & ((1u << have) - 1)));
}

/* --- host and port ------------------------------------------------------------------------------
 */

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static bool is_digits_and_dots(const char *host)
{
	for (; *host; host++) {
		if (*host != '.' && (*host < '0' || *host > '9'))
			return false;
	}
	return true;
}

static bool is_dns_name(const char *host)
{
	size_t label = 0;

	for (const char *p = host; *p; p++) {
		if (*p == '.' ? label == 0 || p[-1] == '-' : !is_label_char(*p))
			return false;
		if (*p == '-' && label == 0)
			return false;
		label = *p == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return label > 0;
}

bool mesh_token_host_is_valid(const char *host)
{
	size_t len = 0;
	struct tt_ip ip;

	while (host[len]) {
		if (++len > MESH_TOKEN_HOST_MAX)
			return false;
	}
	if (tt_ip_parse(host, &ip) == 0)
		return true;
	/* 300.1.1.1 and 1.2.3 are mistakes, not names. */
	return is_dns_name(host) && !is_digits_and_dots(host) && host[len - 1] != '-';
}

static bool host_is_v6(const char *host)
{
	for (; *host; host++) {
		if (*host == ':')
			return true;
	}
	return false;
}

/* Digits without a leading zero, 1..65535, all of len; 0 otherwise. */
static uint16_t port_parse(const char *text, size_t len)
{
	uint32_t port = 0;

	if (len == 0 || len > 5 || text[0] == '0')
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		port = port * 10 + (uint32_t)(text[i] - '0');
	}
	return port <= 65535 ? (uint16_t)port : 0;
}

/* "host:port", with brackets round IPv6. */
static enum mesh_token_outcome authority_parse(const char *text, size_t len, struct mesh_token *out)
{
	size_t colon = len, host_len;
	bool brackets = len > 0 && text[0] == '[';

	while (colon > 0 && text[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return MESH_TOKEN_BAD_PORT;
	host_len = colon - 1;
	if (brackets) {
		if (host_len < 2 || text[host_len - 1] != ']')
			return MESH_TOKEN_BAD_HOST;
		text++;
		host_len -= 2;
	}
	if (host_len == 0 || host_len > MESH_TOKEN_HOST_MAX)
		return MESH_TOKEN_BAD_HOST;
	memcpy(out->host, text, host_len);
	if (!mesh_token_host_is_valid(out->host) || strlen(out->host) != host_len ||
	    host_is_v6(out->host) != brackets)
		return MESH_TOKEN_BAD_HOST;
	text += host_len + (brackets ? 2 : 1);
	out->tcp_port = port_parse(text, len - host_len - (brackets ? 3 : 1));
	return out->tcp_port ? MESH_TOKEN_OK : MESH_TOKEN_BAD_PORT;
}

/* --- the line ------------------------------------------------------------------------------------
 */

#define ID_CHARS	  B64_LEN(MESH_TOKEN_ID_LEN)
#define SECRET_CHARS	  B64_LEN(MESH_TOKEN_SECRET_LEN)
#define FINGERPRINT_CHARS B64_LEN(MESH_TOKEN_FINGERPRINT_LEN)

_Static_assert(ID_CHARS + 1 == MESH_TOKEN_ID_TEXT_MAX, "an id is 16 characters");
_Static_assert(SCHEME_LEN + MESH_TOKEN_HOST_MAX + 8 + 1 + ID_CHARS + 1 + SECRET_CHARS + 1 +
			       FINGERPRINT_CHARS + 1 <=
		       MESH_TOKEN_TEXT_MAX,
	       "the longest token has room");

/* "ID.SECRET.FINGERPRINT" of fixed lengths. What is missing is named by the first bad part. */
static enum mesh_token_outcome parts_parse(const char *text, size_t len, struct mesh_token *out)
{
	const char *secret = text + ID_CHARS + 1;
	const char *fingerprint = secret + SECRET_CHARS + 1;

	if (len < ID_CHARS + 1 || text[ID_CHARS] != '.' ||
	    !b64url_read(text, out->id, MESH_TOKEN_ID_LEN))
		return MESH_TOKEN_BAD_ID;
	len -= ID_CHARS + 1;
	if (len < SECRET_CHARS + 1 || secret[SECRET_CHARS] != '.' ||
	    !b64url_read(secret, out->secret, MESH_TOKEN_SECRET_LEN))
		return MESH_TOKEN_BAD_SECRET;
	len -= SECRET_CHARS + 1;
	if (len != FINGERPRINT_CHARS ||
	    !b64url_read(fingerprint, out->ca_fingerprint, MESH_TOKEN_FINGERPRINT_LEN))
		return MESH_TOKEN_BAD_FINGERPRINT;
	return MESH_TOKEN_OK;
}

static enum mesh_token_outcome line_parse(const char *text, size_t len, struct mesh_token *out)
{
	size_t slash = SCHEME_LEN;

	if (len >= MESH_TOKEN_TEXT_MAX)
		return MESH_TOKEN_TOO_LONG;
	if (len < SCHEME_LEN || memcmp(text, SCHEME, SCHEME_LEN) != 0)
		return MESH_TOKEN_BAD_SCHEME;
	while (slash < len && text[slash] != '/')
		slash++;
	enum mesh_token_outcome o = authority_parse(text + SCHEME_LEN, slash - SCHEME_LEN, out);
	if (o != MESH_TOKEN_OK)
		return o;
	if (slash == len)
		return MESH_TOKEN_BAD_ID;
	return parts_parse(text + slash + 1, len - slash - 1, out);
}

enum mesh_token_outcome mesh_token_parse(const char *text, size_t len, struct mesh_token *out)
{
	memset(out, 0, sizeof(*out));
	enum mesh_token_outcome o = line_parse(text, len, out);
	if (o != MESH_TOKEN_OK)
		crypto_wipe(out, sizeof(*out));
	return o;
}

static char *put(char *at, const char *text, size_t len)
{
	memcpy(at, text, len);
	return at + len;
}

static char *put_port(char *at, uint32_t port)
{
	uint32_t unit = 10000;

	while (unit > port)
		unit /= 10;
	for (; unit; unit /= 10)
		*at++ = (char)('0' + port / unit % 10);
	return at;
}

enum mesh_token_outcome mesh_token_format(const struct mesh_token *t,
					  char text[MESH_TOKEN_TEXT_MAX])
{
	char *at = text;

	*at = 0;
	if (!mesh_token_host_is_valid(t->host))
		return MESH_TOKEN_BAD_HOST;
	if (t->tcp_port == 0)
		return MESH_TOKEN_BAD_PORT;
	bool v6 = host_is_v6(t->host);
	at = put(at, SCHEME, SCHEME_LEN);
	at = put(at, "[", v6 ? 1 : 0);
	at = put(at, t->host, strlen(t->host));
	at = put(at, "]", v6 ? 1 : 0);
	at = put(at, ":", 1);
	at = put_port(at, t->tcp_port);
	at = put(at, "/", 1);
	b64url_write(t->id, MESH_TOKEN_ID_LEN, at);
	at = put(at + ID_CHARS, ".", 1);
	b64url_write(t->secret, MESH_TOKEN_SECRET_LEN, at);
	at = put(at + SECRET_CHARS, ".", 1);
	b64url_write(t->ca_fingerprint, MESH_TOKEN_FINGERPRINT_LEN, at);
	at[FINGERPRINT_CHARS] = 0;
	return MESH_TOKEN_OK;
}

void mesh_token_id_format(const uint8_t id[MESH_TOKEN_ID_LEN], char text[MESH_TOKEN_ID_TEXT_MAX])
{
	b64url_write(id, MESH_TOKEN_ID_LEN, text);
	text[ID_CHARS] = 0;
}

bool mesh_token_id_parse(const char *text, size_t len, uint8_t id[MESH_TOKEN_ID_LEN])
{
	return len == ID_CHARS && b64url_read(text, id, MESH_TOKEN_ID_LEN);
}

/* --- the proof -----------------------------------------------------------------------------------
 */

#define CLAIM_PARTS 5

static void claim_parts(struct crypto_part parts[CLAIM_PARTS], const struct mesh_token_claim *claim)
{
	parts[0] = (struct crypto_part){LABEL, LABEL_LEN};
	parts[1] = (struct crypto_part){claim->nonce, MESH_TOKEN_NONCE_LEN};
	parts[2] = (struct crypto_part){claim->exporter, MESH_TOKEN_EXPORTER_LEN};
	parts[3] = (struct crypto_part){claim->wg_public_key, 32};
	parts[4] = (struct crypto_part){claim->csr_sha256, 32};
}

void mesh_token_proof(uint8_t proof[MESH_TOKEN_PROOF_LEN],
		      const uint8_t secret[MESH_TOKEN_SECRET_LEN],
		      const struct mesh_token_claim *claim)
{
	struct crypto_part parts[CLAIM_PARTS];

	claim_parts(parts, claim);
	crypto_hmac(CRYPTO_HMAC_SHA256, proof, secret, MESH_TOKEN_SECRET_LEN, parts, CLAIM_PARTS);
}

bool mesh_token_proof_check(const uint8_t proof[MESH_TOKEN_PROOF_LEN],
			    const uint8_t secret[MESH_TOKEN_SECRET_LEN],
			    const struct mesh_token_claim *claim)
{
	struct crypto_part parts[CLAIM_PARTS];

	claim_parts(parts, claim);
	return crypto_hmac_check(CRYPTO_HMAC_SHA256, proof, MESH_TOKEN_PROOF_LEN, secret,
				 MESH_TOKEN_SECRET_LEN, parts, CLAIM_PARTS);
}
