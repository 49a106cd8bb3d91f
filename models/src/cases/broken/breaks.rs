//! What is broken in the kernels, one thing at a time.

/// What is broken, in which source, and how.
pub(super) type Break = (&'static str, &'static str, &'static str, &'static str);

pub(super) const BREAKS: &[Break] = &[
    (
        "a barrier is missing",
        "src/tally.cu",
        "  __syncthreads();\n  if (thread < COUNTS)",
        "  if (thread < COUNTS)",
    ),
    ("half of a warp is left out", "src/tally.cu", "int by = 16;", "int by = 8;"),
    ("a carry is lost", "src/fixed.cuh", "to[i] = sum + carry;", "to[i] = sum;"),
    (
        "a scan looks at the wrong thread",
        "src/fixed.cuh",
        "of_threads[thread - by];",
        "of_threads[thread - 1];",
    ),
    (
        "a feature lies beside its place",
        "src/assemble.cu",
        "out[at] = hash_bucket",
        "out[at + 1] = hash_bucket",
    ),
    (
        "a mean is refreshed a row late",
        "src/moments.cu",
        "p % m.refresh_every_rows == 0",
        "p % m.refresh_every_rows == 1",
    ),
    (
        "a mean is that of the row behind",
        "src/repair.cu",
        "thread * stretch < rows ?",
        "thread * stretch + 1 < rows ?",
    ),
    (
        "a sum is folded in another order",
        "src/coordinate/rows.cuh",
        "0xffffffffu, sum, 4)",
        "0xffffffffu, sum, 1)",
    ),
    (
        "a lane is left out",
        "src/coordinate/rows.cuh",
        "slot = lane; slot < padded",
        "slot = lane + 1; slot < padded",
    ),
    (
        "some threads do not come to a barrier",
        "src/blend/learn.cuh",
        "    __syncthreads();\n    if (row.is_good",
        "    if (thread != 7) __syncthreads();\n    if (row.is_good",
    ),
    (
        "an operation is fused",
        "src/blend/experts.cuh",
        "weight + step.pulls[expert] * moved",
        "fmaf(step.pulls[expert], moved, weight)",
    ),
    (
        "a sort forgets the order of what is equal",
        "src/window/arrange.cu",
        "is_odd ? t.sorted : t.sorting, calls,\n              32 + pass",
        "is_odd ? t.sorted : t.sorting, calls,\n              28 + pass",
    ),
    (
        "an entry of a chunk does not count",
        "src/window/readings.cuh",
        "i <= last % CHUNK",
        "i < last % CHUNK",
    ),
    (
        "what is before a tile is forgotten",
        "src/window/entries.cuh",
        "      add_up(before, base);\n",
        "",
    ),
    (
        "a late entry goes before those of its time",
        "src/window/leave.cu",
        "time_of(t, source), end - view.first)",
        "time_of(t, source) - 1, end - view.first)",
    ),
    ("old entries stay", "src/window/leave.cu", "head.first += gone;", "head.first += gone / 2;"),
    ("a key that moved out is still found", "src/window/keep.cu", "  head.key = 0;\n", ""),
    (
        "other entries move out than the key's",
        "src/window/keep.cu",
        "const unsigned seq = head.first + i;",
        "const unsigned seq = i;",
    ),
    (
        "a slot is given back twice",
        "src/window/keep.cu",
        "forget_key(tables[0], slots[at], given)",
        "forget_key(tables[0], slots[at & ~1u], given)",
    ),
    (
        "a record is read before it is there",
        "src/decode/records.cuh",
        "pieces[i] = source[i];\n    __syncthreads();",
        "pieces[i] = source[i];",
    ),
    (
        "an escape passes for a plain text",
        "src/decode/json.cuh",
        "byte < 0x20 || byte == '\\\\'",
        "byte < 0x20",
    ),
    (
        "a missing integer is a number",
        "src/decode/binary.cu",
        "(entry.kind & CAN_MISS) != 0 && bits",
        "(entry.kind & CAN_MISS) == 0 && bits",
    ),
    (
        "a hash takes a byte from beside the text",
        "src/hash.cuh",
        "a = word(bytes + length - 16)",
        "a = word(bytes + length - 15)",
    ),
    (
        "a lane keeps what is unusual to itself",
        "src/decode/warp.cu",
        "!__any_sync(decode::ALL, walk.is_bad)",
        "!walk.is_bad",
    ),
    (
        "a text ends where 32 bytes end",
        "src/decode/warp.cu",
        "inside_of(quotes) ^ (is_inside ? ALL : 0u)",
        "inside_of(quotes)",
    ),
    ("a year begins in February", "src/decode/text.cuh", "(month + 9) % 12", "(month + 10) % 12"),
    (
        "the hand looks at one row less",
        "src/factor/table.cuh",
        "step < watched; ++step",
        "step + 1 < watched; ++step",
    ),
    (
        "a pair is learned with what it has made of its other half",
        "src/factor/pairs.cuh",
        "step, e, left * pair.value);",
        "step, e, pair.one[f].weights[e] * pair.value);",
    ),
    (
        "a stack forgets the sign of its pull",
        "src/factor/stack.cuh",
        "pull = sign * size;",
        "pull = size;",
    ),
    (
        "a row is not scored again when its embeddings begin",
        "src/factor.cu",
        "    begin_all(m, room);\n    __syncthreads();\n    add_pairs(dense, sparse, scores);",
        "    begin_all(m, room);\n    __syncthreads();",
    ),
    (
        "a row of the table is begun as its last index left it",
        "src/network/table.cuh",
        "m.row_squares[2ull * place] = m.row_squares[2ull * place + 1] = 0.0f;",
        "m.row_squares[2ull * place] = 0.0f;",
    ),
    (
        "an index is sought in every second slot",
        "src/network/table.cuh",
        "slot = (slot + 1) & m.slot_mask) {",
        "slot = (slot + 2) & m.slot_mask) {",
    ),
    (
        "something goes back through a closed rectifier",
        "src/network/back.cuh",
        "own[from + input] > 0.0f;",
        "own[from + input] >= 0.0f;",
    ),
    (
        "a mini-batch begins with the gradient of the last one",
        "src/network.cu",
        "if ((step.flags & OPENS) != 0)",
        "if (at == 0)",
    ),
];

