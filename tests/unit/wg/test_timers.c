/* SPDX-License-Identifier: MIT */
#include "tt_test.h"

#include "wg/timers.h"

/* A peer whose packets go nowhere unless the test says so. Time begins at 1,000 s. */
static struct wg_timers t;
static struct wg_facts f;
static struct tt_rng_seeded seed;
static struct tt_rng rng;
static struct tt_mono now;

#define SEC(n) ((uint64_t)((n)*1e9))

static void set_up(void)
{
	memset(&t, 0, sizeof(t));
	memset(&f, 0, sizeof(f));
	rng = tt_rng_seeded_init(&seed, 9);
	now = (struct tt_mono){SEC(1000)};
}

static double since_start(void)
{
	return (double)(now.ns - SEC(1000)) / 1e9;
}

/* One run, with the effects that wg/peer and the workers would have. */
static uint32_t run(void)
{
	uint32_t a = wg_timers_run(&t, &f, now, &rng);

	f.need_handshake = false;
	if (a & WG_TIMER_INITIATE)
		wg_timers_initiation_sent(&t, now);
	if (a & (WG_TIMER_KEEPALIVE | WG_TIMER_PERSISTENT)) {
		f.last_tx = now;
		f.unanswered_rx_since = (struct tt_mono){0};
	}
	return a;
}

/* Goes from deadline to deadline until an action comes, or until the time. */
static uint32_t run_until(double seconds)
{
	uint64_t end = SEC(1000) + SEC(seconds);

	for (int i = 0; i < 10000; i++) {
		uint64_t due = wg_timers_next_deadline(&t, &f).ns;
		if (due > end) {
			now.ns = end;
			return 0;
		}
		now.ns = TT_MAX(now.ns, due);
		uint32_t a = run();
		if (a)
			return a;
	}
	CU_FAIL("deadlines that lead to nothing");
	return 0;
}

static void session(void)
{
	wg_timers_handshake_done(&t, now);
	t.current_born = t.keys_born = now;
}

static void data_tx(void)
{
	f.last_tx = f.last_data_tx = now;
	f.unanswered_rx_since = (struct tt_mono){0};
	if (!tt_mono_is_set(f.unanswered_tx_since))
		f.unanswered_tx_since = now;
}

static void any_rx(void)
{
	f.last_rx = now;
	f.unanswered_tx_since = (struct tt_mono){0};
}

static void data_rx(void)
{
	any_rx();
	f.last_data_rx = now;
	if (!tt_mono_is_set(f.unanswered_rx_since))
		f.unanswered_rx_since = now;
}

static void pass(double seconds)
{
	now.ns += SEC(seconds);
}

static void nothing_to_do(void)
{
	set_up();
	CU_ASSERT_EQUAL(wg_timers_next_deadline(&t, &f).ns, UINT64_MAX);
	CU_ASSERT_EQUAL(run(), 0);
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_NEVER);
}

static void retries(void)
{
	int initiations = 0, unanswered = 0;
	double last = 0;

	set_up();
	f.need_handshake = true;
	CU_ASSERT_EQUAL(run(), WG_TIMER_INITIATE);
	initiations++;
	for (;;) {
		uint32_t a = run_until(1000);
		if (a & WG_TIMER_UNANSWERED) {
			unanswered++;
			CU_ASSERT(since_start() < 5.4);
		}
		if (a & WG_TIMER_GIVE_UP)
			break;
		CU_ASSERT_FATAL(a & WG_TIMER_INITIATE);
		double gap = since_start() - last;
		CU_ASSERT(gap >= 5.0 && gap <= 5.3331);
		last = since_start();
		initiations++;
	}
	CU_ASSERT_EQUAL(unanswered, 1);
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 90.0, 0.001);
	CU_ASSERT(initiations >= 17 && initiations <= 18);
	CU_ASSERT_EQUAL((int)t.attempts, initiations);
	CU_ASSERT_EQUAL(run_until(10000), 0);
	/* new outgoing data starts it again */
	f.need_handshake = true;
	CU_ASSERT_EQUAL(run(), WG_TIMER_INITIATE);
}

