// The room WeirModelFiles; see docs/HOUSE.md.
