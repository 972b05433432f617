EXTRA_DIST += \
	.ci/run \
	.clang-format \
	.editorconfig \
	.gitignore \
	COPYING \
	NEWS \
	README.md \
	SECURITY.md \
	contrib/HACKING \
	contrib/demo \
	contrib/grafana/unatatp.json \
	contrib/keepalived/health \
	contrib/keepalived/keepalived.conf \
	contrib/keepalived/unatatp.service.conf \
	contrib/pictures/top \
	contrib/pictures/top.svg \
	contrib/pre-commit \
	contrib/pictures/status.webp \
	contrib/prometheus/unatatp.rules.yml \
	contrib/prometheus/unatatp.test.yml \
	contrib/quickstart \
	contrib/sysctl.d/50-unatatp.conf

include contrib/systemd/systemd.mk
include contrib/packages.mk
