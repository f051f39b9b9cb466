/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include <pthread.h>
#include "wg/session.h"

static struct wg_session s;
static uint64_t first;

static const struct tt_mono born = {1000 * TT_NS_PER_SEC};

static const struct tt_mono at_six = {1006 * TT_NS_PER_SEC};

static struct tt_mono at(uint64_t seconds)
{
	return tt_mono_add_ns(born, seconds * TT_NS_PER_SEC);
}

static void fresh(bool initiator)
{
	memset(&s, 0, sizeof(s));
	s.initiator = initiator;
	s.born = born;
	s.rekey_after_bytes = WG_REKEY_AFTER_BYTES;
}

static enum wg_session_use reserve(uint64_t seconds, uint32_t n, uint64_t bytes)
{
	return wg_session_reserve(&s, at(seconds), n, bytes, &first);
}

static void counters_are_consecutive(void)
{
	fresh(true);
	CU_ASSERT_EQUAL(reserve(0, 10, 100), WG_SESSION_USABLE);
	CU_ASSERT_EQUAL(first, 0);
	CU_ASSERT_EQUAL(reserve(0, 1, 100), WG_SESSION_USABLE);
	CU_ASSERT_EQUAL(first, 10);
	CU_ASSERT_EQUAL(reserve(0, 64, 100), WG_SESSION_USABLE);
	CU_ASSERT_EQUAL(first, 11);
	CU_ASSERT_EQUAL(s.send_counter, 75);
	CU_ASSERT_EQUAL(s.tx_bytes, 300);
}

static void rekey_by_age(void)
{
	fresh(true);
	CU_ASSERT_EQUAL(wg_session_reserve(&s, (struct tt_mono){at(120).ns - 1}, 1, 1, &first),
			WG_SESSION_USABLE);
	CU_ASSERT_EQUAL(reserve(120, 1, 1), WG_SESSION_USABLE_REKEY);
	CU_ASSERT_EQUAL(reserve(179, 1, 1), WG_SESSION_USABLE_REKEY);
	CU_ASSERT_EQUAL(reserve(180, 1, 1), WG_SESSION_DEAD);
	fresh(false);
	CU_ASSERT_EQUAL(reserve(179, 1, 1), WG_SESSION_USABLE);
	CU_ASSERT_EQUAL(reserve(180, 1, 1), WG_SESSION_DEAD);
	/* Suspended for an hour: dead at once. */
	CU_ASSERT_EQUAL(reserve(3600, 1, 1), WG_SESSION_DEAD);
}

static void rekey_by_messages(void)
{
	for (int initiator = 0; initiator < 2; initiator++) {
		fresh(initiator);
		s.send_counter = WG_REKEY_AFTER_MESSAGES - 2;
		CU_ASSERT_EQUAL(reserve(1, 1, 1), WG_SESSION_USABLE);
		CU_ASSERT_EQUAL(reserve(1, 1, 1), WG_SESSION_USABLE_REKEY);
		CU_ASSERT_EQUAL(first, WG_REKEY_AFTER_MESSAGES - 1);
	}
}

static void counters_never_wrap(void)
{
	fresh(true);
	s.send_counter = WG_REJECT_AFTER_MESSAGES - 10;
	CU_ASSERT_EQUAL(reserve(6, 11, 1), WG_SESSION_DEAD);
	CU_ASSERT_EQUAL(s.send_counter, WG_REJECT_AFTER_MESSAGES - 10);
	CU_ASSERT_EQUAL(reserve(6, 10, 1), WG_SESSION_USABLE_REKEY);
	CU_ASSERT_EQUAL(first, WG_REJECT_AFTER_MESSAGES - 10);
	for (int i = 0; i < 100000; i++)
		CU_ASSERT_FATAL(reserve(6, UINT32_MAX, 1) == WG_SESSION_DEAD);
	CU_ASSERT_EQUAL(s.send_counter, WG_REJECT_AFTER_MESSAGES);
	s.send_counter = UINT64_MAX;
	CU_ASSERT_EQUAL(reserve(6, 1, 1), WG_SESSION_DEAD);
	CU_ASSERT_EQUAL(s.send_counter, UINT64_MAX);
}

static void rekey_by_volume(void)
{
	for (int initiator = 0; initiator < 2; initiator++) {
		fresh(initiator);
		CU_ASSERT_EQUAL(reserve(4, 1, WG_REKEY_AFTER_BYTES + 1), WG_SESSION_USABLE);
		CU_ASSERT_EQUAL(reserve(5, 1, 1), WG_SESSION_USABLE_REKEY);
		fresh(initiator);
		CU_ASSERT_EQUAL(reserve(60, 1, WG_REKEY_AFTER_BYTES - 1), WG_SESSION_USABLE);
		CU_ASSERT_EQUAL(reserve(60, 1, 1), WG_SESSION_USABLE_REKEY);
		fresh(initiator);
		s.rekey_after_bytes = 0;
		CU_ASSERT_EQUAL(reserve(60, 1, UINT64_C(1) << 50), WG_SESSION_USABLE);
	}
}

static void rekey_on_receive(void)
{
	fresh(true);
	CU_ASSERT_FALSE(wg_session_rekey_on_receive(&s, at(164)));
	CU_ASSERT(wg_session_rekey_on_receive(&s, at(165)));
	fresh(false);
	CU_ASSERT_FALSE(wg_session_rekey_on_receive(&s, at(179)));
	CU_ASSERT_FALSE(wg_session_expired(&s, at(179)));
	CU_ASSERT(wg_session_expired(&s, at(180)));
}

/* Four threads share what is left before the limit: every counter is given once, none past it. */
#define THREADS 4
#define LEFT	100000
static uint8_t given[LEFT];
static _Atomic uint32_t given_twice;

static void *reserve_all(void *arg)
{
	uint64_t at;
	uint32_t n = 1 + (uint32_t)(uintptr_t)arg;

	while (wg_session_reserve(&s, at_six, n, 1, &at) != WG_SESSION_DEAD)
		for (uint32_t i = 0; i < n; i++) {
			uint8_t *g = &given[at + i - (WG_REJECT_AFTER_MESSAGES - LEFT)];
			given_twice += __atomic_fetch_add(g, 1, __ATOMIC_RELAXED);
		}
	return NULL;
}

static void four_threads(void)
{
	pthread_t t[THREADS];

	fresh(true);
	s.send_counter = WG_REJECT_AFTER_MESSAGES - LEFT;
	for (uintptr_t i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, reserve_all, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	CU_ASSERT_EQUAL(given_twice, 0);
	uint32_t missing = 0;
	for (uint32_t i = 0; i < LEFT; i++)
		missing += given[i] == 0;
	CU_ASSERT_EQUAL(missing, 0); /* the thread that asks for one takes the last */
	CU_ASSERT_EQUAL(s.send_counter, WG_REJECT_AFTER_MESSAGES);
}

TT_TESTS("session", {"consecutive counters", counters_are_consecutive},
	 {"rekey by age, death at 180 s", rekey_by_age},
	 {"case 12: rekey at 2^60 messages", rekey_by_messages},
	 {"case 12: counters never wrap", counters_never_wrap},
	 {"case 12: four threads up to the limit", four_threads},
	 {"rekey by volume, either side, not before 5 s", rekey_by_volume},
	 {"rekey on receive at 165 s", rekey_on_receive})
