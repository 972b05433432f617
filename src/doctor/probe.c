#include "doctor/probe.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/spawn.h"

#define SOON_MS 5000
#define LATE_MS 8000

static const struct probe_net nets[] = {
	{ 4, "ip", "198.18.113.2", "198.18.113.1", "198.18.114.2",
	    "198.18.114.1", 30 },
	{ 6, "ip6", "2001:2:0:113::2", "2001:2:0:113::1", "2001:2:0:114::2",
	    "2001:2:0:114::1", 64 },
};

struct probe {
	struct check *c;
	const struct probe_net *net;
	const char *interface;
	struct probe_end client, server;
	bool connected, bytes;
	json_t *counters;
};

static volatile sig_atomic_t caught;

static void
on_signal(int number)
{
	caught = number;
}

/* Runs ARGV with INPUT; what it printed, or NULL, which was said. */
static const char *
run(struct probe *p, const char *const argv[], const char *input)
{
	struct spawn_result result;
	const char *out = NULL;
	int err = spawn_run(argv, input, &result);

	if (err) {
		check_say(
		    p->c, DOCTOR_UNKNOWN, "%s: %s", argv[0], strerror(-err));
		return NULL;
	}
	if (result.status)
		check_say(p->c, DOCTOR_UNKNOWN, "%s: %.*s", argv[0],
		    (int)strcspn(result.err, "\n"), result.err);
	else
		out = arena_printf(p->c->facts->arena, "%s", result.out);
	spawn_clear(&result);
	return out;
}

/* --- what is set up ------------------------------------------------ */

static bool
make_links(struct probe *p)
{
	static const char *const argv[] = { "ip", "-batch", "-", NULL };
	const struct probe_net *n = p->net;
	const char *dad = n->family == 6 ? " nodad" : "";

	return run(p, argv,
	    arena_printf(p->c->facts->arena,
		"link add " PROBE_CLIENT_LINK " type veth peer name c "
		"netns %d\n"
		"link add " PROBE_SERVER_LINK " type veth peer name s "
		"netns %d\n"
		"addr add %s/%d dev " PROBE_CLIENT_LINK "%s\n"
		"addr add %s/%d dev " PROBE_SERVER_LINK "%s\n"
		"link set " PROBE_CLIENT_LINK " up\n"
		"link set " PROBE_SERVER_LINK " up\n",
		(int)p->client.pid, (int)p->server.pid, n->client_gateway,
		n->length, dad, n->server_gateway, n->length, dad));
}

/* Its segments arrive as if they had come by the clients' interface. */
static bool
redirect(struct probe *p)
{
	static const char *const argv[] = { "tc", "-batch", "-", NULL };
	const char *ip = p->net->word;

	return run(p, argv,
	    arena_printf(p->c->facts->arena,
		"qdisc add dev " PROBE_CLIENT_LINK " ingress\n"
		"filter add dev " PROBE_CLIENT_LINK " parent ffff: "
		"protocol %s u32 match %s protocol 6 0xff "
		"action mirred ingress redirect dev %s\n",
		p->net->family == 4 ? "ip" : "ipv6", ip, p->interface));
}

/* A chain and what it counts; its addresses are those of this family. */
static const char *
chain(struct probe *p, const char *hook, const char *match, const char *address,
    const char *counter)
{
	return arena_printf(p->c->facts->arena,
	    "chain %s {\ntype filter hook %s; policy accept;\n"
	    "meta l4proto tcp %s %s %s counter name %s\n}\n",
	    counter, hook, p->net->word, match, address, counter);
}

static bool
count(struct probe *p)
{
	static const char *const argv[] = { "nft", "-f", "-", NULL };
	const struct facts *f = p->c->facts;
	const char *client = p->net->client, *server = p->net->server;
	const char *came =
	    arena_printf(f->arena, "%s iifname \"%s\"", client, p->interface);
	const char *marked = arena_printf(
	    f->arena, "%s meta mark & 0x%x == 0x%x", client, f->mask, f->mark);

	return run(p, argv,
	    arena_printf(f->arena,
		"table inet " PROBE_TABLE "\n"
		"delete table inet " PROBE_TABLE "\n"
		"table inet " PROBE_TABLE " {\n"
		"counter reached { }\ncounter captured { }\n"
		"counter delivered { }\ncounter let_in { }\n"
		"counter forwarded { }\ncounter dialled { }\n"
		"counter sent { }\ncounter answered { }\n"
		"%s%s%s%s%s%s%s%s}\n",
		chain(p, "prerouting priority -500", "saddr", came, "reached"),
		chain(
		    p, "prerouting priority -140", "saddr", marked, "captured"),
		chain(p, "input priority -500", "saddr", client, "delivered"),
		chain(p, "input priority 500", "saddr", client, "let_in"),
		chain(p, "forward priority -500", "saddr", client, "forwarded"),
		chain(p, "output priority -500", "daddr", server, "dialled"),
		chain(p, "postrouting priority 500", "daddr", server, "sent"),
		chain(p, "prerouting priority -500", "saddr", server,
		    "answered")));
}

static void
read_counters(struct probe *p)
{
	static const char *const argv[] = { "nft", "-j", "list", "table",
		"inet", PROBE_TABLE, NULL };
	const char *text = run(p, argv, NULL);

	p->counters = text ? json_loads(text, 0, NULL) : NULL;
}

