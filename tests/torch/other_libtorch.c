/* Stands for a LibTorch of another version that a host has loaded: the name is right, and every symbol is missing. */
int mnq_test_other_libtorch(void) { return 1; }
