# Packages, and what shells complete.
EXTRA_DIST += \
	contrib/debian \
	contrib/openwrt \
	contrib/rpm

# Where each shell looks for what it has not loaded yet. A distribution that
# has another place names it: `make install zshcompletionsdir=...`.
bashcompletionsdir = $(datadir)/bash-completion/completions
zshcompletionsdir = $(datadir)/zsh/site-functions
fishcompletionsdir = $(datadir)/fish/vendor_completions.d
dist_bashcompletions_DATA = contrib/completions/unatatp
dist_zshcompletions_DATA = contrib/completions/_unatatp
dist_fishcompletions_DATA = contrib/completions/unatatp.fish

# The Debian package, in the folder deb: dpkg-buildpackage and the tarball of
# `make dist` have all that it takes. DEB_FLAGS: its further arguments.
deb: dist
	rm -rf deb
	mkdir deb
	cp $(distdir).tar.xz deb/$(PACKAGE)_$(VERSION).orig.tar.xz
	cd deb && tar -xf $(PACKAGE)_$(VERSION).orig.tar.xz
	cp -r deb/$(distdir)/contrib/debian deb/$(distdir)/debian
	cd deb/$(distdir) && dpkg-buildpackage -us -uc $(DEB_FLAGS)
	rm -rf deb/$(distdir)
	@ls deb/*.deb

# The RPM package, in the folder rpm; RPM_FLAGS: rpmbuild's further arguments.
rpm: dist
	rm -rf rpm
	rpmbuild -tb --define '_topdir $(abs_builddir)/rpm' $(RPM_FLAGS) \
		$(distdir).tar.xz
	rm -rf rpm/BUILD rpm/BUILDROOT
	@ls rpm/RPMS/*/*.rpm

clean-local:
	rm -rf deb rpm $(distdir).tar.xz

.PHONY: deb rpm
