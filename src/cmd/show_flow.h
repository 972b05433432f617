/* show_flow: a flow of `show flows` as lines of a table for people. */
#ifndef UNATATP_CMD_SHOW_FLOW_H
#define UNATATP_CMD_SHOW_FLOW_H

#include "cmd/ask.h"

/* Prints one flow to standard output, the table's head before the first. */
ask_line_fn show_flow;

/* A number in at most 5 characters: "1.4M". */
#define SHOW_NUMBER_MAX 8
const char *show_number(int64_t n, char text[SHOW_NUMBER_MAX]);

/* Microseconds as a person says them: "8.4s", "3h12m". */
#define SHOW_TIME_MAX 24
const char *show_time(int64_t us, char text[SHOW_TIME_MAX]);

#endif
