/*
 * The relay against a model, with a kernel of our own (kernel.h). An input
 * is four bytes of settings and then steps of two bytes: what happens, to
 * which leg, and how much. Each byte is checked where a socket takes it,
 * each FIN where it is passed on; at the end everything is acknowledged,
 * and what has not arrived by then is lost.
 */
#include "flow/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow/pipe_pool.h"
#include "fuzz.h"
#include "kernel.h"

#define STEPS_MOST 400
#define STREAM_MOST (3 << 19) /* more than an engine moves in a turn */
#define ROUNDS_MOST 100000    /* of an end that does not come */
#define LEAST 1024	      /* that a lane may hold */

static struct relay relay;
static struct relay snapshot; /* as it was when it was stopped */
static struct pipe_pool pool;
static struct model {
	bool started, over, half_closed, failing;
	unsigned later_in; /* calls from now */
	uint8_t later[2];  /* a step that waits for that */
} model;

/* --- what must hold ------------------------------------------------ */

static bool
is_reset(int i)
{
	return kernel.socks[i].reset;
}

/* All that arrived for LANE was taken by the other socket. */
static bool
is_whole(int lane)
{
	return kernel.socks[!lane].accepted == kernel.socks[lane].arrived;
}

/* A leg failed: what it had sent before has got through all the same. */
static void
check_failure(void)
{
	if (!model.started || kernel.lost_memory)
		return;
	for (int i = 0; i < 2; i++) {
		if (!relay.legs[i].failed)
			continue;
		FUZZ_CHECK(is_reset(i));
		if (is_reset(!i))
			continue;
		FUZZ_CHECK(is_whole(i));
		FUZZ_CHECK(kernel.socks[!i].acked == kernel.socks[!i].accepted);
	}
}

/* After each step. */
static void
check_lanes(void)
{
	bool failed = relay.legs[0].failed || relay.legs[1].failed;

	for (int i = 0; i < 2; i++) {
		const struct lane *lane = &relay.lanes[i];
		const struct kernel_sock *to = &kernel.socks[!i];

		FUZZ_CHECK(lane->bytes == to->accepted);
		FUZZ_CHECK(relay_held(lane) <= relay.buffer);
		if (!failed)
			FUZZ_CHECK(kernel.socks[i].taken ==
			    to->accepted + relay_held(lane));
	}
}

/* Its owner asks how far the delivery of a failed leg's bytes has come. */
static void
check_progress(void)
{
	const struct kernel_sock *to =
	    &kernel.socks[relay.legs[RELAY_CLIENT].failed];

	FUZZ_CHECK(relay_flush_progress(&relay) ==
	    to->acked - (to->shut && !to->fin_acked));
}

/* Nothing happens any more, and both peers have taken all they got. */
static void
check_rest(void)
{
	bool failed = relay.legs[0].failed || relay.legs[1].failed;

	FUZZ_CHECK(failed == model.failing);
	if (failed) {
		FUZZ_CHECK(relay_flushed(&relay));
		check_failure();
		return;
	}
	FUZZ_CHECK(!is_reset(0) && !is_reset(1));
	FUZZ_CHECK(!kernel.socks[0].fin || !kernel.socks[1].fin);
	for (int i = 0; i < 2; i++) {
		FUZZ_CHECK(is_whole(i) && !relay_held(&relay.lanes[i]));
		FUZZ_CHECK(!relay.lanes[i].pipe);
		FUZZ_CHECK(kernel.socks[i].fin == kernel.socks[!i].shut);
	}
}

static void
stop(void)
{
	relay_stop(&relay);
	relay_stop(&relay); /* safe twice */
	memcpy(&snapshot, &relay, sizeof(relay));
	model.over = true;
}

static void
on_outcome(struct relay *r, enum relay_outcome outcome)
{
	FUZZ_CHECK(r == &relay && !model.over);
	switch (outcome) {
	case RELAY_WOKEN:
		FUZZ_CHECK(!relay.rests);
		break;
	case RELAY_HALF_CLOSED:
		FUZZ_CHECK(!model.half_closed && !model.failing);
		FUZZ_CHECK(relay.lanes[relay.first_finished].finished);
		model.half_closed = true;
		break;
	case RELAY_FINISHED:
		FUZZ_CHECK(model.half_closed && !model.failing);
		for (int i = 0; i < 2; i++)
			FUZZ_CHECK(is_whole(i) && kernel.socks[i].fin);
		stop();
		break;
	case RELAY_FAILING:
		FUZZ_CHECK(!model.failing && relay.failed_error);
		model.failing = true;
		break;
	case RELAY_FAILED:
		FUZZ_CHECK(relay.failed_error);
		check_failure();
		stop();
		break;
	}
}

/* --- what may happen ----------------------------------------------- */

static size_t
size_of(uint8_t amount)
{
	return amount < 64 ? amount : (size_t)1 << (amount % 19);
}

static void
data(int i, uint8_t amount)
{
	if (kernel.socks[i].arrived < STREAM_MOST)
		kernel_data(i, size_of(amount), false);
}

static void
urgent(int i, uint8_t amount)
{
	if (kernel.socks[i].arrived < STREAM_MOST)
		kernel_data(i, size_of(amount), true);
}

static void
fin(int i, uint8_t amount)
{
	(void)amount;
	kernel_fin(i);
}

static void
rst(int i, uint8_t amount)
{
	kernel_rst(i, amount & 1 ? ETIMEDOUT : ECONNRESET);
}

static void
ack(int i, uint8_t amount)
{
	kernel_ack(i, size_of(amount));
}

