/* SPDX-License-Identifier: MIT */
#include "taltun/top_live.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include "plat/clock.h"
#include "taltun/cli.h"
#include "taltun/link.h"
#include "taltun/top_screen.h"

#define QUESTION "{\"v\":1,\"op\":\"status\",\"without\":\"allowed_ips\"}"
/* Until a daemon that has hung up is called again. */
#define AGAIN_MS 200
/* Without an answer for so long: say so. */
#define SILENT_S 3
/* A terminal that is gone is ready to be read for ever, and nothing comes from it. */
#define EMPTY_READS_MAX 3

struct top {
	const struct top_options *options;
	struct cli_link link;
	struct top_model model;
	struct top_look look;
	char notice[128];
	struct tt_mono due;   /* the next question */
	struct tt_mono asked; /* the one that waits for its answer; 0: none does */
	unsigned empty_reads;
	bool quit;
	int status;	 /* to exit with */
	const char *why; /* the daemon cannot be asked any more; NULL: it was wished */
};

/* --- signals ------------------------------------------------------------------------------------
 */

/* They come only while we wait (pselect), so that the terminal is never left half-drawn. */
static volatile sig_atomic_t ended, resized;

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		resized = 1;
	else
		ended = 1;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

static void catch_signals(struct sigaction before[], sigset_t *outside)
{
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t blocked;

	ended = resized = 0;
	sigemptyset(&blocked);
	for (unsigned i = 0; i < TT_ARRAY_LEN(signals); i++) {
		sigaddset(&blocked, signals[i]);
		sigaction(signals[i], &sa, &before[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, outside);
}

static void release_signals(const struct sigaction before[], const sigset_t *outside)
{
	sigprocmask(SIG_SETMASK, outside, NULL);
	for (unsigned i = 0; i < TT_ARRAY_LEN(signals); i++)
		sigaction(signals[i], &before[i], NULL);
}

/* --- the picture --------------------------------------------------------------------------------
 */

struct lines {
	unsigned count;
};

static void put_line(void *ctx, unsigned row, enum top_attr attr, const char *text)
{
	struct lines *l = ctx;

	if (row + 1 > l->count)
		l->count = row + 1;
	top_screen_line(NULL, row, attr, text);
}

static void draw(struct top *t)
{
	struct lines lines = {.count = 0};

	top_screen_size(&t->look.rows, &t->look.columns);
	if (!t->look.paused)
		t->look.wall_s = (long long)time(NULL);
	t->look.notice = *t->notice ? t->notice : NULL;
	if (t->model.status)
		top_view_draw(&t->model, &t->look, put_line, &lines);
	else
		put_line(&lines, 0, TOP_DIM, *t->notice ? t->notice : "waiting for the daemon");
	top_screen_show(lines.count);
}

static void sort(struct top *t, enum top_sort by)
{
	t->look.sort = by;
	top_model_sort(&t->model, by);
}

/* --- the daemon ---------------------------------------------------------------------------------
 */

static void end(struct top *t, int status, const char *why)
{
	t->quit = true;
	t->status = status;
	t->why = why;
}

/* The engine may have been started anew behind the same socket; the daemon has ended where nobody
 * listens there any more. */
static bool connect_again(struct top *t)
{
	cli_link_close(&t->link);
	t->asked = (struct tt_mono){0};
	if (cli_link_open(&t->link, t->options->interface) == 0)
		return true;
	end(t, CLI_NOT_RUNNING, "the daemon has ended");
	return false;
}

static void ask(struct top *t, struct tt_mono now)
{
	t->due = tt_mono_add_ns(now, (uint64_t)t->options->interval_ms * TT_NS_PER_MS);
	if (t->link.fd < 0 || cli_link_ask(&t->link, QUESTION) < 0) {
		if (!connect_again(t))
			return;
		if (cli_link_ask(&t->link, QUESTION) < 0)
			return; /* tried again when it is due */
	}
	t->asked = now;
}

static void take_answer(struct top *t, json_t *reply)
{
	t->asked = (struct tt_mono){0};
	t->notice[0] = 0;
	if (t->look.paused)
		return;
	int err = top_model_update(&t->model, json_object_get(reply, "status"), plat_clock_mono());
	if (err == -EINVAL)
		end(t, CLI_FAILED, "the daemon did not understand; is it older than taltun?");
	else if (err)
		snprintf(t->notice, sizeof(t->notice), "%s", strerror(-err));
	else
		sort(t, t->look.sort);
}

/* Whether the daemon has ended shows when it is called again: soon, but not in a busy loop, for one
 * that has too many clients takes the call and hangs up. */
static void hung_up(struct top *t)
{
	struct tt_mono soon = tt_mono_add_ns(plat_clock_mono(), AGAIN_MS * TT_NS_PER_MS);

	cli_link_close(&t->link);
	t->asked = (struct tt_mono){0};
	if (tt_mono_before(soon, t->due))
		t->due = soon;
	snprintf(t->notice, sizeof(t->notice), "the daemon has hung up");
}

static void read_link(struct top *t)
{
	json_t *reply;

	if (cli_link_read(&t->link, &reply) < 0)
		hung_up(t);
	else if (reply)
		take_answer(t, reply);
	json_decref(reply);
}

/* A stopped or very busy daemon: what is shown is old. */
static void look_for_silence(struct top *t, struct tt_mono now)
{
	uint64_t s = t->asked.ns ? tt_mono_since(now, t->asked) / TT_NS_PER_SEC : 0;

	if (s >= SILENT_S)
		snprintf(t->notice, sizeof(t->notice), "no answer for %llu s",
			 (unsigned long long)s);
}

/* --- keys ---------------------------------------------------------------------------------------
 */

static void scroll(struct top *t, long by)
{
	size_t up = by < 0 ? (size_t)-by : 0;

	if (up > t->look.scroll)
		t->look.scroll = 0;
	else
		t->look.scroll = by < 0 ? t->look.scroll - up : t->look.scroll + (size_t)by;
}

static void on_key(struct top *t, enum top_key key)
{
	switch (key) {
	case TOP_KEY_QUIT:
		t->quit = true;
		break;
	case TOP_KEY_RATE:
		sort(t, TOP_BY_RATE);
		break;
	case TOP_KEY_NAME:
		sort(t, TOP_BY_NAME);
		break;
	case TOP_KEY_HANDSHAKE:
		sort(t, TOP_BY_HANDSHAKE);
		break;
	case TOP_KEY_PAUSE:
		t->look.paused = !t->look.paused;
		break;
	case TOP_KEY_UP:
		scroll(t, -1);
		break;
	case TOP_KEY_DOWN:
		scroll(t, 1);
		break;
	case TOP_KEY_PAGE_UP:
		scroll(t, -(long)t->look.page);
		break;
	case TOP_KEY_PAGE_DOWN:
		scroll(t, (long)t->look.page);
		break;
	case TOP_KEY_HOME:
		t->look.scroll = 0;
		break;
	case TOP_KEY_END:
		t->look.scroll = t->model.peer_count;
		break;
	case TOP_KEY_REDRAW:
		top_screen_resize();
		break;
	case TOP_KEY_NONE:
	case TOP_KEY_OTHER:
		break;
	}
}

static void read_keys(struct top *t)
{
	enum top_key key = top_screen_key();

	if (key == TOP_KEY_NONE && ++t->empty_reads >= EMPTY_READS_MAX)
		end(t, CLI_OK, NULL);
	for (; key != TOP_KEY_NONE; key = top_screen_key()) {
		t->empty_reads = 0;
		on_key(t, key);
	}
}

/* --- the loop -----------------------------------------------------------------------------------
 */

/* Until a key, an answer, a signal, or the next question; a second at most, for what grows old. */
static void wait_and_act(struct top *t, const sigset_t *outside)
{
	struct tt_mono now = plat_clock_mono();
	uint64_t ns = TT_NS_PER_SEC;
	struct timespec ts;
	fd_set in;

	if (!t->asked.ns)
		ns = tt_mono_before(now, t->due) ? TT_MIN(ns, t->due.ns - now.ns) : 0;
	ts = (struct timespec){.tv_sec = (time_t)(ns / TT_NS_PER_SEC),
			       .tv_nsec = (long)(ns % TT_NS_PER_SEC)};
	FD_ZERO(&in);
	FD_SET(STDIN_FILENO, &in);
	if (t->link.fd >= 0)
		FD_SET(t->link.fd, &in);
	if (pselect(TT_MAX(t->link.fd, STDIN_FILENO) + 1, &in, NULL, NULL, &ts, outside) < 0)
		FD_ZERO(&in); /* a signal: what it did is looked at next */
	if (ended) {
		t->quit = true;
		return;
	}
	if (resized) {
		resized = 0;
		top_screen_resize();
	}
	if (t->link.fd >= 0 && FD_ISSET(t->link.fd, &in))
		read_link(t);
	if (!t->quit && FD_ISSET(STDIN_FILENO, &in))
		read_keys(t);
	now = plat_clock_mono();
	look_for_silence(t, now);
	if (!t->quit && !t->asked.ns && !tt_mono_before(now, t->due))
		ask(t, now);
}

int top_live_run(const struct top_options *options)
{
	struct top t = {.options = options, .look = {.sort = options->sort}};
	struct sigaction before[TT_ARRAY_LEN(signals)];
	sigset_t outside;
	int err = cli_link_open(&t.link, options->interface);

	if (err)
		return cli_fail_connect(options->interface, err);
	catch_signals(before, &outside);
	if (!top_screen_open()) {
		release_signals(before, &outside);
		cli_link_close(&t.link);
		return cli_fail(CLI_FAILED,
				"this terminal cannot be used; --once prints one picture");
	}
	while (!t.quit) {
		draw(&t);
		wait_and_act(&t, &outside);
	}
	top_screen_close();
	release_signals(before, &outside);
	cli_link_close(&t.link);
	top_model_free(&t.model);
	return t.why ? cli_fail(t.status, "%s: %s", options->interface, t.why) : CLI_OK;
}
