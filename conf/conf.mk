EXTRA_DIST += conf/unatatp.conf conf/minimal.conf

# The sample becomes /etc/unatatp.conf, but never over what somebody wrote.
installed_conf = $(DESTDIR)$(sysconfdir)/unatatp.conf
sample_conf = $(srcdir)/conf/unatatp.conf

install-data-local:
	@$(MKDIR_P) '$(DESTDIR)$(sysconfdir)'
	@if test ! -e '$(installed_conf)'; then \
		echo "installing $(installed_conf)"; \
		$(INSTALL_DATA) '$(sample_conf)' '$(installed_conf)'; \
	elif ! cmp -s '$(sample_conf)' '$(installed_conf)'; then \
		echo "$(installed_conf) is not the sample: left as it is"; \
	fi

uninstall-local:
	@if test ! -e '$(installed_conf)'; then \
		:; \
	elif cmp -s '$(sample_conf)' '$(installed_conf)'; then \
		echo "removing $(installed_conf)"; \
		rm -f '$(installed_conf)'; \
	else \
		echo "$(installed_conf) is not the sample: left as it is"; \
	fi
