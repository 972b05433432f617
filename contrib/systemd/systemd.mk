# What systemd reads of ours. Each is installed where configure was told to
# (--with-systemdsystemunitdir and its kin), and nowhere by default; the units
# name the program where it is installed.
systemd_units = \
	contrib/systemd/unatatp-unprivileged.service \
	contrib/systemd/unatatp.service \
	contrib/systemd/unatatp.socket \
	contrib/systemd/unatatp@.service
EXTRA_DIST += $(systemd_units) \
	contrib/systemd/firewall.conf \
	contrib/systemd/initial-window.conf

if INSTALL_UNITS
nodist_systemdsystemunit_DATA = \
	units/unatatp-unprivileged.service \
	units/unatatp.service \
	units/unatatp.socket \
	units/unatatp@.service
CLEANFILES += $(nodist_systemdsystemunit_DATA)
endif

$(nodist_systemdsystemunit_DATA): units/%: contrib/systemd/% Makefile
	@$(MKDIR_P) units
	$(AM_V_GEN)sed 's,/usr/sbin/unatatp,$(sbindir)/unatatp,' '$<' >'$@'

sysusers_files = contrib/sysusers.d/unatatp.conf
tmpfiles_files = contrib/tmpfiles.d/unatatp.conf
EXTRA_DIST += $(sysusers_files) $(tmpfiles_files)
if INSTALL_SYSUSERS
sysusers_DATA = $(sysusers_files)
endif
if INSTALL_TMPFILES
tmpfiles_DATA = $(tmpfiles_files)
endif

# `make distcheck' sees that all of it can be taken away again.
AM_DISTCHECK_CONFIGURE_FLAGS = \
	'--with-systemdsystemunitdir=$${prefix}/lib/systemd/system' \
	'--with-sysusersdir=$${prefix}/lib/sysusers.d' \
	'--with-tmpfilesdir=$${prefix}/lib/tmpfiles.d'