/// Barriers whose loss leaves an order of reads and writes to chance.
pub(super) const RACES: &[Break] = &[
    (
        "before the sums of a block are read",
        "src/tally.cu",
        "  __syncthreads();\n  if (thread < COUNTS)",
        "  if (thread < COUNTS)",
    ),
    (
        "before the state is written that others read",
        "src/moments.cu",
        "  __syncthreads();\n  for (Word p",
        "  for (Word p",
    ),
    (
        "between two steps of a scan",
        "src/fixed.cuh",
        "    __syncthreads();\n    add_sums(of_threads",
        "    add_sums(of_threads",
    ),
    (
        "before the spreads are used",
        "src/blend/learn.cuh",
        "inputs, projected);\n      __syncthreads();",
        "inputs, projected);",
    ),
    (
        "before what only asks looks for what has entered",
        "src/window/arrange.cu",
        "all slots are written.\n  __syncthreads();",
        "all slots are written.",
    ),
    (
        "between counting and placing what is sorted",
        "src/window/arrange.cu",
        "    before += count;\n  }\n  __syncthreads();",
        "    before += count;\n  }",
    ),
    (
        "before an entry is written over the next",
        "src/window/leave.cu",
        "    __syncwarp();\n    if (is_one) *time_in",
        "    if (is_one) *time_in",
    ),
    (
        "before a late entry is looked at by all lanes",
        "src/window/leave.cu",
        "  __syncwarp();\n  join_distances",
        "  join_distances",
    ),
    (
        "before the records of a block are read",
        "src/decode/records.cuh",
        "pieces[i] = source[i];\n    __syncthreads();",
        "pieces[i] = source[i];",
    ),
    (
        "between a row that is refused and the next",
        "src/blend/learn.cuh",
        "      __syncthreads();\n      continue;",
        "      continue;",
    ),
    (
        "before terms are added up",
        "src/factor/pairs.cuh",
        "item % EXPERTS);\n    __syncthreads();",
        "item % EXPERTS);",
    ),
    (
        "before the products are inputs",
        "src/network/forward.cuh",
        "multiply_rows(m, count, room);\n    __syncthreads();",
        "multiply_rows(m, count, room);",
    ),
    (
        "before embeddings move by their derivatives",
        "src/network/back.cuh",
        "back_products(m, count, room);\n  __syncthreads();",
        "back_products(m, count, room);",
    ),
];
