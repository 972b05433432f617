# What comes out of `make dist`: packages that build, install, work and go
# away again; and the completions, in real shells.
package_tests = \
	tests/package/completions \
	tests/package/debian \
	tests/package/openwrt \
	tests/package/rpm

TESTS += $(package_tests)
EXTRA_DIST += $(package_tests) tests/package/package.py