static void retries_go_on_while_asked(void)
{
	set_up();
	f.need_handshake = true;
	run();
	for (int i = 0; i < 40; i++) {
		uint32_t a = run_until(since_start() + 10);
		CU_ASSERT(a & WG_TIMER_INITIATE);
		CU_ASSERT_FALSE(a & WG_TIMER_GIVE_UP);
		f.need_handshake = true;
		run();
	}
	CU_ASSERT(since_start() > 180);
}

static void answered(void)
{
	set_up();
	f.need_handshake = true;
	run();
	pass(0.1);
	session();
	CU_ASSERT_EQUAL(t.attempts, 0);
	CU_ASSERT_EQUAL(run_until(500), 0);
	CU_ASSERT_EQUAL(run_until(541), WG_TIMER_ZERO_KEYS);
}

static void gate_of_five_seconds(void)
{
	set_up();
	wg_timers_response_sent(&t, now);
	pass(1);
	f.need_handshake = true;
	CU_ASSERT_EQUAL(run(), 0); /* remembered, not forgotten */
	CU_ASSERT_EQUAL(run_until(100), WG_TIMER_INITIATE);
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 5.0, 0.001);
	/* the wish is void once there is a session */
	set_up();
	wg_timers_response_sent(&t, now);
	f.need_handshake = true;
	run();
	session();
	CU_ASSERT_EQUAL(run_until(100), 0);
}

static void renewal_after_silence(void)
{
	set_up();
	session();
	pass(1);
	data_tx();
	pass(3);
	data_tx();
	CU_ASSERT_EQUAL(run_until(100), WG_TIMER_INITIATE);
	CU_ASSERT(since_start() >= 16.0 && since_start() <= 16.3331);
	/* anything authenticated prevents it, a keepalive too */
	set_up();
	session();
	pass(1);
	data_tx();
	pass(10);
	any_rx();
	CU_ASSERT_EQUAL(run_until(500), 0);
}

static void renewal_only_once(void)
{
	set_up();
	session();
	pass(1);
	data_tx();
	CU_ASSERT_EQUAL(run_until(100), WG_TIMER_INITIATE);
	while (run_until(500) & WG_TIMER_INITIATE)
		;
	CU_ASSERT(since_start() > 100 && since_start() < 112); /* 90 s of attempts */
	CU_ASSERT_EQUAL(run_until(500), 0); /* and nothing more, without new data */
}

static void passive_keepalive(void)
{
	set_up();
	session();
	pass(1);
	data_rx();
	pass(4);
	data_rx();
	CU_ASSERT_EQUAL(run_until(100), WG_TIMER_KEEPALIVE);
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 11.0, 0.001);
	CU_ASSERT_EQUAL(run_until(100), 0);
	/* not after something was sent */
	set_up();
	session();
	data_rx();
	pass(9);
	data_tx();
	any_rx();
	CU_ASSERT_EQUAL(run_until(100), 0);
}

static void keepalive_answers_no_keepalive(void)
{
	set_up();
	session();
	for (int i = 0; i < 20; i++) {
		pass(5);
		any_rx(); /* no data: unanswered_rx_since stays clear */
		CU_ASSERT_EQUAL(run(), 0);
	}
}

/* Two ends, each with the other's keepalives: no ping-pong. */
static void no_ping_pong(void)
{
	struct wg_timers a = {0}, b = {0};
	struct wg_facts fa = {0}, fb = {0};
	int sent = 0;

	set_up();
	session();
	a = b = t;
	/* A sends one packet of data to B. */
	fa.last_tx = fa.last_data_tx = fa.unanswered_tx_since = now;
	fb.last_rx = fb.last_data_rx = fb.unanswered_rx_since = now;
	for (int s = 0; s < 170; s++) {
		pass(1);
		if (wg_timers_run(&b, &fb, now, &rng)) {
			sent++;
			fb.last_tx = fa.last_rx = now;
			fb.unanswered_rx_since = fa.unanswered_tx_since = (struct tt_mono){0};
		}
		if (wg_timers_run(&a, &fa, now, &rng)) {
			sent++;
			fa.last_tx = fb.last_rx = now;
		}
	}
	CU_ASSERT_EQUAL(sent, 1);
}

/* A keepalive that could not be sent is not asked for without end. */
static void keepalive_that_fails(void)
{
	int n = 0;

	set_up();
	session();
	data_rx();
	while (since_start() < 400) {
		uint64_t due = wg_timers_next_deadline(&t, &f).ns;
		if (due == UINT64_MAX || due > SEC(1400))
			break;
		now.ns = TT_MAX(now.ns, due);
		n += (wg_timers_run(&t, &f, now, &rng) & WG_TIMER_KEEPALIVE) != 0;
	}
	CU_ASSERT(n >= 15 && n <= 18); /* every 10 s, and none on a dead session */
}

