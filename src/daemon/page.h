/*
 * page: the status page, src/daemon/page.html as the build embeds it. It
 * asks for status.json and draws that. Constant.
 */
#ifndef UNATATP_DAEMON_PAGE_H
#define UNATATP_DAEMON_PAGE_H

/* Stands wherever the page needs the nonce of its answer. */
#define PAGE_NONCE "@NONCE@"

extern const char page_html[]; /* ends with a NUL */

#endif
