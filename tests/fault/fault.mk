# Limits and storms, with the lab of tests/net.
TESTS += tests/fault/run
EXTRA_DIST += tests/fault/run \
	tests/fault/conftest.py \
	tests/fault/test_aborts.py \
	tests/fault/test_descriptors.py \
<<<<<<< HEAD
	tests/fault/test_flood.py \
	tests/fault/test_limits.py \
=======
	tests/fault/test_matrix.py \
>>>>>>> privs
	tests/fault/test_storms.py
