#include "flow/flow_log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/log.h"
#include "flow/flow_view.h"

static const char *
cc_of(const struct flow_view_leg *leg)
{
	return *leg->cc ? leg->cc : "-";
}

static void
write_summary(const struct flow_view *last, enum ending ending)
{
	const struct flow_view_leg *client = &last->legs[RELAY_CLIENT];
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	log_info("flow id=%" PRIu64 " policy=%s src=%s dst=%s up=%" PRIu64
		 " down=%" PRIu64 " ms=%" PRId64 " connect_ms=%" PRId64
		 " client_cc=%s server_cc=%s client_rtt_us=%" PRIu32
		 " client_retrans=%" PRIu32 " ending=%s",
	    last->id, last->policy, addr_format(&last->src, src),
	    addr_format(&last->dst, dst), last->bytes[RELAY_UP],
	    last->bytes[RELAY_DOWN], last->age_ms, last->connect_ms,
	    cc_of(client), cc_of(&last->legs[RELAY_SERVER]),
	    client->info.rtt_us, client->info.retransmits, ending_word(ending));
}

static json_t *
leg_json(const struct flow_view_leg *leg)
{
	return json_pack("{s:s, s:I, s:I}", "cc", cc_of(leg), "rtt_us",
	    (json_int_t)leg->info.rtt_us, "retrans",
	    (json_int_t)leg->info.retransmits);
}

/* The words of `show flows --json`, and what only an end has. */
static void
write_json(const struct flow_view *last, enum ending ending)
{
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
	json_t *object = json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:I,"
				   " s:I, s:s, s:o, s:o, s:s}",
	    "event", "flow", "id", (json_int_t)last->id, "policy", last->policy,
	    "src", addr_format(&last->src, src), "dst",
	    addr_format(&last->dst, dst), "up",
	    (json_int_t)last->bytes[RELAY_UP], "down",
	    (json_int_t)last->bytes[RELAY_DOWN], "ms", (json_int_t)last->age_ms,
	    "connect_ms", (json_int_t)last->connect_ms, "engine", last->engine,
	    "client", leg_json(&last->legs[RELAY_CLIENT]), "server",
	    leg_json(&last->legs[RELAY_SERVER]), "ending", ending_word(ending));
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

	if (text)
		log_info("%s", text);
	free(text);
	json_decref(object);
}

void
flow_log_end(
    const struct flow_view *last, enum conf_flow_log format, enum ending ending)
{
	if (format == CONF_FLOWS_JSON)
		write_json(last, ending);
	else
		write_summary(last, ending);
}
