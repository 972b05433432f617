/*
 * show_policies: what `show policies` says, as a table for people, or two of
 * them side by side.
 */
#ifndef UNATATP_CMD_SHOW_POLICIES_H
#define UNATATP_CMD_SHOW_POLICIES_H

#include "cmd/ask.h"

/* Prints one policy, the table's head before the first. */
ask_line_fn show_policy;

/* Keeps the first policy, and prints it beside the second. */
ask_line_fn show_comparison;

#endif
