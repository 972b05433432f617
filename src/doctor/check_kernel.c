/* The kernel's abilities, the clients' interfaces, congestion control. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/spawn.h"
#include "doctor/checks.h"

/* Where rules with it are loaded, the kernel can. */
static bool
is_in_use(struct check *c, enum step_kind kind)
{
	const struct ruleset *set = facts_ruleset(c->facts);

	for (size_t i = 0; i < set->n_chains; i++)
		for (size_t j = 0; j < set->chains[i]->n_rules; j++) {
			const struct rule *r = set->chains[i]->rules[j];

			for (size_t k = 0; k < r->n_steps; k++)
				if (r->steps[k].kind == kind)
					return true;
		}
	return false;
}

/* Loads RULE into nothing: nft -c. */
static void
try_rule(
    struct check *c, enum step_kind kind, const char *rule, const char *modules)
{
	static const char *const argv[] = { "nft", "-c", "-f", "-", NULL };
	struct spawn_result result;
	int err;

	if (is_in_use(c, kind)) {
		check_looked(c, "the rules");
		check_say(c, DOCTOR_OK, "a rule with it is loaded");
		return;
	}
	check_looked(c, "nft -c: %s", rule);
	err = spawn_run(argv,
	    arena_printf(c->facts->arena,
		"table inet unatatp_doctor {\n\tchain c {\n"
		"\t\ttype filter hook prerouting priority mangle\n"
		"\t\t%s\n\t}\n}\n",
		rule),
	    &result);
	if (err) {
		check_say(c, DOCTOR_UNKNOWN, "nft: %s", strerror(-err));
		return;
	}
	if (result.status && strstr(result.err, "not permitted")) {
		check_say(c, DOCTOR_UNKNOWN, "only root can try");
	} else if (result.status) {
		check_say(c, DOCTOR_FAILURE, "the kernel refuses: %.*s",
		    (int)strcspn(result.err, "\n"), result.err);
		check_mend(c, "modprobe -a %s", modules);
	}
	spawn_clear(&result);
}

void
check_kernel_tproxy(struct check *c)
{
	try_rule(c, STEP_TPROXY, "meta l4proto tcp tproxy to :1",
	    "nft_tproxy nf_tproxy_ipv4 nf_tproxy_ipv6");
}

void
check_kernel_socket(struct check *c)
{
	try_rule(c, STEP_SOCKET, "socket transparent 1 accept",
	    "nft_socket nf_socket_ipv4 nf_socket_ipv6");
}

/* --- interfaces ---------------------------------------------------- */

void
check_interfaces(struct check *c)
{
	struct facts *f = c->facts;
	const char *why;

	check_looked(c, "firewall.interfaces, ip link");
	if (!facts_links(f, &why)) {
		check_say(c, DOCTOR_UNKNOWN, "%s", why);
		return;
	}
	for (size_t i = 0; i < f->n_interfaces; i++) {
		const char *name = f->interfaces[i];

		if (!*name) {
			check_say(c, DOCTOR_UNKNOWN,
			    "firewall.interfaces names none, nor does a rule "
			    "of ip(8)");
		} else if (!facts_link(f, name)) {
			check_say(c, DOCTOR_FAILURE, "there is no %s", name);
			check_mend(c,
			    "# set %s up, or correct firewall.interfaces in "
			    "%s",
			    name, check_file(c));
		}
	}
}

void
check_interface_up(struct check *c)
{
	struct facts *f = c->facts;

	check_looked(c, "ip link");
	for (size_t i = 0; i < f->n_interfaces; i++) {
		json_t *link = facts_link(f, f->interfaces[i]), *flag;
		bool up = !link;
		size_t j;

		json_array_foreach(json_object_get(link, "flags"), j,
		    flag) if (!strcmp(json_string_value(flag), "UP")) up = true;
		if (up)
			continue;
		check_say(c, DOCTOR_FAILURE, "%s is down", f->interfaces[i]);
		check_mend(c, "ip link set %s up", f->interfaces[i]);
	}
}