static void persistent(void)
{
	set_up();
	session();
	f.last_tx = now;
	pass(100);
	wg_timers_set_persistent(&t, 25, now);
	CU_ASSERT_EQUAL(run_until(100), WG_TIMER_PERSISTENT); /* at once */
	CU_ASSERT_EQUAL(run_until(500), WG_TIMER_PERSISTENT);
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 125.0, 0.001);
	pass(20);
	data_tx();
	any_rx();
	CU_ASSERT_EQUAL(run_until(500), WG_TIMER_PERSISTENT); /* 25 s after the last sending */
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 170.0, 0.001);
	wg_timers_set_persistent(&t, 0, now);
	CU_ASSERT_EQUAL(run_until(500), 0);
}

static void persistent_without_session(void)
{
	set_up();
	wg_timers_set_persistent(&t, 25, now);
	CU_ASSERT_EQUAL(run(), WG_TIMER_INITIATE);
	int initiations = 1, give_ups = 0;
	for (uint32_t a; (a = run_until(400)) != 0;) {
		initiations += (a & WG_TIMER_INITIATE) != 0;
		give_ups += (a & WG_TIMER_GIVE_UP) != 0;
		CU_ASSERT_FALSE(a & WG_TIMER_PERSISTENT);
	}
	CU_ASSERT(give_ups >= 3 && initiations > 50); /* it never stops trying */
	session();
	CU_ASSERT_EQUAL(run_until(1000), WG_TIMER_PERSISTENT);
}

static void zeroing(void)
{
	set_up();
	session();
	CU_ASSERT_EQUAL(run_until(539.9), 0);
	CU_ASSERT_EQUAL(run_until(541), WG_TIMER_ZERO_KEYS);
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 540.0, 0.001);
	CU_ASSERT_EQUAL(run_until(5000), 0);
}

/* Suspended for an hour: one action each, no burst of what was missed. */
static void suspend(void)
{
	set_up();
	session();
	wg_timers_set_persistent(&t, 10, now);
	data_tx();
	data_rx();
	run();
	pass(3600);
	uint32_t a = run();
	CU_ASSERT(a & WG_TIMER_ZERO_KEYS);
	CU_ASSERT(a & WG_TIMER_INITIATE);
	CU_ASSERT_FALSE(a & (WG_TIMER_KEEPALIVE | WG_TIMER_PERSISTENT));
	CU_ASSERT_EQUAL(run(), 0);
	f.need_handshake = true;
	CU_ASSERT_EQUAL(run(), 0);
}

static void restart(void)
{
	set_up();
	f.need_handshake = true;
	run();
	CU_ASSERT_EQUAL(run_until(2), 0);
	wg_timers_restart(&t); /* endpoint changed */
	CU_ASSERT_EQUAL(run_until(100), WG_TIMER_INITIATE);
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 2.0, 0.001);
	/* nothing outstanding: nothing happens */
	session();
	wg_timers_restart(&t);
	CU_ASSERT_EQUAL(run_until(100), 0);
	/* offline after giving up: tried again */
	f.need_handshake = true;
	while (!(run_until(1000) & WG_TIMER_GIVE_UP))
		;
	wg_timers_restart(&t);
	CU_ASSERT(run_until(2000) & WG_TIMER_INITIATE);
}

/* The path changes right after an initiation has left: another one would be dropped by the peer, as
 * one of a flood, and the answer to the first would find nobody who waits for it. */
static void restart_waits(void)
{
	set_up();
	f.need_handshake = true;
	CU_ASSERT_EQUAL(run(), WG_TIMER_INITIATE);
	now.ns += 7 * TT_NS_PER_MS;
	wg_timers_restart(&t);
	CU_ASSERT_EQUAL(run(), 0);
	CU_ASSERT_FALSE(wg_timers_may_initiate(&t, now));
	now.ns += 30 * TT_NS_PER_MS;
	wg_timers_restart(&t);
	CU_ASSERT_EQUAL(run_until(1), WG_TIMER_INITIATE);
	CU_ASSERT_DOUBLE_EQUAL(since_start(), 0.1, 0.001);
	/* the next waits for its 5 s again */
	CU_ASSERT_EQUAL(run_until(3), 0);
	/* answered meanwhile: nothing is left to do */
	set_up();
	f.need_handshake = true;
	CU_ASSERT_EQUAL(run(), WG_TIMER_INITIATE);
	now.ns += 7 * TT_NS_PER_MS;
	wg_timers_restart(&t);
	now.ns += 10 * TT_NS_PER_MS;
	session();
	f.need_handshake = false;
	CU_ASSERT_EQUAL(run_until(4), 0);
}

