// Sums over judged rows of a binary score: the twin of tally.rs. A thread has a row, a block adds
// up its rows and then adds them to the totals: integers, in whatever order.
#include "numbers.cuh"

constexpr unsigned CALIBRATION_BINS = 15;
// Rows, positives, predicted, agreed; scores, squares, log loss.
constexpr unsigned COUNTS = 4, TALLY_SUMS = 3, PARTS = COUNTS + TALLY_SUMS;

struct TallyBin {
  unsigned long long rows, positives, scores[2];
};

struct TallyCells {
  unsigned long long counts[COUNTS];
  unsigned long long sums[TALLY_SUMS][2];
  TallyBin bins[CALIBRATION_BINS];
};

// `to += value`, two words; whoever carries over does so by what the low word was for it.
NUMBERS void add_to(unsigned long long* to, unsigned long long value) {
  if (value == 0) return;
  const unsigned long long was = atomicAdd(&to[0], value);
  if (was + value < was) atomicAdd(&to[1], 1ull);
}

NUMBERS unsigned long long forty_bits(double value) {
  return static_cast<unsigned long long>(rint(value * 1099511627776.0));
}

NUMBERS double loss_of(double probability) {
  const double epsilon = 1.1920928955078125e-07;
  return -logarithm(clamped(probability, epsilon, 1.0 - epsilon));
}

// `scores` in 0..=1, `labels` 0 or 1.
extern "C" __global__ void tally_binary(TallyCells* cells, const float* scores, const float* labels,
                                        unsigned rows, unsigned has_log_loss,
                                        unsigned has_calibration) {
  __shared__ unsigned long long parts[PARTS];
  __shared__ unsigned long long bins[CALIBRATION_BINS][3];
  const unsigned thread = threadIdx.x, row = blockIdx.x * blockDim.x + thread;
  if (thread < PARTS) parts[thread] = 0;
  if (thread < CALIBRATION_BINS) bins[thread][0] = bins[thread][1] = bins[thread][2] = 0;
  __syncthreads();
  unsigned long long own[PARTS] = {};
  if (row < rows) {
    const bool is_positive = labels[row] == 1.0f, is_predicted = scores[row] >= 0.5f;
    const double score = static_cast<double>(scores[row]);
    const double miss = score - (is_positive ? 1.0 : 0.0);
    own[0] = 1;
    own[1] = is_positive ? 1 : 0;
    own[2] = is_predicted ? 1 : 0;
    own[3] = is_predicted == is_positive ? 1 : 0;
    own[4] = forty_bits(score);
    own[5] = forty_bits(miss * miss);
    if (has_log_loss != 0) own[6] = forty_bits(loss_of(is_positive ? score : 1.0 - score));
    if (has_calibration != 0) {
      const unsigned place = static_cast<unsigned>(score * 15.0);
      unsigned long long* bin = bins[place < CALIBRATION_BINS ? place : CALIBRATION_BINS - 1];
      atomicAdd(&bin[0], 1ull);
      if (is_positive) atomicAdd(&bin[1], 1ull);
      atomicAdd(&bin[2], own[4]);
    }
  }
  for (unsigned part = 0; part < PARTS; ++part) {
    for (int by = 16; by > 0; by >>= 1)
      own[part] += __shfl_xor_sync(0xffffffffu, own[part], by);
    if ((thread & 31u) == 0) atomicAdd(&parts[part], own[part]);
  }
  __syncthreads();
  if (thread < COUNTS) {
    atomicAdd(&cells->counts[thread], parts[thread]);
  } else if (thread < PARTS) {
    add_to(cells->sums[thread - COUNTS], parts[thread]);
  }
  if (thread < CALIBRATION_BINS && bins[thread][0] != 0) {
    TallyBin& bin = cells->bins[thread];
    atomicAdd(&bin.rows, bins[thread][0]);
    atomicAdd(&bin.positives, bins[thread][1]);
    add_to(bin.scores, bins[thread][2]);
  }
}
