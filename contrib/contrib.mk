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
	contrib/grafana/unatatp.json \
	contrib/keepalived/health \
	contrib/keepalived/keepalived.conf \
	contrib/keepalived/unatatp.service.conf \
	contrib/pre-commit \
	contrib/pictures/status.webp \
	contrib/prometheus/unatatp.rules.yml \
	contrib/prometheus/unatatp.test.yml \
	contrib/quickstart \
	contrib/sysctl.d/50-unatatp.conf \
	contrib/systemd/unatatp.service \
	contrib/systemd/unatatp@.service

# Where bash-completion looks for what it has not loaded yet.
completionsdir = $(datadir)/bash-completion/completions
dist_completions_DATA = contrib/completions/unatatp
