// Networks: rows scored, and mini-batches learned. The twin of neural/*.rs of the models with
// layer.rs and descent.rs: the same operations in the same order, hence the same bits.
//
// Scores of different rows have nothing to do with each other: a block has a few of them at a time.
// Of the rows of a mini-batch each may move an embedding that the next one is read with, so
// mini-batches are learned by one block; rows that share no embedding go through it side by side.
#include "network/back.cuh"
#include "network/descent.cuh"

// What the walk does next: scores rows, begins embeddings, learns rows of a mini-batch.
struct NetworkStep {
  unsigned score_first, score_count;
  unsigned first, count;  // of the lessons; at most WAVE
  unsigned begin_first, begin_count;
  unsigned flags;
  float offset;  // of the log odds
};
constexpr unsigned OPENS = 1;   // the mini-batch begins
constexpr unsigned CLOSES = 2;  // and ends
constexpr unsigned SETS = 4;    // biases of the outputs are set before it

// Predictions of all rows. Dynamic shared memory: WAVE times `stride` numbers, where the model has
// no room.
extern "C" __global__ void network_score(const Network m, const LinearRows rows,
                                         float* predictions) {
  DYN_SHARED(float, shared);
  const NetworkRoom room = room_of(m, shared);
  for (unsigned first = blockIdx.x * WAVE; first < rows.rows; first += gridDim.x * WAVE) {
    const unsigned left = rows.rows - first;
    score_rows(m, rows, first, left < WAVE ? left : WAVE, room, predictions);
  }
}

// Steps in their order, by one block. Sparse features of both kinds of rows are rows of the table;
// labels of the lessons are targets in the unit of the outputs, weights the shares of the rows in
// their mini-batch. Shared memory as above.
extern "C" __global__ void network_walk(const Network m, const LinearRows rows,
                                        const LinearRows lessons, const NetworkStep* steps,
                                        const unsigned* begins, const float* biases,
                                        unsigned count, float* predictions) {
  DYN_SHARED(float, shared);
  const NetworkRoom room = room_of(m, shared);
  for (unsigned at = 0; at < count; ++at) {
    const NetworkStep step = steps[at];
    for (unsigned done = 0; done < step.score_count; done += WAVE) {
      const unsigned left = step.score_count - done;
      score_rows(m, rows, step.score_first + done, left < WAVE ? left : WAVE, room, predictions);
    }
    float* of_outputs = m.parameters + m.last_at + m.second * m.padded;
    if ((step.flags & SETS) != 0)
      for (unsigned o = threadIdx.x; o < m.outputs; o += blockDim.x) of_outputs[o] = biases[o];
    if ((step.flags & OPENS) != 0)
      for (unsigned i = threadIdx.x; i < m.count; i += blockDim.x) m.gradient[i] = 0.0f;
    begin_rows(m, begins + 2ull * step.begin_first, step.begin_count);
    __syncthreads();
    if (step.count > 0) learn_rows(m, lessons, step.first, step.count, step.offset, room);
    if ((step.flags & CLOSES) != 0) descend(m);
    __syncthreads();
  }
}

// Makes the slots, which are empty, of the rows there are.
extern "C" __global__ void network_index(const Network m, unsigned rows) {
  const unsigned place = blockIdx.x * blockDim.x + threadIdx.x;
  if (place < rows) insert_place(m, m.keys[place], place);
}
