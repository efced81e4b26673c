//! From a variant to something that runs: kernels selected, weights packed, memory laid out.
