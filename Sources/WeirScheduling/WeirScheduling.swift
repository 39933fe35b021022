// The room WeirScheduling; see docs/HOUSE.md.
