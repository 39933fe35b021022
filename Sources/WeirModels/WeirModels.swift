// The room WeirModels; see docs/HOUSE.md.
