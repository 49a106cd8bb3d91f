// What the launches of a step leave for one another.
#pragma once
#include "rows.cuh"

// Sums over the touches of one sparse coordinate: a class has two more, of gradients and squares.
typedef unsigned long long Sum;

struct LinearStep {
  float* scores;       // [rows, classes]
  float* importances;  // [rows], below 0 for a refused row
  float* lengths;      // [rows]
  float* stiffness;    // [rows]
  float* gradients;    // [rows, classes]
  unsigned* touches;   // [stride]
  unsigned* largest;   // [stride], the bits of a size
  double* tiles;       // [tiles, (2 classes + 2) stride]
  Sum* sums;           // [absent, 2 + 2 classes]
  unsigned* most;      // the bits of the largest gradient and stiffness, then rows learned, refused
};
