// Writing a tile's sums to y.

// The rows of the last panel that exist: fewer than LANES. Out of line, it is met once per matrix.
static __attribute__((noinline)) void put_some_lanes(const weir_product *p, float *y, vfloat sum, int64_t left) {
  float lanes[LANES];
  vf_store(lanes, sum);
  for (int64_t i = 0; i < left; i++) y[i] = p->accumulate ? y[i] + lanes[i] : lanes[i];
}

// Writes LANES consecutive rows of one token; rows from `rows` on are padding.
WEIR_INLINE void put_lanes(const weir_product *p, int64_t token, int64_t row, vfloat sum) {
  float *y = p->y + token * p->y_stride + row;
  int64_t left = p->weights->rows - row;
  if (left >= LANES)
    vf_store(y, p->accumulate ? vf_add(vf_load(y), sum) : sum);
  else if (left > 0)
    put_some_lanes(p, y, sum, left);
}
