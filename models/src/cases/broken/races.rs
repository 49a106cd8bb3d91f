//! Barriers that are missing in the kernels, one at a time.

use super::breaks::Break;

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
        "before the sums of a chunk are read",
        "src/moments/wide.cu",
        "  Sums sums = of_threads[0];\n  __syncthreads();",
        "  Sums sums = of_threads[0];",
    ),
    (
        "between two steps of a sum",
        "src/moments/wide.cu",
        "of_threads[thread + by]);\n    __syncthreads();",
        "of_threads[thread + by]);",
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
        "before the digits of a block are told",
        "src/window/wide.cu",
        "digit_of(placed, 0)], 1u);\n  }\n  __syncthreads();",
        "digit_of(placed, 0)], 1u);\n  }",
    ),
    (
        "between counting the digits of a warp and going where they go",
        "src/window/wide.cu",
        "      first += count;\n    }\n    __syncthreads();",
        "      first += count;\n    }",
    ),
    (
        "before an entry is written over the next",
        "src/window/runs.cuh",
        "    __syncwarp();\n    if (is_one) *time_in",
        "    if (is_one) *time_in",
    ),
    (
        "before overtaken rows are read by all lanes",
        "src/window/enter.cu",
        "      __syncwarp();\n      read_overtaken",
        "      read_overtaken",
    ),
    (
        "before the places of a run are written that it was found by",
        "src/window/runs.cuh",
        "by what is overwritten here.\n  __syncwarp();",
        "by what is overwritten here.",
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
