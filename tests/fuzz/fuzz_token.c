/* SPDX-License-Identifier: MIT
 *
 * Token text. What is taken is canonical: written again it is the same line. What is refused leaves
 * nothing behind.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "crypto/mem.h"
#include "mesh/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(cond)            \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[MESH_TOKEN_TEXT_MAX];
	struct mesh_token t;

	if (mesh_token_parse((const char *)data, size, &t) != MESH_TOKEN_OK) {
		require(crypto_is_zero(&t, sizeof(t)));
		return 0;
	}
	require(t.tcp_port != 0 && mesh_token_host_is_valid(t.host));
	require(mesh_token_format(&t, text) == MESH_TOKEN_OK);
	require(strlen(text) == size && memcmp(text, data, size) == 0);
	return 0;
}
