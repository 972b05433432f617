/* What doctor makes of nft, iptables-save, ip, /proc/net and sysctls. */
#include "doctor/doctor.h"

#include <dirent.h>
#include <string.h>

#include "answers.h"
#include "fuzz.h"

static const char text[] =
    "listen = ( { address = \"127.0.0.1\"; port = 9999; },"
    " { address = \"::1\"; port = 9999; } ); user = \"\";"
    "policies = ( { name = \"a\"; sources = [ \"192.168.0.0/24\" ];"
    " client = { congestion = \"bbr\"; }; } );"
    "firewall = { interfaces = [ \"wg0\", \"lan\" ]; };";

DIR *__wrap_opendir(const char *path);
DIR *__real_opendir(const char *path);

/* Processes are the machine's, which no input says anything of. */
DIR *
__wrap_opendir(const char *path)
{
	return strncmp(path, "/proc", 5) ? __real_opendir(path) : NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct doctor_wish wishes[] = { { 0 },
		{ .rate = 50000000, .rtt = 150 } };
	static struct conf *conf;
	struct doctor doctor;

	if (!conf)
		conf = answers_conf(text);
	answers_set(data, size);
	doctor_run(&doctor, conf, ANSWERS_INPUT, &wishes[size % 2]);
	for (size_t i = 0; i < doctor.n_results; i++) {
		const struct doctor_result *r = &doctor.results[i];

		FUZZ_CHECK(doctor_word(r->verdict));
		FUZZ_CHECK(*r->finding);
		/* Whoever is told of a fault is told what was looked at. */
		FUZZ_CHECK(r->verdict == DOCTOR_OK || *r->looked_at);
	}
	doctor_clear(&doctor);
	answers_clear();
	return 0;
}
