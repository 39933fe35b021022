// The room WeirServing; see docs/HOUSE.md.
