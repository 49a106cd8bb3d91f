// Kernels of the tests: one function of numbers.cuh for each element.
#include "../src/numbers.cuh"

extern "C" __global__ void probe_singles(unsigned which, const float* x, const float* y, float* out,
                                         unsigned count) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  switch (which) {
    case 0: out[i] = exponential(x[i]); break;
    case 1: out[i] = logarithm(x[i]); break;
    case 2: out[i] = logarithm_1p(x[i]); break;
    case 3: out[i] = sigmoid(x[i]); break;
    case 4: out[i] = softplus(x[i]); break;
    case 5: out[i] = logit(x[i]); break;
    case 6: out[i] = shrink(x[i], y[i]); break;
    case 7: out[i] = single_pull(x[i], absolute(y[i])); break;
    default: {
      // Problems of the same four elements are solved together.
      const unsigned first = i & ~3u;
      float margins[4], reaches[4], pulls[4];
      for (unsigned lane = 0; lane < 4; ++lane) {
        const unsigned from = first + lane < count ? first + lane : i;
        margins[lane] = x[from];
        reaches[lane] = absolute(y[from]);
      }
      four_pulls(margins, reaches, pulls);
      out[i] = pulls[i & 3u];
    }
  }
}

extern "C" __global__ void probe_doubles(unsigned which, const double* x, double* out,
                                         unsigned count) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  switch (which) {
    case 0: out[i] = exponential(x[i]); break;
    case 1: out[i] = logarithm(x[i]); break;
    case 2: out[i] = logarithm_1p(x[i]); break;
    case 3: out[i] = sigmoid(x[i]); break;
    default: out[i] = softplus(x[i]);
  }
}

// A sum over a block by shuffles and a barrier, one of a scan in dynamic shared memory, and a
// deadlock: what the back ends themselves have to do right.
extern "C" __global__ void probe_block(const unsigned* x, unsigned* sums, unsigned* scans) {
  __shared__ unsigned of_warps[32];
  DYN_SHARED(unsigned, scan);
  const unsigned i = threadIdx.x, at = blockIdx.x * blockDim.x + i;
  unsigned sum = x[at];
  for (int by = 16; by > 0; by >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, by);
  if ((i & 31u) == 0) of_warps[i >> 5] = sum;
  scan[i] = x[at];
  __syncthreads();
  sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) sum += of_warps[warp];
  if (i == 0) atomicAdd(&sums[blockIdx.x], sum);
  for (unsigned by = 1; by < blockDim.x; by <<= 1) {
    const unsigned before = i >= by ? scan[i - by] : 0;
    __syncthreads();
    scan[i] += before;
    __syncthreads();
  }
  scans[at] = scan[i];
}
