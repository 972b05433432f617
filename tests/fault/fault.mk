# Limits and storms, with the lab of tests/net.
TESTS += tests/fault/run
EXTRA_DIST += tests/fault/run \
	tests/fault/conftest.py \
	tests/fault/test_aborts.py \
	tests/fault/test_descriptors.py \
	tests/fault/test_matrix.py \
	tests/fault/test_storms.py
