"""Many signatures at once: kernels compiled for SM2 and P-256, and one at a time where there are none."""