static void status(void)
{
	set_up();
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_NEVER);
	f.need_handshake = true;
	run();
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_NEVER);
	session();
	any_rx();
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_ONLINE);
	pass(179);
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_ONLINE);
	pass(1);
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_IDLE);
	f.need_handshake = true;
	run();
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_IDLE);
	CU_ASSERT(run_until(1000) & WG_TIMER_UNANSWERED);
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_OFFLINE);
	while (!(run_until(1000) & WG_TIMER_GIVE_UP))
		;
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_OFFLINE);
	session();
	any_rx();
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_ONLINE);
}

/* A rekey that is not answered while the old session still delivers: not offline. */
static void rekey_unanswered_but_alive(void)
{
	set_up();
	session();
	pass(120);
	f.need_handshake = true;
	CU_ASSERT_EQUAL(run(), WG_TIMER_INITIATE);
	pass(3);
	any_rx();
	uint32_t a = run_until(1000);
	CU_ASSERT_EQUAL(a, WG_TIMER_INITIATE);
	CU_ASSERT_EQUAL(wg_timers_status(&t, &f, now), WG_PEER_ONLINE);
}

/* Random facts and times: an action is never given twice at one moment, deadlines are never in the
 * past after a run, and initiations keep their distance. */
static void random_facts(void)
{
	uint32_t wrong = 0;
	uint64_t last_initiation = 0;

	set_up();
	for (int i = 0; i < 300000; i++) {
		switch (tt_rng_below(&rng, 12)) {
		case 0:
			f.need_handshake = true;
			break;
		case 1:
			data_tx();
			break;
		case 2:
			data_rx();
			break;
		case 3:
			any_rx();
			break;
		case 4:
			if (tt_rng_below(&rng, 20) == 0)
				session();
			break;
		case 5:
			if (tt_rng_below(&rng, 50) == 0)
				wg_timers_set_persistent(&t, (uint16_t)tt_rng_below(&rng, 30), now);
			break;
		case 6:
			if (tt_rng_below(&rng, 200) == 0)
				pass(tt_rng_below(&rng, 1000));
			break;
		default:
			now.ns += tt_rng_below(&rng, 2000000000);
			break;
		}
		uint32_t a = run();
		if (a & WG_TIMER_INITIATE) {
			wrong += last_initiation && now.ns - last_initiation < WG_REKEY_TIMEOUT_NS;
			last_initiation = now.ns;
		}
		wrong += run() != 0;
		wrong += wg_timers_next_deadline(&t, &f).ns <= now.ns;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

TT_TESTS("timers", {"nothing to do", nothing_to_do},
	 {"case 10: retry every 5 s and jitter, give up at 90 s", retries},
	 {"case 10: attempts go on while somebody sends", retries_go_on_while_asked},
	 {"answered", answered}, {"5 s after a handshake message", gate_of_five_seconds},
	 {"new handshake 15 s after unanswered data", renewal_after_silence},
	 {"that new handshake comes once", renewal_only_once},
	 {"case 14: passive keepalive after 10 s", passive_keepalive},
	 {"case 14: keepalive never answers keepalive", keepalive_answers_no_keepalive},
	 {"case 14: no ping-pong between two ends", no_ping_pong},
	 {"keepalive that cannot be sent", keepalive_that_fails},
	 {"persistent keepalive only when nothing was sent", persistent},
	 {"persistent keepalive without a session", persistent_without_session},
	 {"case 34: keys are zeroed at 540 s", zeroing},
	 {"case 34: an hour of suspend, no burst", suspend}, {"restart", restart},
	 {"a restart waits", restart_waits}, {"status", status},
	 {"rekey unanswered, session alive", rekey_unanswered_but_alive},
	 {"random facts", random_facts})
