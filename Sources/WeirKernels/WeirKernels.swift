// The room WeirKernels; see docs/HOUSE.md.