/* Whatever of it is there; also that of a probe which was killed. */
static void
take_away(void)
{
	static const char *const commands[][6] = {
		{ "ip", "link", "del", PROBE_CLIENT_LINK },
		{ "ip", "link", "del", PROBE_SERVER_LINK },
		{ "nft", "delete", "table", "inet", PROBE_TABLE },
	};
	struct spawn_result result;

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!spawn_run(commands[i], NULL, &result))
			spawn_clear(&result);
}

static void
clean(struct probe *p)
{
	probe_stop(&p->client);
	probe_stop(&p->server);
	take_away();
	json_decref(p->counters);
	p->counters = NULL;
}

/* --- what became of it --------------------------------------------- */

static bool
counted(const struct probe *p, const char *name)
{
	json_t *list = json_object_get(p->counters, "nftables"), *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		json_t *counter = json_object_get(one, "counter");

		if (!strcmp(facts_text(counter, "name"), name))
			return facts_int(counter, "packets") > 0;
	}
	return false;
}

/* In the order in which a connection comes by; the first that is missing. */
static const struct {
	const char *name, *lost, *see;
} stages[] = {
	{ "reached", "it left the client, and did not come in by the interface",
	    "interface-up" },
	{ "captured", "it was not captured: no rule took it, or nobody listens",
	    "capture, listener" },
	{ "delivered", "it was captured, and not delivered to this machine",
	    "rule, route, src-valid-mark" },
	{ "let_in", "the input rules dropped it", "input" },
	{ "connected", "it was let in, and nobody accepted it",
	    "listener, capture-target, established" },
	{ "dialled", "it was accepted, and unatatp did not dial",
	    "the log: a policy may reject it" },
	{ "sent", "unatatp dialled, and the output rules dropped that",
	    "output" },
	{ "answered", "the server was dialled, and did not answer", "output" },
	{ "bytes", "the server answered, and nothing came back to the client",
	    "input, established" },
};

static bool
passed(const struct probe *p, const char *name)
{
	if (!strcmp(name, "connected"))
		return p->connected;
	if (!strcmp(name, "bytes"))
		return p->bytes;
	return counted(p, name);
}

static void
judge(struct probe *p)
{
	const char *past =
	    counted(p, "forwarded") ? " (it was forwarded past unatatp)" : "";

	for (size_t i = 0; i < sizeof(stages) / sizeof(*stages); i++) {
		if (passed(p, stages[i].name))
			continue;
		check_say(p->c, DOCTOR_FAILURE, "%s: lost at \"%s\": %s%s",
		    p->interface, stages[i].name, stages[i].lost, past);
		check_mend(p->c, "# see %s", stages[i].see);
		return;
	}
	check_say(p->c, DOCTOR_OK, "%s: all the way and back", p->interface);
}

static bool
set_up(struct probe *p)
{
	if (probe_start(&p->client, p->net, true) ||
	    probe_start(&p->server, p->net, false) ||
	    probe_hear(&p->client, SOON_MS) != PROBE_BORN ||
	    probe_hear(&p->server, SOON_MS) != PROBE_BORN) {
		check_say(p->c, DOCTOR_UNKNOWN, "no namespaces can be made");
		return false;
	}
	if (!make_links(p) || !redirect(p) || !count(p))
		return false;
	probe_tell(&p->client);
	probe_tell(&p->server);
	if (probe_hear(&p->client, SOON_MS) == PROBE_READY &&
	    probe_hear(&p->server, SOON_MS) == PROBE_READY)
		return true;
	check_say(p->c, DOCTOR_UNKNOWN, "the ends of the probe do not stand");
	return false;
}

static void
send_one(struct probe *p)
{
	int word;

	take_away();
	if (set_up(p) && !caught) {
		probe_tell(&p->client);
		word = probe_hear(&p->client, LATE_MS);
		p->connected = word == PROBE_CONNECTED;
		if (p->connected && !caught)
			p->bytes =
			    probe_hear(&p->client, LATE_MS) == PROBE_BYTES;
		read_counters(p);
		if (p->counters && !caught)
			judge(p);
	}
	clean(p);
}

/* The strict filter wants the way back to be the way in: ours is not. */
static bool
is_strict(struct check *c, const char *interface)
{
	long all = facts_number(c->facts, "ipv4/conf/all/rp_filter");
	long own = facts_number(c->facts, "ipv4/conf/%s/rp_filter", interface);

	if (c->family != 4 || (own > all ? own : all) != 1)
		return false;
	check_say(c, DOCTOR_UNKNOWN,
	    "%s has the strict reverse path filter, which drops what the "
	    "probe sends",
	    interface);
	check_mend(c, "# for a probe: sysctl -w net.ipv4.conf.%s.rp_filter=2",
	    interface);
	return true;
}

void
check_probe(struct check *c)
{
	struct sigaction mine = { .sa_handler = on_signal }, old[2];

	sigaction(SIGINT, &mine, &old[0]);
	sigaction(SIGTERM, &mine, &old[1]);
	for (size_t i = 0; i < c->facts->n_interfaces && !caught; i++) {
		struct probe p = {
			.c = c,
			.net = &nets[c->family == 6],
			.interface = c->facts->interfaces[i],
		};

		check_looked(c, "a connection from %s by %s to %s",
		    p.net->client, check_interface(p.interface), p.net->server);
		if (!facts_link(c->facts, p.interface))
			check_say(c, DOCTOR_UNKNOWN, "no interface to use");
		else if (!is_strict(c, p.interface))
			send_one(&p);
	}
	sigaction(SIGINT, &old[0], NULL);
	sigaction(SIGTERM, &old[1], NULL);
	if (caught)
		raise(caught);
}
