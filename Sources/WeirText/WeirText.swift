// The room WeirText; see docs/HOUSE.md.
