# Tests that read the source. They find it by $srcdir and end with 0, 1 or 77.
style_tests = \
	tests/style/endings \
	tests/style/examples \
	tests/style/format \
	tests/style/guide \
	tests/style/layers \
	tests/style/manual \
	tests/style/metrics \
	tests/style/options \
	tests/style/quickstart \
	tests/style/readme \
	tests/style/shell \
	tests/style/sizes \
	tests/style/spelling \
	tests/style/traps \
	tests/style/units

TESTS += $(style_tests)
EXTRA_DIST += $(style_tests) tests/style/tree.py