static void
deliver(int i, uint8_t amount)
{
	kernel_deliver(i);
	if (amount & 1 && !model.over)
		kernel_deliver(!i);
}

static void
again(int i, uint8_t amount)
{
	(void)amount;
	kernel_again(i);
}

static void
lack(int i, uint8_t amount)
{
	if (i)
		kernel.no_memory_in = 1 + amount % 4;
	else
		kernel.no_pipes = amount & 1;
	kernel.no_splice |= !i && amount >= 192;
}

/* The owner wants less added latency: latency.c. */
static void
hold_less(int i, uint8_t amount)
{
	uint32_t most = relay.buffer >> (amount % 5);

	relay.lanes[i].most = most < LEAST ? LEAST : most;
}

static void
relieve(int i, uint8_t amount)
{
	relay_relieve(&relay, &relay.lanes[i], (uint32_t)size_of(amount) + 1);
}

static void
rest(int i, uint8_t amount)
{
	(void)i;
	(void)amount;
	relay.rests = true;
}

static void
later(int i, uint8_t amount)
{
	model.later_in = 1 + amount % 16;
	model.later[0] = (uint8_t)(i + amount / 16 * 2);
}

static void (*const steps[])(int i, uint8_t amount) = { data, ack, deliver, fin,
	again, rst, urgent, later, hold_less, relieve, rest, lack };

#define STEPS (sizeof(steps) / sizeof(*steps))

static bool
is_of_the_network(uint8_t what)
{
	void (*step)(int i, uint8_t amount) = steps[what / 2 % STEPS];

	return step == data || step == ack || step == fin || step == rst ||
	    step == urgent;
}

/* In the midst of a pump. */
static void
on_call(void)
{
	uint8_t what = model.later[0];

	if (!model.later_in || --model.later_in || !is_of_the_network(what))
		return;
	steps[what / 2 % STEPS](what & 1, model.later[1]);
}

/* --- from the beginning to the end --------------------------------- */

static void
check(void)
{
	if (model.over)
		FUZZ_CHECK(!memcmp(&snapshot, &relay, sizeof(relay)));
	else if (model.started)
		check_lanes();
	if (model.failing && !model.over)
		check_progress();
}

static void
take_steps(const uint8_t *bytes, size_t n)
{
	for (size_t k = 0; k + 1 < n && k < STEPS_MOST && !model.over; k += 2) {
		model.later[1] = bytes[k + 1];
		steps[bytes[k] / 2 % STEPS](bytes[k] & 1, bytes[k + 1]);
		check();
	}
}

/* Whatever came is carried as far as it goes. */
static void
settle(void)
{
	bool busy = true;
	int rounds = 0;

	for (; busy && !model.over; rounds++) {
		FUZZ_CHECK(rounds < ROUNDS_MOST);
		busy = false;
		for (int i = 0; i < 2; i++)
			kernel_ack(i, SIZE_MAX);
		for (int i = 0; i < 2 && !model.over; i++)
			busy |= kernel_deliver(i);
		for (int i = 0; i < 2 && !model.over; i++)
			busy |= kernel_again(i);
		check();
	}
}

/* SETTINGS[0]: the lowest bits say when to splice, others how it begins. */
static void
begin(struct relay_shared *shared, const uint8_t *settings)
{
	static const uint64_t splice_after[] = { 0, 1, 8192, 65536 };

	kernel_reset(2048u << settings[2] % 11, 2048u << settings[3] % 11);
	kernel.on_call = on_call;
	memset(&relay, 0, sizeof(relay));
	model = (struct model){ 0 };
	relay_init(&relay, shared, 4096u << settings[1] % 6,
	    splice_after[settings[0] & 3]);
	relay.legs[RELAY_CLIENT].fd = KERNEL_FD;
	relay.legs[RELAY_SERVER].fd = KERNEL_FD + 1;
	FUZZ_CHECK(!relay_attach(&relay, KERNEL_FD));
	if (settings[0] & 4) /* the client does not wait */
		data(RELAY_CLIENT, settings[0]);
	if (settings[0] & 8)
		rst(RELAY_CLIENT, settings[1]);
	if (settings[0] & 12)
		kernel_deliver(RELAY_CLIENT);
}

/* The server has answered; where FAILED it has also failed since. */
static void
start(bool failed)
{
	struct kernel_sock *s = &kernel.socks[RELAY_SERVER];

	FUZZ_CHECK(!poller_add(NULL, KERNEL_FD + 1,
	    &relay.legs[RELAY_SERVER].entry, POLLER_STREAM));
	model.started = true;
	s->edge = false;
	if (failed) {
		kernel_data(RELAY_SERVER, 5000, false);
		kernel_rst(RELAY_SERVER, ECONNRESET);
		s->error = 0; /* it was asked for: SO_ERROR */
		s->edge = false;
	}
	relay_start(&relay, kernel_ready(s), failed ? -ECONNRESET : 0);
	check();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char scratch[RELAY_SCRATCH];
	struct stats stats = { 0 };
	struct relay_shared shared = { .on_outcome = on_outcome,
		.pool = &pool,
		.scratch = scratch,
		.stats = &stats };
	int before = fuzz_open_fds();

	if (size < 4)
		return 0;
	pipe_pool_init(&pool);
	begin(&shared, data);
	if (!model.over)
		start(data[0] & 16);
	take_steps(data + 4, size - 4);
	settle();
	if (!model.over) {
		check_rest();
		stop();
	}
	pipe_pool_clear(&pool);
	FUZZ_CHECK(fuzz_open_fds() == before);
	return 0;
}
