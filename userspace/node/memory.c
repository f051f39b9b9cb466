/* SPDX-License-Identifier: MIT */
#include "node/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "crypto/blake2s.h"
#include "crypto/mem.h"
#include "plat/memfile.h"

#define MEMORY_MAGIC UINT64_C(0x316d656d6e746c74) /* "tltnmem1" */
#define SUM_LEN	     32
#define NOTE_ROOM    4096 /* behind the halves */
#define NOTE_SUM     16

struct half_header {
	uint64_t magic;
	uint64_t sequence; /* 0: nothing here; the larger one of two valid halves is the newest */
	uint64_t len;
	uint8_t sum[SUM_LEN]; /* BLAKE2s over sequence, len and the text */
	uint8_t pad[8];
};
_Static_assert(sizeof(struct half_header) == 64, "header of a half");

/* Two, so that the last one stays while the next is written. */
struct note_pair {
	_Atomic uint32_t newest; /* 1 or 2; 0: none */
	struct {
		uint8_t note[NODE_MEMORY_NOTE];
		uint8_t sum[NOTE_SUM];
	} of[2];
};
_Static_assert(sizeof(struct note_pair) <= NOTE_ROOM, "room for the notes");

struct node_memory {
	uint8_t *map;
	size_t bytes;
	size_t half; /* bytes of each half, header included */
};

static struct half_header *half_at(const struct node_memory *m, unsigned i)
{
	return (struct half_header *)(m->map + i * m->half);
}

static char *text_of(struct half_header *h)
{
	return (char *)(h + 1);
}

static void half_sum(struct half_header *h, uint8_t sum[SUM_LEN])
{
	struct crypto_blake2s st;

	crypto_blake2s_init(&st, SUM_LEN, NULL, 0);
	crypto_blake2s_update(&st, &h->sequence, sizeof(h->sequence));
	crypto_blake2s_update(&st, &h->len, sizeof(h->len));
	crypto_blake2s_update(&st, text_of(h), h->len);
	crypto_blake2s_final(&st, sum);
}

static bool half_valid(const struct node_memory *m, unsigned i)
{
	struct half_header *h = half_at(m, i);
	uint8_t sum[SUM_LEN];

	if (h->magic != MEMORY_MAGIC || !h->sequence || h->len > m->half - sizeof(*h))
		return false;
	half_sum(h, sum);
	return crypto_equal(sum, h->sum, SUM_LEN);
}

/* 0 or 1, or -1 where neither holds a whole text. */
static int newest(const struct node_memory *m)
{
	bool a = half_valid(m, 0), b = half_valid(m, 1);

	if (a && b)
		return half_at(m, 1)->sequence > half_at(m, 0)->sequence;
	return a ? 0 : b ? 1 : -1;
}

int node_memory_open(int fd, size_t bytes, struct node_memory **out)
{
	struct node_memory *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->bytes = bytes;
	m->half = ((bytes - NOTE_ROOM) / 2) & ~(size_t)4095;
	void *map;
	int err = plat_memfile_map(fd, bytes, true, &map);
	if (err) {
		free(m);
		return err;
	}
	m->map = map;
	*out = m;
	return 0;
}

void node_memory_close(struct node_memory *m)
{
	if (!m)
		return;
	plat_memfile_unmap(m->map, m->bytes);
	free(m);
}

const char *node_memory_read(const struct node_memory *m, size_t *len)
{
	int i = newest(m);

	if (i < 0)
		return NULL;
	*len = half_at(m, (unsigned)i)->len;
	return text_of(half_at(m, (unsigned)i));
}

char *node_memory_begin(struct node_memory *m, size_t *cap)
{
	unsigned i = newest(m) == 0 ? 1 : 0;

	half_at(m, i)->sequence = 0;
	*cap = m->half - sizeof(struct half_header);
	return text_of(half_at(m, i));
}

void node_memory_commit(struct node_memory *m, size_t len)
{
	int old = newest(m);
	struct half_header *h = half_at(m, old == 0 ? 1 : 0);

	h->len = len;
	h->sequence = old >= 0 ? half_at(m, (unsigned)old)->sequence + 1 : 1;
	half_sum(h, h->sum);
	atomic_thread_fence(memory_order_seq_cst);
	h->magic = MEMORY_MAGIC;
	if (old >= 0) {
		struct half_header *o = half_at(m, (unsigned)old);
		crypto_wipe(text_of(o), o->len);
		o->magic = 0;
	}
}

/* --- the note --------------------------------------------------------------------------------- */

static struct note_pair *notes_of(const struct node_memory *m)
{
	return (struct note_pair *)(m->map + m->bytes - NOTE_ROOM);
}

void node_memory_note(struct node_memory *m, const uint8_t note[NODE_MEMORY_NOTE])
{
	struct note_pair *n = notes_of(m);
	unsigned i = atomic_load(&n->newest) == 1 ? 1 : 0;

	memcpy(n->of[i].note, note, NODE_MEMORY_NOTE);
	crypto_blake2s(n->of[i].sum, NOTE_SUM, NULL, 0, note, NODE_MEMORY_NOTE);
	atomic_store(&n->newest, i + 1);
}

bool node_memory_noted(const struct node_memory *m, uint8_t note[NODE_MEMORY_NOTE])
{
	struct note_pair *n = notes_of(m);
	uint32_t newest = atomic_load(&n->newest);
	uint8_t sum[NOTE_SUM];

	if (newest < 1 || newest > 2)
		return false;
	memcpy(note, n->of[newest - 1].note, NODE_MEMORY_NOTE);
	/* whoever crashed may have written anywhere */
	crypto_blake2s(sum, NOTE_SUM, NULL, 0, note, NODE_MEMORY_NOTE);
	return crypto_equal(sum, n->of[newest - 1].sum, NOTE_SUM);
}
