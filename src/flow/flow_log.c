#include "flow/flow_log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sock.h"
#include "flow/flow.h"

/* What a line says: plain values, whatever it then looks like. */
struct line {
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
	int64_t ms, connect_ms;
	const char *engine;
	struct leg_line {
		char cc[SOCK_CONGESTION_MAX]; /* "-": there is no such leg */
		struct sock_info info;
	} legs[2];
};

static void
fill_leg(struct leg_line *line, const struct leg *leg)
{
	sock_info(leg->fd, &line->info);
	sock_congestion(leg->fd, line->cc);
	if (!*line->cc)
		line->cc[0] = '-';
}

static void
fill(struct line *line, const struct flow *flow)
{
	const struct relay *relay = &flow->relay;

	addr_format(&flow->src, line->src);
	addr_format(&flow->dst, line->dst);
	line->ms = clock_ms() - flow->opened_ms;
	line->connect_ms =
	    flow->connected_ms ? flow->connected_ms - flow->opened_ms : 0;
	line->engine = relay->engine ? relay->engine->name : "-";
	fill_leg(&line->legs[RELAY_CLIENT], &relay->legs[RELAY_CLIENT]);
	fill_leg(&line->legs[RELAY_SERVER], &relay->legs[RELAY_SERVER]);
}

static void
write_summary(
    const struct flow *flow, const struct line *line, enum ending ending)
{
	const struct leg_line *client = &line->legs[RELAY_CLIENT];

	log_info("flow id=%" PRIu64 " policy=%s src=%s dst=%s up=%" PRIu64
		 " down=%" PRIu64 " ms=%" PRId64 " connect_ms=%" PRId64
		 " client_cc=%s server_cc=%s client_rtt_us=%" PRIu32
		 " client_retrans=%" PRIu32 " ending=%s",
	    flow->id, flow->policy, line->src, line->dst,
	    flow->relay.lanes[RELAY_UP].bytes,
	    flow->relay.lanes[RELAY_DOWN].bytes, line->ms, line->connect_ms,
	    client->cc, line->legs[RELAY_SERVER].cc, client->info.rtt_us,
	    client->info.retransmits, ending_word(ending));
}

static json_t *
leg_json(const struct leg_line *leg)
{
	return json_pack("{s:s, s:I, s:I}", "cc", leg->cc, "rtt_us",
	    (json_int_t)leg->info.rtt_us, "retrans",
	    (json_int_t)leg->info.retransmits);
}

/* The words of `show flows --json`, and what only an end has. */
static void
write_json(const struct flow *flow, const struct line *line, enum ending ending)
{
	const struct lane *lanes = flow->relay.lanes;
	json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I,"
				   " s:I, s:s, s:o, s:o, s:s}",
	    "event", "flow", "id", (json_int_t)flow->id, "policy", flow->policy,
	    "src", line->src, "dst", line->dst, "up",
	    (json_int_t)lanes[RELAY_UP].bytes, "down",
	    (json_int_t)lanes[RELAY_DOWN].bytes, "ms", (json_int_t)line->ms,
	    "connect_ms", (json_int_t)line->connect_ms, "engine", line->engine,
	    "client", leg_json(&line->legs[RELAY_CLIENT]), "server",
	    leg_json(&line->legs[RELAY_SERVER]), "ending", ending_word(ending));
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	if (text)
		log_info("%s", text);
	free(text);
	json_decref(object);
}

void
flow_log_end(
    const struct flow *flow, enum conf_flow_log format, enum ending ending)
{
	struct line line;

	fill(&line, flow);
	if (format == CONF_FLOWS_JSON)
		write_json(flow, &line, ending);
	else
		write_summary(flow, &line, ending);
}
