// The room WeirSampling; see docs/HOUSE.md.
