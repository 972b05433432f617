EXTRA_DIST += \
	.ci/run \
	.clang-format \
	.editorconfig \
	.gitignore \
	COPYING \
	NEWS \
	README.md \
	contrib/HACKING \
	contrib/demo \
	contrib/keepalived/health \
	contrib/keepalived/keepalived.conf \
	contrib/keepalived/unatatp.service.conf \
	contrib/pictures/top \
	contrib/pictures/top.svg \
	contrib/pre-commit \
	contrib/quickstart \
	contrib/sysctl.d/50-unatatp.conf

include contrib/systemd/systemd.mk
include contrib/packages.mk
