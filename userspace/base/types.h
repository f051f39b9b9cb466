/* SPDX-License-Identifier: MIT
 *
 * Types that keep unlike things apart: clocks, byte orders, ids. They cost nothing at run time.
 */
#ifndef TT_BASE_TYPES_H
#define TT_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Time since boot, suspend included (CLOCK_BOOTTIME). 0 means "never". All deadlines use it. */
struct tt_mono {
	uint64_t ns;
};

/* Wall time (CLOCK_REALTIME). Only TAI64N, certificates and log lines may look at it. */
struct tt_wall {
	uint64_t sec;
	uint32_t nsec;
};

#define TT_NS_PER_US  UINT64_C(1000)
#define TT_NS_PER_MS  UINT64_C(1000000)
#define TT_NS_PER_SEC UINT64_C(1000000000)

static inline struct tt_mono tt_mono_add_ns(struct tt_mono t, uint64_t ns)
{
	return (struct tt_mono){t.ns + ns};
}

static inline bool tt_mono_before(struct tt_mono a, struct tt_mono b)
{
	return a.ns < b.ns;
}

/* ns from a to b; 0 where b is earlier, so that a difference is never huge by wrap-around. */
static inline uint64_t tt_mono_since(struct tt_mono b, struct tt_mono a)
{
	return b.ns > a.ns ? b.ns - a.ns : 0;
}

static inline bool tt_mono_is_set(struct tt_mono t)
{
	return t.ns != 0;
}

/* Big-endian integers as they lie in a packet; structs, so that they do not mix with host ones. */
typedef struct {
	uint16_t raw;
} be16;
typedef struct {
	uint32_t raw;
} be32;

static inline be16 be16_from(uint16_t v)
{
	return (be16){__builtin_bswap16(v)};
}

static inline uint16_t be16_to(be16 v)
{
	return __builtin_bswap16(v.raw);
}

static inline be32 be32_from(uint32_t v)
{
	return (be32){__builtin_bswap32(v)};
}

static inline uint32_t be32_to(be32 v)
{
	return __builtin_bswap32(v.raw);
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "Taltun is written for little-endian machines"
#endif

/* Unaligned loads and stores; compilers turn each into one instruction. */
static inline uint16_t tt_load_be16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

static inline uint32_t tt_load_be32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

static inline uint64_t tt_load_be64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

static inline uint32_t tt_load_le32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t tt_load_le64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void tt_store_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

static inline void tt_store_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void tt_store_be64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}

static inline void tt_store_le32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void tt_store_le64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Dense number of a peer within one device: slot in the peer arrays of control and data path. */
typedef uint32_t tt_peer_id;
#define TT_PEER_NONE UINT32_MAX

#define TT_ARRAY_LEN(a)	  (sizeof(a) / sizeof((a)[0]))
#define TT_MIN(a, b)	  ((a) < (b) ? (a) : (b))
#define TT_MAX(a, b)	  ((a) > (b) ? (a) : (b))
#define TT_ALIGN_UP(v, a) (((v) + ((a)-1)) & ~((__typeof__(v))(a)-1))

#define TT_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define TT_CACHELINE   64
#define tt_likely(x)   __builtin_expect(!!(x), 1)
#define tt_unlikely(x) __builtin_expect(!!(x), 0)

/*
 * Asserts what cannot happen. Stays on in release builds; never on a value that a packet, file,
 * socket, peer or hub can choose (those get an error or a counted drop).
 */
#define tt_assert(cond)                                              \
	do {                                                         \
		if (tt_unlikely(!(cond)))                            \
			tt_assert_failed(#cond, __FILE__, __LINE__); \
	} while (0)

_Noreturn void tt_assert_failed(const char *cond, const char *file, int line);

#endif
