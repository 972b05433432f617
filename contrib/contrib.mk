EXTRA_DIST += \
	.ci/run \
	.clang-format \
	.editorconfig \
	.gitignore \
	COPYING \
	NEWS \
	README.md \
	contrib/HACKING \
	contrib/gateway.nft \
	contrib/keepalived/health \
	contrib/keepalived/keepalived.conf \
	contrib/keepalived/unatatp.service.conf \
	contrib/pre-commit \
	contrib/quickstart \
	contrib/sysctl.d/50-unatatp.conf \
	contrib/systemd/unatatp.service \
	contrib/systemd/unatatp@.service

# Where each shell looks for what it has not loaded yet. A distribution that
# has another place names it: `make install zshcompletionsdir=...`.
bashcompletionsdir = $(datadir)/bash-completion/completions
zshcompletionsdir = $(datadir)/zsh/site-functions
fishcompletionsdir = $(datadir)/fish/vendor_completions.d
dist_bashcompletions_DATA = contrib/completions/unatatp
dist_zshcompletions_DATA = contrib/completions/_unatatp
dist_fishcompletions_DATA = contrib/completions/unatatp.fish
