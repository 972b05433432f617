#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "doctor/doctor.h"

static const int statuses[] = {
	[DOCTOR_OK] = COMMAND_GOOD,
	[DOCTOR_UNKNOWN] = COMMAND_GOOD,
	[DOCTOR_WARNING] = COMMAND_WARNINGS,
	[DOCTOR_FAILURE] = COMMAND_FAILURES,
};

static void
on_finding(void *arg, enum conf_severity severity, const char *line)
{
	(void)arg;
	(void)severity;
	fprintf(stderr, "%s\n", line);
}

/* --- text ---------------------------------------------------------- */

static void
print_result(const struct doctor_result *r)
{
	const char *line = r->mend;

	printf("%-8s %s: %s", doctor_word(r->verdict), r->id, r->title);
	if (r->verdict == DOCTOR_OK) {
		if (strcmp(r->finding, DOCTOR_AS_IT_SHOULD_BE) != 0)
			printf(" (%s)", r->finding);
		putchar('\n');
		return;
	}
	printf("\n         found:   %s\n         looked:  %s\n%s", r->finding,
	    r->looked_at, *line ? "         mend:\n" : "");
	while (*line) {
		int n = (int)strcspn(line, "\n");

		printf("                  %.*s\n", n, line);
		line += n + (line[n] ? 1 : 0);
	}
}

static void
print_text(const struct doctor *d)
{
	unsigned counts[DOCTOR_FAILURE + 1] = { 0 };

	for (size_t i = 0; i < d->n_results; i++) {
		print_result(&d->results[i]);
		counts[d->results[i].verdict]++;
	}
	printf("%s: %u ok, %u unknown, %u warnings, %u failures\n",
	    doctor_word(doctor_verdict(d)), counts[DOCTOR_OK],
	    counts[DOCTOR_UNKNOWN], counts[DOCTOR_WARNING],
	    counts[DOCTOR_FAILURE]);
}

/* --- JSON ---------------------------------------------------------- */

/* Texts of other programs may be no UTF-8: then they are left out. */
static json_t *
text_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : json_string("");
}

static json_t *
result_json(const struct doctor_result *r)
{
	return json_pack("{s:s,s:s,s:o,s:s,s:o,s:o}", "id", r->id, "title",
	    r->title, "looked_at", text_json(r->looked_at), "verdict",
	    doctor_word(r->verdict), "finding", text_json(r->finding), "mend",
	    text_json(r->mend));
}

static int
print_json(const struct doctor *d)
{
	json_t *checks = json_array(), *all;
	int err = 0;

	for (size_t i = 0; i < d->n_results; i++)
		err |=
		    json_array_append_new(checks, result_json(&d->results[i]));
	all = json_pack("{s:s,s:o}", "verdict", doctor_word(doctor_verdict(d)),
	    "checks", checks);
	if (!all || err || json_dumpf(all, stdout, JSON_INDENT(2)))
		err = -ENOMEM;
	json_decref(all);
	putchar('\n');
	return err;
}

int
cmd_doctor(const struct args *args)
{
	struct conf_report report = { .emit = on_finding };
	struct conf *conf = conf_read(args->path, &args->over, &report);
	struct doctor_wish link = { args->link_rate, args->link_rtt,
		args->probe };
	struct doctor doctor;
	int status, err = 0;

	if (args->probe && geteuid()) {
		fprintf(stderr,
		    "unatatp: --probe makes links and rules: be "
		    "root\n");
		conf_unref(conf);
		return COMMAND_NO_PRIVILEGE;
	}
	if (!conf)
		return COMMAND_BAD_CONFIG;
	doctor_run(&doctor, conf, args->path, &link);
	if (args->json)
		err = print_json(&doctor);
	else
		print_text(&doctor);
	status = statuses[doctor_verdict(&doctor)];
	doctor_clear(&doctor);
	conf_unref(conf);
	if (!fflush(stdout) && !err)
		return status;
	perror("unatatp: cannot write");
	return COMMAND_FAILURE;
}
