/* SPDX-License-Identifier: MIT
 *
 * 32-byte keys as text: base64 (44 characters, as wg(8) writes them) and hex (UAPI). Constant time
 * in the key's bytes. Decoders accept exactly the canonical form.
 */
#ifndef TT_BASE_B64_H
#define TT_BASE_B64_H

#include "base/types.h"

#define TT_KEY_LEN     32
#define TT_KEY_B64_LEN 44
#define TT_KEY_HEX_LEN 64

void tt_key_to_b64(const uint8_t key[TT_KEY_LEN], char out[TT_KEY_B64_LEN + 1]);
int tt_key_from_b64(const char *text, size_t len, uint8_t key[TT_KEY_LEN]); /* 0 or -EINVAL */
void tt_key_to_hex(const uint8_t key[TT_KEY_LEN], char out[TT_KEY_HEX_LEN + 1]);
int tt_key_from_hex(const char *text, size_t len, uint8_t key[TT_KEY_LEN]); /* 0 or -EINVAL */

#endif
